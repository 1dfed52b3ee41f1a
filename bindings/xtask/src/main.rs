//! `cargo xtask`: builds what other languages need.

mod bench;
mod files;
mod header;
mod install;
mod library;
mod mobile;
mod package;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use library::Library;
use package::Platform;

#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Generates the C header from the crate behind it.
    Header {
        /// Only compares: fails if the header that is there differs.
        #[arg(long)]
        check: bool,
    },
    /// Builds the library for Swift on this machine and generates the code that calls it, both into
    /// the Swift package; for an app of its own, into a copy of it.
    Swift(Mobile),
    /// Builds the library for Kotlin on this machine and generates the code that calls it, both into
    /// the Kotlin package; for an app of its own, the library goes into its project.
    Kotlin(Mobile),
    /// Makes what apps for phones take in, for all their architectures.
    Package {
        #[command(subcommand)]
        platform: Platform,
    },
    /// Measures what calls of the C library cost, and how large it is; prints one line of JSON.
    Bench {
        /// The build profile: release, or dev to see that the benchmark works.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Builds the C library and installs it: header, shared and static library, pkg-config files,
    /// CMake package.
    Install {
        /// Where to, such as /usr/local.
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
        /// The build profile: release, or dev for a quick one with checks.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Features of the library besides the usual ones.
        #[arg(long, value_name = "LIST", default_value = "")]
        features: String,
        /// Leaves wss:// out, for a smaller library.
        #[arg(long)]
        without_tls: bool,
        /// Installs the library for tests as well: the same with the simulator.
        #[arg(long)]
        testing: bool,
    },
}

#[derive(clap::Args)]
struct Mobile {
    /// The crate of the library, for an app that has models of its own.
    #[arg(long = "crate", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where to, for an app that has models of its own.
    #[arg(long, value_name = "DIR", requires = "folder")]
    into: Option<PathBuf>,
    /// The build profile: release, or dev for a quick one with checks.
    #[arg(long, default_value = "release")]
    profile: String,
}

impl Mobile {
    fn run(self, make: fn(&Library, Option<&Path>) -> Result<()>) -> Result<()> {
        let library = mobile::library(self.folder, &self.profile)?;
        let Some(into) = self.into else { return make(&library, None) };
        files::at(&into, std::fs::create_dir_all(&into))?;
        make(&library, Some(&files::at(&into, into.canonicalize())?))
    }
}

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Bench { profile } => bench::bench(&profile),
        Task::Header { check: true } => header::check(),
        Task::Header { check: false } => header::write(),
        Task::Install { prefix, profile, features, without_tls, testing } => {
            let with = |library: Library| {
                let library = library.with(&["--features", &features]);
                if without_tls { library.with(&["--no-default-features"]) } else { library }
            };
            let folder = root().join("bindings/c-testing");
            install::install(&prefix, &with(c_library(&profile))).and_then(|()| {
                let library = with(Library::new(&folder, &profile));
                if testing { install::install_testing(&prefix, &library) } else { Ok(()) }
            })
        }
        Task::Kotlin(how) => how.run(mobile::kotlin),
        Task::Package { platform } => package::make(platform),
        Task::Swift(how) => how.run(mobile::swift),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(1)
        }
    }
}

/// The library for C.
fn c_library(profile: &str) -> Library {
    Library::new(&root().join("bindings/c"), profile)
}

/// The folder in which cargo builds.
fn target_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(|target| root().join(target));
    target.unwrap_or_else(|| root().join("target"))
}

/// The top of the workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
