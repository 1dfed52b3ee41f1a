//! `teatime blobs`: stores files in a room and fetches them.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use teatime::JoinLink;
use teatime::blobs::{BlobError, BlobHandle, BlobLimits, Blobs, Progress};
use teatime_chat::ChatOptions;

use crate::codes::error_line;
use crate::joining::{DEFAULT_ROOM, certificates, link_to_chat};
use crate::password::Password;
use crate::terminal::{Failure, say};

/// Flags of `teatime blobs`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Store a file, and print its handle.
    Put {
        /// The file to store.
        file: PathBuf,
        #[command(flatten)]
        room: Room,
    },
    /// Fetch the file of a handle.
    Get {
        /// The handle, as `put` prints it.
        handle: String,
        /// Where to write it. FILE appears only once it is complete. An interrupted download stays beside it as
        /// FILE.*.part, and the next `get` continues there.
        file: PathBuf,
        #[command(flatten)]
        room: Room,
    },
    /// Print the size of the largest file that the reflector accepts, and the bytes left in the room.
    Limits {
        #[command(flatten)]
        room: Room,
    },
}

/// Which room. Flags override the link.
#[derive(Args)]
struct Room {
    /// Join link of the room, such as teatime://host:9090/teatime.chat/room#password.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// Address of the reflector, such as ws://host:9090.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    /// Name of the room [default: lobby].
    #[arg(long, value_name = "ROOM")]
    name: Option<String>,
    #[command(flatten)]
    password: Password,
    /// Also trust these certificates (PEM) for wss:// reflectors, besides those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON, one object a line, with progress.
    #[arg(long)]
    json: bool,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.task {
        Task::Put { file, room } => {
            let blobs = room.blobs()?;
            let stored = blobs.store_file(file, &mut room.watch());
            let handle = stored.map_err(|error| room.failed(&error))?;
            let size = handle.size();
            room.say(&json!({ "event": "stored", "handle": handle, "bytes": size }), &handle);
        }
        Task::Get { handle, file, room } => {
            let parsed: Result<BlobHandle, _> = handle.parse();
            let handle = parsed.map_err(|error| Failure::Usage(error.to_string()))?;
            let fetched = room.blobs()?.fetch_file(handle, file, &mut room.watch());
            fetched.map_err(|error| room.failed(&error))?;
            let fetched = json!({ "event": "fetched", "handle": handle, "bytes": handle.size() });
            room.say(&fetched, &format_args!("{} bytes", handle.size()));
        }
        Task::Limits { room } => {
            let BlobLimits { max_blob, room: left } =
                room.blobs()?.limits().map_err(|error| room.failed(&error))?;
            let limits = json!({ "event": "limits", "max_blob": max_blob, "room": left });
            room.say(
                &limits,
                &format_args!("files of at most {max_blob} bytes; {left} bytes left in the room"),
            );
        }
    }
    Ok(())
}

impl Room {
    fn blobs(&self) -> Result<Blobs, Failure> {
        let link = link_to_chat(self.link.as_deref())?;
        let of_link = |part: fn(&JoinLink) -> Option<&str>| link.as_ref().and_then(part);
        let name = self.name.as_deref().or(of_link(|link| Some(&link.name)));
        let password = self.password.read(of_link(|link| link.password.as_deref()))?;
        let config = teatime_chat::config(name.unwrap_or(DEFAULT_ROOM), &ChatOptions::default());
        let mut config =
            config.map_err(|error| Failure::usage(&error))?.password(password.as_deref());
        config.trusted_certificates = self.ca.as_deref().map(certificates).transpose()?;
        let reflector = self.reflector.as_deref().or(of_link(|link| Some(&link.reflector)));
        let missing = || Failure::usage(&"which reflector? Give a join link or --reflector URL");
        let reflector = reflector.ok_or_else(missing)?;
        Blobs::new(&config, reflector).map_err(|error| Failure::usage(&error))
    }

    /// Reports the progress, at most a hundred times.
    fn watch(&self) -> impl FnMut(Progress) -> ControlFlow<()> {
        let (json, terminal) = (self.json, std::io::stderr().is_terminal());
        let mut shown = None;
        move |progress| {
            let percent = (progress.done * 100).checked_div(progress.total).unwrap_or(100);
            if shown.replace(percent) != Some(percent) {
                let Progress { done, total } = progress;
                if json {
                    say(&json!({ "event": "progress", "done": done, "total": total }));
                } else if terminal {
                    eprint!("\r{percent} %{}", if percent == 100 { "\n" } else { "" });
                }
            }
            ControlFlow::Continue(())
        }
    }

    fn say(&self, json: &serde_json::Value, text: &dyn std::fmt::Display) {
        if self.json { say(json) } else { say(text) }
    }

    fn failed(&self, error: &BlobError) -> Failure {
        if !self.json {
            return Failure::Failed(error.to_string());
        }
        say(&error_line(error.code(), error));
        Failure::Reported
    }
}
