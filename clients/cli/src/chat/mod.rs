//! `teatime chat`: joins a room, and shows it in one of three forms.

mod job;
mod json;
mod plain;
mod room;
mod screen;
mod tui;
mod wake;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use clap::Args;

use crate::joining::Joining;
use crate::terminal::{Failure, start_logging};
use room::Room;
use wake::{Wake, read_lines};

/// Flags of `teatime chat`. They override the link.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    joining: Joining,
    /// Directory for evidence, which is written if this client diverges or a handler fails. It holds posts as plain
    /// text, and only you can read it [default: teatime/evidence in your state directory].
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Write no evidence.
    #[arg(long, conflicts_with = "evidence")]
    no_evidence: bool,
    /// Plain text: each line of standard input is a post. The default without a terminal, and if TERM is "dumb" or not
    /// set.
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// JSON, one object a line, on standard input and output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Chats until the user leaves.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (reflector, mut config) = arguments.joining.resolve()?;
    if !arguments.no_evidence {
        config.evidence_dir = arguments.evidence.clone().or_else(evidence_dir);
    }
    let is_screen = !arguments.json && !arguments.plain && is_whole_terminal();
    if is_screen {
        job::hold_stops();
    }
    let (sender, wakes) = mpsc::channel();
    let network = sender.clone();
    let waker = Arc::new(move || {
        // The receiver has gone when the program ends.
        let _ = network.send(Wake::Network);
    });
    let signals = sender.clone();
    ctrlc::set_handler(move || {
        let _ = signals.send(Wake::Signal);
    })
    .map_err(|error| Failure::Failed("IO", format!("cannot wait for signals: {error}")))?;
    if !is_screen {
        start_logging("off");
    }
    let room = Room::enter(reflector, config, waker)?;
    if arguments.json {
        read_lines(sender);
        json::run(room, &wakes)
    } else if is_screen {
        tui::run(room, sender, &wakes)
    } else {
        read_lines(sender);
        plain::run(room, &wakes)
    }
}

/// Whether there is a terminal that can show a screen.
pub(crate) fn is_whole_terminal() -> bool {
    let is_simple =
        || std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    is_terminal && !(cfg!(unix) && is_simple())
}

/// The user's directory for state, with our part of it.
pub(crate) fn evidence_dir() -> Option<PathBuf> {
    let set = ["XDG_STATE_HOME", "LOCALAPPDATA"].into_iter().find_map(std::env::var_os);
    let state = set.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("teatime").join("evidence"))
}
