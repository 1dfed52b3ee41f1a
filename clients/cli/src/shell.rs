//! What a shell and `man` know about this program, made from its flags.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::{Failure, print};

/// Flags of `teatime completions`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Flags of `teatime man`.
#[derive(Args)]
pub(crate) struct Man {
    /// Folder to write the pages into. It must exist.
    #[arg(value_name = "DIR")]
    into: PathBuf,
}

/// Prints the completions of all commands.
pub(crate) fn complete(mut program: Command, arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "teatime", &mut script);
    print(&String::from_utf8_lossy(&script).trim_end())
}

/// Writes a page for each command.
pub(crate) fn write_pages(program: Command, arguments: &Man) -> Result<(), Failure> {
    let into = &arguments.into;
    clap_mangen::generate_to(program, into)
        .map_err(|error| Failure::Failed("IO", format!("{}: {error}", into.display())))
}
