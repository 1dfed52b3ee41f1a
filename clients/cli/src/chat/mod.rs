//! `teatime chat`: which room, and in which of three forms it is shown.

mod json;
mod plain;
mod room;
mod screen;
mod tui;

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use clap::Args;
use teatime::{JoinLink, reflector_address};
use teatime_chat::ChatOptions;

use crate::Failure;
use room::{Place, Room};

/// Flags of `teatime chat`; they override the link.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The join link of a room, such as teatime://host:9090/teatime.chat/room#password.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// The reflector's address, such as ws://host:9090. Without one: the reflector on this
    /// machine; if there is none this program hosts it.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    /// The name of the room [default: lobby].
    #[arg(long, value_name = "ROOM")]
    name: Option<String>,
    /// Encrypts everything end to end; only those who know it can join.
    #[arg(long, value_name = "PW")]
    password: Option<String>,
    /// After so many seconds without a post the chat clears itself [default: 1200]. Rooms that
    /// differ in this are different rooms.
    #[arg(long, value_name = "SECONDS")]
    inactivity: Option<u32>,
    /// Certificates (PEM) that are trusted to vouch for a reflector at wss://, besides those that
    /// this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where a file of evidence goes if this client diverges; it holds what was said, in plain text, and
    /// only this user can read it [default: teatime/evidence where this user's programs keep their
    /// state].
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Keeps no evidence.
    #[arg(long, conflicts_with = "evidence")]
    no_evidence: bool,
    /// Plain text: each line of standard input is a post. This is the default where standard
    /// output is no terminal.
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// One JSON object a line, both ways.
    #[arg(long)]
    json: bool,
}

/// The room if nothing is said.
const DEFAULT_ROOM: &str = "lobby";

/// What a chat waits for.
pub(crate) enum Wake {
    /// Something came from the network.
    Network,
    /// A line of standard input.
    Line(String),
    /// Standard input has ended.
    EndOfInput,
    /// The terminal has something to say.
    Terminal(ratatui::crossterm::event::Event),
    /// SIGINT or SIGTERM.
    Signal,
}

/// Chats until the user leaves.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (place, config, options) = what_to_join(arguments)?;
    let (sender, wakes) = mpsc::channel();
    let network = sender.clone();
    let waker = Arc::new(move || {
        // Nobody waits any more when the program ends.
        let _ = network.send(Wake::Network);
    });
    let signals = sender.clone();
    ctrlc::set_handler(move || {
        let _ = signals.send(Wake::Signal);
    })
    .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if arguments.json || arguments.plain || !terminal {
        crate::start_logging("off");
    }
    let room = Room::enter(place, config, options, waker)?;
    if arguments.json {
        read_lines(sender);
        json::run(room, &wakes)
    } else if arguments.plain || !terminal {
        read_lines(sender);
        plain::run(room, &wakes)
    } else {
        tui::run(room, sender, &wakes)
    }
}

fn what_to_join(arguments: &Arguments) -> Result<(Place, teatime::Config, ChatOptions), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let link = arguments.link.as_deref().map(str::parse::<JoinLink>).transpose();
    let link = link.map_err(|error| usage(&error))?;
    if let Some(link) = &link
        && link.app != teatime_chat::APP_ID
    {
        return Err(usage(&format!("the link leads to {:?}, which is no chat", link.app)));
    }
    let mut options = ChatOptions::default();
    let of_link = link.iter().flat_map(|link| &link.options);
    if let Some((_, seconds)) =
        of_link.into_iter().find(|(name, _)| name == teatime_chat::INACTIVITY)
    {
        let wrong = || usage(&format!("{seconds:?} in the link is no number of seconds"));
        options.inactivity_seconds = seconds.parse().map_err(|_| wrong())?;
    }
    options.inactivity_seconds = arguments.inactivity.unwrap_or(options.inactivity_seconds);
    let of_link = |part: fn(&JoinLink) -> Option<&str>| link.as_ref().and_then(part);
    let name = arguments.name.as_deref().or(of_link(|link| Some(&link.name)));
    let password = arguments.password.as_deref().or(of_link(|link| link.password.as_deref()));
    let mut config = teatime_chat::config(name.unwrap_or(DEFAULT_ROOM), &options)
        .map_err(|error| usage(&error))?
        .password(password);
    config.check().map_err(|error| usage(&error))?;
    if let Some(file) = &arguments.ca {
        let pem = std::fs::read(file)
            .map_err(|error| usage(&format_args!("{}: {error}", file.display())))?;
        config.trusted_certificates = Some(pem);
    }
    if !arguments.no_evidence {
        config.evidence_dir = arguments.evidence.clone().or_else(evidence_dir);
    }
    let reflector = arguments.reflector.as_deref().or(of_link(|link| Some(&link.reflector)));
    let place = match reflector {
        Some(address) => Place::Given(reflector_address(address).map_err(|error| usage(&error))?),
        None => Place::ThisMachine(None),
    };
    Ok((place, config, options))
}

/// Where programs of this user keep what is neither configuration nor a cache.
fn evidence_dir() -> Option<PathBuf> {
    let set = ["XDG_STATE_HOME", "LOCALAPPDATA"].into_iter().find_map(std::env::var_os);
    let state = set.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("teatime").join("evidence"))
}

/// Passes standard input on, line by line, from a thread of its own.
fn read_lines(sender: Sender<Wake>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if sender.send(Wake::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
        let _ = sender.send(Wake::EndOfInput);
    });
}

/// Everything that has happened, after waiting for the first of it or until a step is due.
pub(crate) fn wait(room: &Room, wakes: &Receiver<Wake>) -> Vec<Wake> {
    let first = match room.next_due() {
        Some(pause) => wakes.recv_timeout(pause).ok(),
        None => wakes.recv().ok(),
    };
    first.into_iter().chain(wakes.try_iter()).collect()
}
