//! Evidence of a client that diverged: its content, and its files.
//!
//! A client whose state was wrong replaces it and reports [`SessionEvent::Diverged`]. If
//! [`Config::evidence_dir`](crate::Config) names a directory, a file of [`Evidence`] is there by then. Only
//! this user can read it. **Its content is plain, even if the session has a password.** [`diff()`] says which
//! model and field went wrong, and after which event. So does `teatime diff FILE`; for an app whose models it
//! does not know, it cannot name the event.
//!
//! The same directory gets a [recording](crate::recording) of what led to the first handler that panics, or
//! that fails in a model of another language. [`SessionEvent::FaultRecorded`] says where.
//!
//! ```no_run
//! # use teatime::{App, Cx, handlers, model};
//! # #[model(id = "race", version = 1)]
//! # struct Race {}
//! # #[handlers]
//! # impl Race { fn init(_: &mut Cx<Self>, _: &()) -> Self { Self {} } }
//! use teatime::evidence::{diff, read};
//!
//! let app = App::builder::<Race>("org.example.race").build()?;
//! let evidence = read("diverged.evidence".as_ref())?;
//! println!("{}", diff(&evidence, Some(&app))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use teatime_session::forensics::diff::{Diff, Moment, Right, Since, SinceError, diff};
pub use teatime_session::forensics::evidence::Evidence;
use teatime_session::{Client, Disagreement, Divergence, SessionEvent};
use teatime_vm::recording::RecordingError;

use crate::private;

/// A directory holds at most this many files; the oldest are deleted.
pub const MAX_FILES: usize = 32;

/// The largest file that is read, in bytes. Evidence has three snapshots and the events that led to them; a
/// recording of this size has some ten million events.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// How the names of the files begin.
const START: &str = "teatime-";

/// How the name of evidence of a divergence ends.
const EVIDENCE: &str = ".evidence";

/// How the name of a recording of a fault ends.
pub(crate) const RECORDING: &str = ".recording";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is larger than 2 GiB.
    #[error("the file is larger than 2 GiB")]
    TooLarge,
    /// The file is not evidence or a recording, or it is damaged.
    #[error(transparent)]
    Content(#[from] RecordingError),
}

impl ReadError {
    /// The name that programs switch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "IO",
            Self::TooLarge => "TOO_LARGE",
            Self::Content(error) => error.code(),
        }
    }
}

/// Reads a file of evidence. The file need not be trusted.
///
/// # Errors
/// The file cannot be read, is too large, or is not evidence.
pub fn read(path: &Path) -> Result<Evidence, ReadError> {
    Ok(Evidence::decode(&read_bytes(path)?)?)
}

/// All of a file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    // A pipe or a device does not say how large it is.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// Writes the evidence of a divergence, or of a disagreement, into the directory that the app named, if it named one.
pub(crate) fn save(event: &mut SessionEvent, client: &Client) {
    let Some(directory) = client.config().evidence_dir.as_deref() else { return };
    match event {
        SessionEvent::Diverged(divergence) => {
            let Divergence { seq, hash, evidence, .. } = &**divergence;
            let what = &hash.to_string()[..8];
            divergence.file = Some(write(evidence, directory, client, *seq, what, EVIDENCE));
        }
        SessionEvent::Disagreement(found) => {
            let Disagreement { seq, evidence, .. } = &**found;
            let save = |evidence| write(evidence, directory, client, *seq, "builds", EVIDENCE);
            found.file = evidence.as_deref().map(save);
        }
        _ => {}
    }
}

/// Writes a file of evidence with a name of its own, and returns its path.
pub(crate) fn write(
    content: &[u8],
    directory: &Path,
    client: &Client,
    seq: u64,
    what: &str,
    end: &str,
) -> Result<PathBuf, String> {
    try_write(content, directory, client, seq, what, end).map_err(|error| {
        let directory = directory.display();
        format!("cannot write evidence into {directory}: {error}")
    })
}

fn try_write(
    content: &[u8],
    directory: &Path,
    client: &Client,
    seq: u64,
    what: &str,
    end: &str,
) -> io::Result<PathBuf> {
    private::directory().recursive(true).create(directory)?;
    make_room(directory)?;
    let (session, view) = (client.session_id().to_string(), client.view_id().to_string());
    let (session, view) = (&session[..16], &view[..8]);
    let name = format!("{START}{session}-{seq}-{view}-{what}{end}");
    let path = directory.join(name);
    let mut file = private::new_file().open(&path)?;
    let written = file.write_all(content);
    if written.is_err() {
        // An incomplete file is useless. If it stays, its checksum shows that it is incomplete.
        let _ = fs::remove_file(&path);
    }
    written.map(|()| path)
}

/// Deletes the oldest files, so that there is room for one more.
fn make_room(directory: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(START) && [EVIDENCE, RECORDING].iter().any(|end| name.ends_with(end)) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    while files.len() >= MAX_FILES {
        let Some(oldest) = (0..files.len()).min_by_key(|at| files[*at].0) else { break };
        fs::remove_file(files.swap_remove(oldest).1)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use teatime_session::Config;
    use teatime_vm::{App, ForeignModel, StateHash, Time};

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("teatime-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    /// An app whose only model always fails to start.
    pub(crate) fn app() -> App {
        let nothing = ForeignModel {
            id: "nothing".to_owned(),
            version: 1,
            code: String::new(),
            handlers: Vec::new(),
            queries: Vec::new(),
            init: Box::new(|_, _| Err("not a real model".to_owned())),
            load: Box::new(|_| Err("not a real model".to_owned())),
        };
        let app = App::builder_without_root("test.nothing").foreign_model(nothing);
        app.build().expect("it is sound")
    }

    fn saved(directory: &Path, seq: u64) -> Result<PathBuf, String> {
        let mut config = Config::new(app(), "room", &()).expect("nothing can be encoded");
        config.evidence_dir = Some(directory.to_owned());
        let client = Client::new(config, [1; 32]).expect("it is sound");
        let (time, hash) = (Time::ZERO, StateHash([2; 32]));
        let evidence = b"evidence".as_slice().into();
        let divergence = Divergence { seq, time, hash, right: None, evidence, file: None };
        let mut event = SessionEvent::Diverged(Box::new(divergence));
        save(&mut event, &client);
        let SessionEvent::Diverged(divergence) = event else { unreachable!() };
        divergence.file.expect("it was asked for")
    }

    #[test]
    fn only_the_oldest_files_of_evidence_are_deleted() {
        let directory = directory("evidence-room");
        fs::create_dir_all(&directory).expect("it can be made");
        fs::write(directory.join("mine.txt"), "mine").expect("it can be written");
        for seq in 0..MAX_FILES as u64 + 5 {
            let file = saved(&directory, seq).expect("it is written");
            let age = std::time::Duration::from_secs(1_000 - seq);
            let file = File::options().write(true).open(file).expect("it is there");
            file.set_modified(SystemTime::now() - age).expect("it can be older");
        }
        let names = fs::read_dir(&directory).expect("it is there").flatten();
        let names: Vec<_> =
            names.map(|one| one.file_name().into_string().expect("UTF-8")).collect();
        assert_eq!(names.len(), MAX_FILES + 1);
        let of = |seq: u64| names.iter().any(|name| name.contains(&format!("-{seq}-")));
        assert!(!of(4) && of(5) && of(36) && names.contains(&"mine.txt".to_owned()));
        // A file that exists already is never overwritten.
        assert!(saved(&directory, 36).expect_err("it is there").contains("cannot write evidence"));
        fs::remove_dir_all(directory).expect("it goes");
    }

    #[test]
    fn the_event_names_a_directory_that_cannot_be_written() {
        let directory = directory("evidence-file");
        fs::write(&directory, "no directory").expect("it can be written");
        let why = saved(&directory.join("below"), 1).expect_err("a file is not a directory");
        assert!(why.contains("evidence-file"), "{why}");
        fs::remove_file(directory).expect("it goes");
    }
}
