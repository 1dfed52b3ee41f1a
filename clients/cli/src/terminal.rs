//! What every command shares: how it ends, and how it writes to standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use teatime_chat::printable;
use tracing_subscriber::EnvFilter;

use crate::codes::error_line;

/// Code of errors of the command line.
const USAGE: &str = "USAGE";

/// Why a command failed.
pub(crate) enum Failure {
    /// Something failed, with a code for programs: exit status 1.
    Failed(&'static str, String),
    /// The command line is wrong: exit status 2.
    Usage(String),
    /// The command has reported the failure itself: exit status 1.
    Reported,
}

impl Failure {
    pub(crate) fn usage(error: &dyn Display) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Reports how a command ended, in JSON if the user asked for that, and gives the exit status for it.
pub(crate) fn finish(json: bool, result: Result<(), Failure>) -> ExitCode {
    let (status, code, message) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Reported) => return ExitCode::from(1),
        Err(Failure::Failed(code, message)) => (1, code, message),
        Err(Failure::Usage(message)) => (2, USAGE, message),
    };
    // What cannot be written to standard output may reach the user on standard error.
    if !json || print(&error_line(code, &message)).is_err() {
        tell_user(&message);
    }
    ExitCode::from(status)
}

/// Ends the program because of its command line, or because that asks for help.
pub(crate) fn refuse(error: &clap::Error) -> ! {
    // The command line could not be read, so this cannot ask its `--json`.
    let json = error.use_stderr() && std::env::args_os().any(|argument| argument == "--json");
    if !json || print(&error_line(USAGE, error)).is_err() {
        error.exit()
    }
    std::process::exit(error.exit_code())
}

/// Writes a line for people, to standard error.
pub(crate) fn tell_user(message: &dyn Display) {
    let message = printable(&message.to_string());
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "teatime: {message}");
}

/// The same as [`printable`] for a text of several lines, which stay lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// Writes a line to standard output at once.
///
/// # Errors
/// [`Failure::Reported`] if the reader has gone: then there is nothing left to do, and nothing to report.
pub(crate) fn print(line: &dyn Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{line}").and_then(|()| out.flush()))
}

/// What a result of writing to standard output means for the command.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Reported),
        Err(error) => Err(Failure::Failed("IO", format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Sends logs to standard error. `RUST_LOG` selects which.
pub(crate) fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters_and_lines_stay_lines() {
        assert_eq!(printable_lines("a\u{1b}[2Jb\u{9b}c\nd\n"), "a\u{fffd}[2Jb\u{fffd}c\nd\n");
    }
}
