//! `teatime store`: looks at the directory of a reflector that is not running, and moves sessions.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use teatime_store::{Error, Report, Salvaged, SessionId, check, export, import, list, salvage};

use crate::terminal::{Failure, say};

/// Flags of `teatime store`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Reads everything, and says whether it is sound.
    Check {
        /// The directory of the reflector.
        dir: PathBuf,
    },
    /// Lists the sessions, one JSON object a line. What is persisted in a room stands among them, with a name that begins with
    /// 74656174696d6520726f6f6d.
    List {
        /// The directory of the reflector.
        dir: PathBuf,
    },
    /// Writes one session to a file, without its blobs: to move those, copy the directory `blobs`.
    Export {
        /// The directory of the reflector.
        dir: PathBuf,
        /// The session, as `list` shows it.
        #[arg(value_parser = session)]
        session: SessionId,
        /// The file, which must not be there.
        file: PathBuf,
    },
    /// Writes what can be read of a store that is refused into a new one.
    Salvage {
        /// The directory of the reflector; it stays as it is.
        dir: PathBuf,
        /// The directory of the new store.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// Takes in a session from a file; refuses one that is there already.
    Import {
        /// The directory of the reflector.
        dir: PathBuf,
        /// The file.
        file: PathBuf,
    },
}

/// Does what is asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.task {
        Task::Check { dir } => report(dir, &check(dir).map_err(at(dir))?),
        Task::List { dir } => {
            for one in list(dir).map_err(at(dir))? {
                say(&json!({
                    "session_id": hex(&one.id),
                    "seq": one.newest,
                    "events": one.records,
                    "bytes": one.bytes,
                }));
            }
            Ok(())
        }
        Task::Export { dir, session, file } => {
            let output = File::create_new(file).map_err(|error| failed(file, &error))?;
            let mut output = BufWriter::new(output);
            let written = export(dir, session, &mut output).map_err(at(dir)).and_then(|_| {
                let file_is_whole = output.flush().and_then(|()| output.get_ref().sync_all());
                file_is_whole.map_err(|error| failed(file, &error))
            });
            if written.is_err() {
                // Half a session is none.
                let _ = std::fs::remove_file(file);
            }
            written
        }
        Task::Salvage { dir, into } => {
            let found = salvage(dir, into).map_err(at(dir))?;
            found.sessions.iter().for_each(|session| say(&outcome(session)));
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
            let session = import(dir, BufReader::new(input)).map_err(|error| match error {
                Error::Corrupt { offset, what, .. } => {
                    let file = file.display();
                    Failure::Failed(format!("{file} is corrupt at byte {offset}: {what}"))
                }
                error => at(dir)(error),
            })?;
            say(&json!({ "session_id": hex(&session) }));
            Ok(())
        }
    }
}

fn outcome(session: &Salvaged) -> serde_json::Value {
    match session {
        Salvaged::Whole(id) => json!({ "session_id": hex(id), "outcome": "whole" }),
        Salvaged::UpTo(id, seq) => {
            json!({ "session_id": hex(id), "outcome": "cut_off", "last_seq": seq })
        }
        Salvaged::Lost(id, why) => {
            json!({ "session_id": hex(id), "outcome": "lost", "message": why.to_string() })
        }
    }
}

fn report(dir: &Path, report: &Report) -> Result<(), Failure> {
    let told = |error: &Option<Error>| error.as_ref().map(ToString::to_string);
    say(&json!({
        "sessions": report.sessions,
        "events": report.records,
        "bytes": report.disk_bytes,
        "garbage_bytes": report.garbage_bytes,
        "torn": told(&report.torn),
        "problem": told(&report.problem),
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
        (None, _) => failed(&"some blobs are damaged: who stored them can store them again"),
    }
}

fn at(path: &Path) -> impl Fn(Error) -> Failure {
    move |error| failed(path, &error)
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

fn hex(id: &SessionId) -> String {
    teatime_wire::SessionId(*id).to_string()
}

fn session(text: &str) -> Result<SessionId, String> {
    let digits = text.as_bytes();
    let byte = |at: usize| {
        let pair = text.get(2 * at..2 * at + 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    let mut id = [0; 32];
    let whole = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
    for (at, to) in id.iter_mut().enumerate() {
        *to = byte(at).filter(|_| whole).ok_or("a session is 64 hexadecimal digits")?;
    }
    Ok(id)
}
