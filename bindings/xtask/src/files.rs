//! Files and programs, with errors that name them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What can fail; the error is a message for people.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// Names the file in an error.
pub(crate) fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}

/// Replaces a file instead of writing into it, so that programs that use the old one go on.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    at(from, fs::copy(from, to)).map(|_| ())
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    at(path, fs::write(path, text))
}

/// Removes a file if it exists.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => at(path, Err(error)),
        _ => Ok(()),
    }
}

/// Whether a program can be run.
pub(crate) fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
