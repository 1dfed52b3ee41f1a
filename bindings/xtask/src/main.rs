//! `cargo xtask`: builds what other languages need.

mod bench;
mod book;
mod dist;
mod files;
mod header;
mod install;
mod library;
mod package;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use files::Result;
use library::Library;
use package::{Platform, host};
use workspace::root;

#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Makes what a release offers for this kind of machine: archives of the program and of the C library, packages for
    /// Debian, crates.io, Maven and Swift, the book, a list of all parts (SBOM), checksums.
    Dist(dist::How),
    /// Builds the book from docs, with mdbook.
    Book {
        /// The folder to write to, which must be empty [default: target/book, whose content is replaced].
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// Generates the C header from the crate `ffi`.
    Header {
        /// Compares only: fails if the committed header differs.
        #[arg(long)]
        check: bool,
    },
    /// Builds the library for Swift on this machine and generates the code that calls it. Both go into
    /// the Swift package, or into an app's own copy of it.
    Swift(Mobile),
    /// Builds the library for Kotlin on this machine and generates the code that calls it. Both go into
    /// the Kotlin package; an app's own library goes into the app's project.
    Kotlin(Mobile),
    /// Makes the packages that apps for phones depend on, for all architectures.
    Package {
        #[command(subcommand)]
        platform: Platform,
    },
    /// Measures the time of calls of the C library, and its size. Prints one line of JSON.
    Bench {
        /// The build profile: release, or dev to check that the benchmark works.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Builds the C library and installs it: header, shared and static library, pkg-config files,
    /// CMake package.
    Install {
        /// The folder to install to, such as /usr/local.
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
        /// The build profile: release, or dev for a quick one with checks.
        #[arg(long, default_value = "release")]
        profile: String,
        /// More features of the library.
        #[arg(long, value_name = "LIST", default_value = "")]
        features: String,
        /// Builds a smaller library without wss://.
        #[arg(long)]
        without_tls: bool,
        /// Installs the library for tests as well: the same library with the simulator.
        #[arg(long)]
        testing: bool,
    },
}

#[derive(clap::Args)]
struct Mobile {
    /// The crate of the library, for an app that has models of its own.
    #[arg(long = "crate", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The folder to write to, for an app that has models of its own.
    #[arg(long, value_name = "DIR", requires = "folder")]
    into: Option<PathBuf>,
    /// The build profile: release, or dev for a quick one with checks.
    #[arg(long, default_value = "release")]
    profile: String,
}

impl Mobile {
    fn run(self, make: fn(&Library, Option<&Path>) -> Result<()>) -> Result<()> {
        let library = package::library::library(self.folder, &self.profile)?;
        let Some(into) = self.into else { return make(&library, None) };
        files::at(&into, std::fs::create_dir_all(&into))?;
        make(&library, Some(&files::at(&into, into.canonicalize())?))
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Bench { profile } => bench::bench(&profile),
        Task::Book { into } => book::build(into.as_deref()),
        Task::Dist(how) => dist::make(&how),
        Task::Header { check: true } => header::check(),
        Task::Header { check: false } => header::write(),
        Task::Install { prefix, profile, features, without_tls, testing } => {
            let with = |library: Library| {
                let library = library.with(&["--features", &features]);
                if without_tls { library.with(&["--no-default-features"]) } else { library }
            };
            let folder = root().join("bindings/c-testing");
            install::install(&prefix, &with(Library::for_c(&profile))).and_then(|()| {
                let library = with(Library::new(&folder, &profile));
                if testing { install::install_testing(&prefix, &library) } else { Ok(()) }
            })
        }
        Task::Kotlin(how) => how.run(host::make_kotlin),
        Task::Package { platform } => package::make(platform),
        Task::Swift(how) => how.run(host::make_swift),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(1)
        }
    }
}
