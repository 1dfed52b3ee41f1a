//! `teatime blobs`: stores files in a room and fetches them.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use teatime::JoinLink;
use teatime::blobs::{BlobError, BlobHandle, BlobLimits, Blobs, Progress};
use teatime_chat::ChatOptions;

use crate::joining::{DEFAULT_ROOM, certificates, link_to_chat};
use crate::password::Password;
use crate::terminal::{Failure, print};

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
    /// Join link of the room, as the chat shows it.
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
            let handle = blobs.store_file(file, &mut room.watch()).map_err(failed)?;
            let size = handle.size();
            room.print(&json!({ "event": "stored", "handle": handle, "bytes": size }), &handle)
        }
        Task::Get { handle, file, room } => {
            let parsed: Result<BlobHandle, _> = handle.parse();
            let handle = parsed.map_err(|error| Failure::Usage(error.to_string()))?;
            let fetched = room.blobs()?.fetch_file(handle, file, &mut room.watch());
            fetched.map_err(failed)?;
            let fetched = json!({ "event": "fetched", "handle": handle, "bytes": handle.size() });
            room.print(&fetched, &format_args!("{} bytes", handle.size()))
        }
        Task::Limits { room } => {
            let BlobLimits { max_blob, room: left } = room.blobs()?.limits().map_err(failed)?;
            let limits = json!({ "event": "limits", "max_blob": max_blob, "room": left });
            room.print(
                &limits,
                &format_args!("files of at most {max_blob} bytes; {left} bytes left in the room"),
            )
        }
    }
}

impl Arguments {
    /// Whether the user asked for JSON.
    pub(crate) fn has_json(&self) -> bool {
        let (Task::Put { room, .. } | Task::Get { room, .. } | Task::Limits { room }) = &self.task;
        room.json
    }
}

fn failed(error: BlobError) -> Failure {
    Failure::Failed(error.code(), error.to_string())
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
                    // The last line of the output reports that it cannot be written.
                    let _ = print(&json!({ "event": "progress", "done": done, "total": total }));
                } else if terminal {
                    let end = if percent == 100 { "\n" } else { "" };
                    let _ = write!(std::io::stderr(), "\r{percent} %{end}");
                }
            }
            ControlFlow::Continue(())
        }
    }

    fn print(&self, json: &serde_json::Value, text: &dyn std::fmt::Display) -> Result<(), Failure> {
        if self.json { print(json) } else { print(text) }
    }
}
