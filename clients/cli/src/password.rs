//! Where the password of a room comes from.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::terminal::{Failure, tell_user};

/// The variable with the password, for those who want it neither in a command nor in a file.
const VARIABLE: &str = "TEATIME_PASSWORD";

/// Fewer characters can be found by trying, by a person who has what was sent.
const SHORT: usize = 8;

/// Flags for the password of a room.
#[derive(Args)]
pub(crate) struct Password {
    /// Password of the room. Everything is then encrypted end to end, and only those who know it can join. Other users of
    /// this machine may see the command: a file, TEATIME_PASSWORD or --ask-password hide the password from them.
    #[arg(long, value_name = "PW", allow_hyphen_values = true)]
    password: Option<String>,
    /// Read the password from the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// Ask for the password on the terminal.
    #[arg(long, conflicts_with_all = ["password", "password_file"])]
    ask_password: bool,
}

impl Password {
    /// Whether a flag says where it comes from.
    pub(crate) fn is_given(&self) -> bool {
        self.password.is_some() || self.password_file.is_some() || self.ask_password
    }

    /// The password from a flag, otherwise from the link, otherwise from the environment.
    pub(crate) fn read(&self, of_link: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(password) = &self.password {
            return Ok(Some(password.clone()));
        }
        if let Some(file) = &self.password_file {
            return first_line(file).map(Some);
        }
        if self.ask_password {
            let typed = rpassword::prompt_password("Password: ");
            let unreadable =
                |error| Failure::Failed("IO", format!("cannot ask for a password: {error}"));
            return typed.map(Some).map_err(unreadable);
        }
        if let Some(password) = of_link {
            return Ok(Some(password.to_owned()));
        }
        match std::env::var(VARIABLE) {
            Ok(password) if !password.is_empty() => Ok(Some(password)),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Failure::Usage(format!("{VARIABLE} is not UTF-8")))
            }
            _ => Ok(None),
        }
    }
}

fn first_line(file: &Path) -> Result<String, Failure> {
    let refuse = |why: &str| Failure::Usage(format!("--password-file {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(&error.to_string()))?;
    // Some editors begin a file with a byte order mark.
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if line.is_empty() { Err(refuse("the first line is empty")) } else { Ok(line.to_owned()) }
}

/// Warns a user at a terminal if others could find the password.
pub(crate) fn warn(password: &str) {
    if password.chars().count() < SHORT && std::io::stderr().is_terminal() {
        tell_user(&format_args!(
            "the password is short: anyone with a copy of what is sent can find it by trying. Use at least {SHORT} characters"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(file: Option<PathBuf>) -> Password {
        Password { password: None, password_file: file, ask_password: false }
    }

    #[test]
    fn a_link_counts_where_no_flag_does() {
        let read = flags(None).read(Some("of the link")).ok().flatten();
        assert_eq!(read.as_deref(), Some("of the link"));
        let missing = flags(Some("/nowhere/at/all".into())).read(Some("of the link"));
        assert!(matches!(missing, Err(Failure::Usage(why)) if why.contains("/nowhere/at/all")));
    }
}
