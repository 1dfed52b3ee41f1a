//! `teatime branch`: a new room that begins with the state at some point of another.
//!
//! It becomes a session in the directory of a reflector, as if that had stored it: so it needs no
//! reflector that runs, nobody can be in it before it is whole, and whoever joins it does so as ever.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use teatime::blobs::BlobHandle;
use teatime::{Config, Vm, recording};
use teatime_chat::{Chat, ChatOptions};
use teatime_store::{Error, Key, insert, new_session};

use crate::codes::{Coded, in_json};
use crate::joining::usage;
use crate::replay::{Source, state_at};
use crate::{Failure, printable, tell_user};

/// Flags of `teatime branch`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The directory of a reflector that is not running; it is made if there is none.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The name of the new room.
    #[arg(long = "as", value_name = "ROOM")]
    room: String,
    /// The password of the new room.
    #[arg(long, value_name = "PW")]
    new_password: Option<String>,
    /// One JSON object; with a code if something goes wrong.
    #[arg(long)]
    json: bool,
}

/// Makes the room.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    in_json(arguments.json, run_it(arguments))
}

fn run_it(arguments: &Arguments) -> Result<(), Failure> {
    let app = teatime_chat::app();
    let Arguments { source, into, room, new_password, .. } = arguments;
    let config = |options: &[u8]| {
        let config = Config::with_encoded_options(app.clone(), room, options);
        let config = config.map_err(|error| usage(&error))?.password(new_password.as_deref());
        config.check().map_err(|error| usage(&error)).map(|()| config)
    };
    // What is wrong with the room is told before a long recording is played.
    config(&teatime_chat::config(room, &ChatOptions::default()).map_err(|e| usage(&e))?.options)?;
    let (recorded, state) = state_at(source, &app)?;
    let config = config(&recorded.head.options)?;
    let id = config.session_id();
    // With the same identity and password what was sealed for one could be passed off in the other.
    if id == recorded.head.session {
        return Err(usage(&"--as names the room itself: a branch needs a name of its own"));
    }
    let beginning = recording::branch(&config, &state).map_err(|error| source.failed(&error))?;
    let failed = |error: Error| {
        let (into, code) = (into.display(), error.code());
        Failure::Coded(
            code,
            match error {
                Error::Exists => format!("{into}: there is a room {room:?} in it already"),
                Error::Locked => format!("{into}: {error}: stop the reflector first"),
                error => format!("{into}: {error}"),
            },
        )
    };
    let stored = new_session(beginning).map_err(failed)?;
    insert(into, Key::Session(id), &stored).map_err(failed)?;
    tell(arguments, id, &state);
    let snapshot = state.snapshot().map_err(|error| source.failed(&error))?;
    if BlobHandle::scan(&snapshot).next().is_some() {
        tell_user(
            &"blobs stay with the room they were stored in: the new one has their handles only",
        );
    }
    if source.has_password() && new_password.is_none() {
        tell_user(&"the new room has no password; --new-password gives it one");
    }
    Ok(())
}

fn tell(arguments: &Arguments, id: teatime_wire::SessionId, state: &Vm) {
    let (seq, time, Arguments { into, room, .. }) = (state.seq(), state.time(), arguments);
    // They are those of the room it comes from, and part of which session is meant.
    let options = state.root::<Chat>().map(Chat::options).unwrap_or_default();
    let seconds = options.inactivity_seconds;
    if arguments.json {
        crate::say(&json!({
            "event": "branch", "session_id": id.to_string(), "name": room,
            "into": into.display().to_string(),
            "inactivity_seconds": seconds, "seq": seq, "time_us": time.as_micros(),
        }));
        return;
    }
    let mut chat = format!("teatime chat --name {}", quoted(room));
    if seconds != ChatOptions::default().inactivity_seconds {
        chat += &format!(" --inactivity {seconds}");
    }
    if arguments.new_password.is_some() {
        chat += " --password PW";
    }
    println!("room {room:?} begins after event {seq}, at {time}; go on with it by");
    println!("  teatime reflector --data {}", quoted(&into.display().to_string()));
    println!("  {chat}");
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", printable(text).replace('\'', "'\\''"))
}
