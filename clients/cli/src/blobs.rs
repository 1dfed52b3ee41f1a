//! `teatime blobs`: files beside a room.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use teatime::JoinLink;
use teatime::blobs::{BlobError, BlobHandle, BlobLimits, Blobs, Progress};
use teatime_chat::ChatOptions;

use crate::Failure;
use crate::codes::error_line;

/// Flags of `teatime blobs`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Stores a file, and prints the handle that stands for it.
    Put {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        room: Room,
    },
    /// Fetches what a handle stands for.
    Get {
        /// The handle, as `put` prints it.
        handle: String,
        /// Where it goes. It is there whole in the end, or not at all; what was fetched until this program was killed,
        /// or the connection was lost, stays beside it as FILE.*.part, and the next get goes on there.
        file: PathBuf,
        #[command(flatten)]
        room: Room,
    },
    /// Tells the largest file that the reflector takes, and how many bytes still fit into the room.
    Limits {
        #[command(flatten)]
        room: Room,
    },
}

/// Which room; flags override the link.
#[derive(Args)]
struct Room {
    /// The join link of the room, such as teatime://host:9090/teatime.chat/room#password.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// The reflector's address, such as ws://host:9090.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    /// The name of the room [default: lobby].
    #[arg(long, value_name = "ROOM")]
    name: Option<String>,
    /// The password of the room: only those who know it can read what is stored.
    #[arg(long, value_name = "PW")]
    password: Option<String>,
    /// Certificates (PEM) that are trusted to vouch for a reflector at wss://, besides those that
    /// this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// One JSON object a line; progress, too.
    #[arg(long)]
    json: bool,
}

/// Stores or fetches.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.task {
        Task::Put { file, room } => {
            let data = room.data()?;
            let stored = data.store_file(file, &mut room.watch());
            let handle = stored.map_err(|error| room.failed(&error))?;
            let size = handle.size();
            room.say(&json!({ "event": "stored", "handle": handle, "bytes": size }), &handle);
        }
        Task::Get { handle, file, room } => {
            let parsed: Result<BlobHandle, _> = handle.parse();
            let handle = parsed.map_err(|error| Failure::Usage(error.to_string()))?;
            let fetched = room.data()?.fetch_file(handle, file, &mut room.watch());
            fetched.map_err(|error| room.failed(&error))?;
            let fetched = json!({ "event": "fetched", "handle": handle, "bytes": handle.size() });
            room.say(&fetched, &format_args!("{} bytes", handle.size()));
        }
        Task::Limits { room } => {
            let BlobLimits { max_blob, room: left } =
                room.data()?.limits().map_err(|error| room.failed(&error))?;
            let limits = json!({ "event": "limits", "max_blob": max_blob, "room": left });
            room.say(
                &limits,
                &format_args!(
                    "the largest file that is taken has {max_blob} bytes, {left} still fit"
                ),
            );
        }
    }
    Ok(())
}

impl Room {
    fn data(&self) -> Result<Blobs, Failure> {
        let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
        let link = self.link.as_deref().map(str::parse::<JoinLink>).transpose();
        let link = link.map_err(|error| usage(&error))?;
        if let Some(link) = &link
            && link.app != teatime_chat::APP_ID
        {
            return Err(usage(&format!("the link leads to {:?}, which is no chat", link.app)));
        }
        let of_link = |part: fn(&JoinLink) -> Option<&str>| link.as_ref().and_then(part);
        let name = self.name.as_deref().or(of_link(|link| Some(&link.name)));
        let password = self.password.as_deref().or(of_link(|link| link.password.as_deref()));
        let config = teatime_chat::config(name.unwrap_or("lobby"), &ChatOptions::default());
        let mut config = config.map_err(|error| usage(&error))?.password(password);
        if let Some(file) = &self.ca {
            let pem = std::fs::read(file)
                .map_err(|error| usage(&format_args!("{}: {error}", file.display())))?;
            config.trusted_certificates = Some(pem);
        }
        let reflector = self.reflector.as_deref().or(of_link(|link| Some(&link.reflector)));
        let reflector = reflector.ok_or_else(|| usage(&"a link or --reflector is needed"))?;
        Blobs::new(&config, reflector).map_err(|error| usage(&error))
    }

    /// Tells how far it is, a hundred times at most.
    fn watch(&self) -> impl FnMut(Progress) -> ControlFlow<()> {
        let (json, terminal) = (self.json, std::io::stderr().is_terminal());
        let mut told = None;
        move |progress| {
            let percent = (progress.done * 100).checked_div(progress.total).unwrap_or(100);
            if told.replace(percent) != Some(percent) {
                let Progress { done, total } = progress;
                if json {
                    print(&json!({ "event": "progress", "done": done, "total": total }));
                } else if terminal {
                    eprint!("\r{percent} %{}", if percent == 100 { "\n" } else { "" });
                }
            }
            ControlFlow::Continue(())
        }
    }

    fn say(&self, json: &serde_json::Value, text: &dyn std::fmt::Display) {
        if self.json { print(json) } else { print(text) }
    }

    fn failed(&self, error: &BlobError) -> Failure {
        if !self.json {
            return Failure::Failed(error.to_string());
        }
        print(&error_line(error.code(), error));
        Failure::Told
    }
}

fn print(line: &dyn std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // Whoever does not read any more needs no more.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
