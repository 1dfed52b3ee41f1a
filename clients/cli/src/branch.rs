//! `teatime branch`: a new room that begins with the state of another one at some point.
//!
//! It writes a session into the directory of a reflector that is not running, as if the reflector had stored it.
//! So clients join the new room as any other, and none can join before it is complete.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use teatime::blobs::BlobHandle;
use teatime::{Config, Vm, recording};
use teatime_chat::{Chat, ChatOptions};
use teatime_store::{Error, Key, insert, new_session};

use crate::replay::{Source, state_at};
use crate::terminal::{Failure, print, tell_user};

/// Flags of `teatime branch`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Directory of a reflector that is not running. Created if it does not exist.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Name of the new room.
    #[arg(long = "as", value_name = "ROOM")]
    room: String,
    /// Password of the new room.
    #[arg(long, value_name = "PW", allow_hyphen_values = true)]
    new_password: Option<String>,
    /// Print one JSON object. An error has a code.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Creates the room.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let app = teatime_chat::app();
    let Arguments { source, into, room, new_password, .. } = arguments;
    let config = |options: &[u8]| {
        let config = Config::with_encoded_options(app.clone(), room, options);
        let config =
            config.map_err(|error| Failure::usage(&error))?.password(new_password.as_deref());
        config.check().map_err(|error| Failure::usage(&error)).map(|()| config)
    };
    // An error in the room's flags is reported before a long replay.
    config(
        &teatime_chat::config(room, &ChatOptions::default())
            .map_err(|e| Failure::usage(&e))?
            .options,
    )?;
    let (recorded, state) = state_at(source, &app)?;
    let config = config(&recorded.head.options)?;
    let id = config.session_id();
    // With the same identity and password, a message sealed for one room could be replayed in the other.
    if id == recorded.head.session {
        return Err(Failure::usage(&"--as is the room itself: give the new room another name"));
    }
    let beginning = recording::branch(&config, &state).map_err(|error| source.failed(&error))?;
    let failed = |error: Error| {
        let (into, code) = (into.display(), error.code());
        Failure::Failed(
            code,
            match error {
                Error::Exists => format!("{into}: room {room:?} exists already"),
                Error::Locked => format!("{into}: {error}: stop the reflector first"),
                error => format!("{into}: {error}"),
            },
        )
    };
    let stored = new_session(beginning).map_err(failed)?;
    insert(into, Key::Session(id), &stored).map_err(failed)?;
    report(arguments, id, &state)?;
    let snapshot = state.snapshot().map_err(|error| source.failed(&error))?;
    if BlobHandle::scan(&snapshot).next().is_some() {
        tell_user(&"the blobs were not copied: the new room has only their handles");
    }
    if source.has_password() && new_password.is_none() {
        tell_user(&"the new room has no password: set one with --new-password");
    }
    Ok(())
}

fn report(arguments: &Arguments, id: teatime_wire::SessionId, state: &Vm) -> Result<(), Failure> {
    let (seq, time, Arguments { into, room, .. }) = (state.seq(), state.time(), arguments);
    // The options are those of the first room, and part of the session's identity.
    let options = state.root::<Chat>().map(Chat::options).unwrap_or_default();
    let seconds = options.inactivity_seconds;
    if arguments.json {
        return print(&json!({
            "event": "branch", "session_id": id.to_string(), "name": room,
            "into": into.display().to_string(),
            "inactivity_seconds": seconds, "announce": options.announce, "seq": seq, "time_us": time.as_micros(),
        }));
    }
    let mut chat = format!("teatime chat --name {}", quoted(room));
    if seconds != ChatOptions::default().inactivity_seconds {
        chat += &format!(" --inactivity {seconds}");
    }
    if options.announce {
        chat += " --announce";
    }
    if arguments.new_password.is_some() {
        chat += " --password PW";
    }
    let into = quoted(&into.display().to_string());
    print(&format_args!(
        "room {room:?} begins after event {seq}, at {time}. Continue there with\n  \
         teatime reflector --data {into}\n  {chat}"
    ))
}

/// Quoted for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", teatime_chat::printable(text).replace('\'', "'\\''"))
}
