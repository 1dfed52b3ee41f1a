//! `teatime store`: examines the directory of a reflector that is not running, and moves sessions and rooms.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use teatime_store::{Error, Key, Report, RoomId, Salvaged, check, export, import, list, salvage};
use teatime_wire::{Digest, SessionId};

use crate::terminal::{Failure, say};

/// Flags of `teatime store`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Read everything and report damage.
    Check {
        /// The directory of the reflector.
        dir: PathBuf,
    },
    /// List sessions and rooms, one JSON object a line. A room has the persisted data of an app.
    List {
        /// The directory of the reflector.
        dir: PathBuf,
    },
    /// Write one session or room to a file, without its blobs: to move those, copy the directory `blobs`.
    Export {
        /// The directory of the reflector.
        dir: PathBuf,
        /// The `session_id` of a session, or NAME/ID of a room: its `room_name` and `room_id`.
        #[arg(value_name = "SESSION|ROOM", value_parser = key)]
        key: Key,
        /// The file, which must not exist yet.
        file: PathBuf,
    },
    /// Copy the readable parts of a damaged store into a new one.
    Salvage {
        /// The directory of the reflector; it does not change.
        dir: PathBuf,
        /// The directory of the new store.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// Read a session or room from a file. Refuses one that exists already.
    Import {
        /// The directory of the reflector.
        dir: PathBuf,
        /// The file.
        file: PathBuf,
    },
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.task {
        Task::Check { dir } => report(dir, &check(dir).map_err(at(dir))?),
        Task::List { dir } => {
            for one in list(dir).map_err(at(dir))? {
                let mut line = named(one.key);
                // A room has no events: its number counts how often its data was replaced.
                let number = if matches!(one.key, Key::Room(_)) { "changes" } else { "seq" };
                line.insert(number.into(), one.newest.into());
                if matches!(one.key, Key::Session(_)) {
                    line.insert("events".into(), one.records.into());
                }
                line.insert("bytes".into(), one.bytes.into());
                say(&Value::Object(line));
            }
            Ok(())
        }
        Task::Export { dir, key, file } => {
            let output = File::create_new(file).map_err(|error| failed(file, &error))?;
            let mut output = BufWriter::new(output);
            let written = export(dir, *key, &mut output).map_err(at(dir)).and_then(|_| {
                let file_is_whole = output.flush().and_then(|()| output.get_ref().sync_all());
                file_is_whole.map_err(|error| failed(file, &error))
            });
            if written.is_err() {
                // An incomplete file is useless.
                let _ = std::fs::remove_file(file);
            }
            written
        }
        Task::Salvage { dir, into } => {
            let found = salvage(dir, into).map_err(at(dir))?;
            found.outcomes.iter().for_each(|one| say(&outcome(one)));
            let damages: Vec<_> = found.damages.iter().map(ToString::to_string).collect();
            say(&json!({
                "nameless": found.nameless,
                "damages": damages,
                "blobs": found.blobs.usage.blobs,
                "damaged_blob_files": found.blobs.damaged.len(),
                "incomplete_blobs": found.blobs.incomplete.len(),
            }));
            Ok(())
        }
        Task::Import { dir, file } => {
            let input = File::open(file).map_err(|error| failed(file, &error))?;
            let key = import(dir, BufReader::new(input)).map_err(|error| match error {
                Error::Corrupt { offset, what, .. } => {
                    let file = file.display();
                    Failure::Failed(format!("{file} is corrupt at byte {offset}: {what}"))
                }
                error => at(dir)(error),
            })?;
            say(&Value::Object(named(key)));
            Ok(())
        }
    }
}

fn outcome(salvaged: &Salvaged) -> Value {
    let (key, outcome) = match salvaged {
        Salvaged::Whole(key) => (key, "whole"),
        Salvaged::UpTo(key, _) => (key, "cut_off"),
        Salvaged::Lost(key, _) => (key, "lost"),
    };
    let mut line = named(*key);
    line.insert("outcome".into(), outcome.into());
    match salvaged {
        Salvaged::Whole(_) => {}
        Salvaged::UpTo(_, seq) => drop(line.insert("last_seq".into(), (*seq).into())),
        Salvaged::Lost(_, why) => drop(line.insert("message".into(), why.to_string().into())),
    }
    Value::Object(line)
}

fn report(dir: &Path, report: &Report) -> Result<(), Failure> {
    let text = |error: &Option<Error>| error.as_ref().map(ToString::to_string);
    say(&json!({
        "sessions": report.sessions,
        "rooms": report.rooms,
        "events": report.records,
        "bytes": report.disk_bytes,
        "garbage_bytes": report.garbage_bytes,
        "torn": text(&report.torn),
        "problem": text(&report.problem),
        "blobs": report.blobs.usage.blobs,
        "blob_bytes": report.blobs.usage.bytes,
        "damaged_blob_files": report.blobs.damaged.len(),
        "incomplete_blobs": report.blobs.incomplete.len(),
    }));
    let failed =
        |what: &dyn std::fmt::Display| Err(Failure::Failed(format!("{}: {what}", dir.display())));
    match (&report.problem, report.blobs.damaged.len() + report.blobs.incomplete.len()) {
        (Some(problem), _) => failed(problem),
        (None, 0) => Ok(()),
        (None, _) => {
            failed(&"some blobs are damaged: the participant that stored them can store them again")
        }
    }
}

fn at(path: &Path) -> impl Fn(Error) -> Failure {
    move |error| failed(path, &error)
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

/// What a session or room is, as JSON.
fn named(key: Key) -> Map<String, Value> {
    let fields = match key {
        Key::Session(session) => {
            vec![("kind", "session".into()), ("session_id", session.to_string())]
        }
        Key::Room(RoomId { name, id }) => vec![
            ("kind", "room".into()),
            ("room_name", name.to_string()),
            ("room_id", id.to_string()),
        ],
    };
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

fn key(text: &str) -> Result<Key, String> {
    let digest = |text: &str| text.parse::<Digest>().ok();
    let key = match text.split_once('/') {
        None => text.parse().ok().map(|session: SessionId| Key::Session(session)),
        Some((name, id)) => {
            digest(name).zip(digest(id)).map(|(name, id)| Key::Room(RoomId { name, id }))
        }
    };
    key.ok_or_else(|| "expected 64 hexadecimal digits, or NAME/ID of a room with 64 each".into())
}
