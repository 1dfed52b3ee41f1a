//! What every command shares: how it ends, and how it writes to standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Why a command failed.
pub(crate) enum Failure {
    /// Something failed: exit status 1.
    Failed(String),
    /// The same, with a code for programs.
    Coded(&'static str, String),
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

/// Reports how a command ended, and gives the exit status for it.
pub(crate) fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::from(1),
        Err(Failure::Failed(message) | Failure::Coded(_, message)) => {
            tell_user(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            tell_user(&message);
            ExitCode::from(2)
        }
    }
}

/// Writes a line for people, to standard error.
pub(crate) fn tell_user(message: &dyn Display) {
    let message = printable(&message.to_string().replace('\n', " "));
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "teatime: {message}");
}

/// The text without control characters, because a terminal would obey them. Other users may have chosen the text.
pub(crate) fn printable(text: &str) -> String {
    text.replace(
        |character: char| character.is_control() && !['\n', '\t'].contains(&character),
        "\u{fffd}",
    )
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
        Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes text to standard output. A reader that has gone needs no more of it, so this cannot fail.
pub(crate) fn say(text: &dyn Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
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
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}c\td\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\td\n");
    }
}
