//! `teatime store`: examines the directory of a reflector that is not running, and moves sessions and rooms.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use teatime_store::{
    Error, Key, RecordInfo, Report, Rollback, RoomId, Salvaged, check, export, import, list,
    plan_rollback, records, remove_record, rollback, salvage,
};
use teatime_wire::{Digest, SessionId};

use crate::terminal::{Failure, print};

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
    /// Take a session back to what its newest snapshot has replaced, for example if that snapshot is forged or cannot be
    /// loaded. All events stay. A reflector retains this until a participant has loaded the snapshot, and then for
    /// its `--history-time`.
    Rollback {
        /// The directory of the reflector.
        dir: PathBuf,
        /// The `session_id` of the session.
        session: SessionId,
        /// Only print what would happen.
        #[arg(long)]
        dry_run: bool,
    },
    /// List what is persisted in a room, one JSON object a line: by which session and version, and what that session began
    /// with (`from`). A version begins with the first line whose version is not newer than its own.
    Records {
        /// The directory of the reflector.
        dir: PathBuf,
        /// NAME/ID of the room: its `room_name` and `room_id`.
        #[arg(value_name = "ROOM", value_parser = room)]
        room: RoomId,
    },
    /// Remove what one session has persisted in a room, for example if it is junk. Sessions that have begun with it do not
    /// change.
    RemoveRecord {
        /// The directory of the reflector.
        dir: PathBuf,
        /// NAME/ID of the room: its `room_name` and `room_id`.
        #[arg(value_name = "ROOM", value_parser = room)]
        room: RoomId,
        /// The `session_id` of the record.
        session: SessionId,
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
                if let Some(seq) = one.previous {
                    line.insert("rollback_seq".into(), seq.into());
                }
                print(&Value::Object(line))?;
            }
            Ok(())
        }
        Task::Export { dir, key, file } => {
            let output = File::create_new(file).map_err(|error| unusable(file, &error))?;
            let mut output = BufWriter::new(output);
            let written = export(dir, *key, &mut output).map_err(at(dir)).and_then(|_| {
                let file_is_whole = output.flush().and_then(|()| output.get_ref().sync_all());
                file_is_whole.map_err(|error| unusable(file, &error))
            });
            if written.is_err() {
                // An incomplete file is useless.
                let _ = std::fs::remove_file(file);
            }
            written
        }
        Task::Rollback { dir, session, dry_run } => {
            let key = Key::Session(*session);
            let done = if *dry_run { plan_rollback(dir, key) } else { rollback(dir, key) };
            let Rollback { from, to, newest } = done.map_err(at(dir))?;
            let mut line = named(key);
            let numbers = [("to_seq", to), ("lost_snapshot_seq", from), ("seq", newest)];
            line.extend(numbers.map(|(name, seq)| (name.to_owned(), seq.into())));
            // No event is: all that were ordered after the older snapshot are stored.
            line.insert("lost_events".into(), 0.into());
            line.insert("dry_run".into(), (*dry_run).into());
            print(&Value::Object(line))
        }
        Task::Records { dir, room } => {
            let all = records(dir, *room).map_err(at(dir))?;
            all.iter().try_for_each(|one| print(&record(one)))
        }
        Task::RemoveRecord { dir, room, session } => {
            let found = records(dir, *room).map_err(at(dir))?;
            remove_record(dir, *room, *session).map_err(at(dir))?;
            let removed = found.iter().find(|record| record.session == *session);
            removed.map_or(Ok(()), |one| print(&record(one)))
        }
        Task::Salvage { dir, into } => {
            let found = salvage(dir, into).map_err(at(dir))?;
            found.outcomes.iter().try_for_each(|one| print(&outcome(one)))?;
            let damages: Vec<_> = found.damages.iter().map(ToString::to_string).collect();
            print(&json!({
                "nameless": found.nameless,
                "damages": damages,
                "blobs": found.blobs.usage.blobs,
                "damaged_blob_files": found.blobs.damaged.len(),
                "incomplete_blobs": found.blobs.incomplete.len(),
            }))
        }
        Task::Import { dir, file } => {
            let input = File::open(file).map_err(|error| unusable(file, &error))?;
            let key = import(dir, BufReader::new(input)).map_err(|error| match error {
                Error::Corrupt { offset, what, .. } => {
                    let file = file.display();
                    let why = format!("{file} is corrupt at byte {offset}: {what}");
                    Failure::Failed("CORRUPT", why)
                }
                error => at(dir)(error),
            })?;
            print(&Value::Object(named(key)))
        }
    }
}

/// What a session has persisted in a room, as JSON.
fn record(one: &RecordInfo) -> Value {
    let from = one.from.map(|(session, version, hash)| {
        json!({ "session_id": session.to_string(), "version": version, "hash": hash.to_string() })
    });
    json!({
        "version": one.version, "session_id": one.session.to_string(), "hash": one.hash.to_string(),
        "bytes": one.bytes, "blobs": one.blobs, "change": one.change, "from": from,
    })
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
    print(&json!({
        "sessions": report.sessions,
        "rooms": report.rooms,
        "histories": report.histories,
        "events": report.records,
        "bytes": report.disk_bytes,
        "garbage_bytes": report.garbage_bytes,
        "torn": text(&report.torn),
        "problem": text(&report.problem),
        "blobs": report.blobs.usage.blobs,
        "blob_bytes": report.blobs.usage.bytes,
        "damaged_blob_files": report.blobs.damaged.len(),
        "incomplete_blobs": report.blobs.incomplete.len(),
    }))?;
    match (&report.problem, report.blobs.damaged.len() + report.blobs.incomplete.len()) {
        (Some(problem), _) => Err(failed(dir, problem.code(), problem)),
        (None, 0) => Ok(()),
        (None, _) => {
            let why =
                "some blobs are damaged: the participant that stored them can store them again";
            Err(failed(dir, "CORRUPT", &why))
        }
    }
}

fn at(path: &Path) -> impl Fn(Error) -> Failure {
    move |error| failed(path, error.code(), &error)
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    failed(path, "IO", error)
}

fn failed(path: &Path, code: &'static str, why: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(code, format!("{}: {why}", path.display()))
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

fn room(text: &str) -> Result<RoomId, String> {
    match key(text) {
        Ok(Key::Room(room)) => Ok(room),
        _ => Err("expected NAME/ID of a room, with 64 hexadecimal digits each".into()),
    }
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
