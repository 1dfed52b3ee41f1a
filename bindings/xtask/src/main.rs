//! `cargo xtask`: builds what other languages need.

mod bench;
mod header;
mod install;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Measures what calls of the C library cost, and how large it is; prints one line of JSON.
    Bench,
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
    },
}

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Bench => bench::bench(),
        Task::Header { check: true } => header::check(),
        Task::Header { check: false } => header::write(),
        Task::Install { prefix, profile, features, without_tls } => {
            install::install(&prefix, &install::Build { profile, features, without_tls })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(1)
        }
    }
}

/// The top of the workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Says which file an error belongs to.
fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}
