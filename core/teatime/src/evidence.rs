//! Evidence of a client that diverged: what it says, and how it becomes a file.
//!
//! When this client's state was not the right one it is replaced, and the owner hears of it by
//! [`SessionEvent::Diverged`]. If [`Config::evidence_dir`](crate::Config)
//! names a directory there is a file of [`Evidence`] in it by then, which only this user can read:
//! **what it holds is plain, also if the session has a password.** [`diff()`] says which model and field
//! went wrong, and after which event; so does `teatime diff FILE`, for an app that it does not know
//! without the event.
//!
//! The same directory gets a [recording](crate::recording) of what led to the first handler that
//! panics, or fails in a model of another language: [`SessionEvent::FaultRecorded`]
//! says where.
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
use teatime_session::{Client, Divergence, SessionEvent};
use teatime_vm::recording::RecordingError;
#[cfg(feature = "recording")]
use teatime_vm::{Fault, FaultKind};

/// So many files are kept in a directory; then the oldest go.
pub const MAX_FILES: usize = 32;

/// Larger files are not read: evidence has three snapshots and what led to them, and a recording of this
/// size goes on for some ten million events.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What files that are kept begin with.
const START: &str = "teatime-";

/// What they end with: evidence of a divergence, recordings of a fault.
const ENDS: [&str; 2] = [".evidence", ".recording"];

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than what can be read at once.
    #[error("this file is too large")]
    TooLarge,
    /// It is no such file, or has been damaged.
    #[error(transparent)]
    Content(#[from] RecordingError),
}

/// Reads a file of evidence, which may come from anywhere.
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
    // What is no plain file does not say how large it is.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// How a file is made that is not there and that only this user can read.
pub(crate) fn private_file() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts the evidence of a divergence where it was asked for.
pub(crate) fn keep(event: &mut SessionEvent, client: &Client) {
    let directory = client.config().evidence_dir.as_deref();
    if let (SessionEvent::Diverged(divergence), Some(directory)) = (event, directory) {
        let Divergence { seq, hash, evidence, .. } = &**divergence;
        let what = &hash.to_string()[..8];
        divergence.file = Some(write(evidence, directory, client, *seq, what, ENDS[0]));
    }
}

/// Puts what led to a handler that failed where evidence was asked for; nothing if it was not asked for.
#[cfg(feature = "recording")]
pub(crate) fn keep_fault(fault: &Fault, client: &Client) -> Option<SessionEvent> {
    let directory = client.config().evidence_dir.as_deref()?;
    if !matches!(fault.kind, FaultKind::Panicked(_) | FaultKind::Failed(_)) {
        return None;
    }
    let recording = client.recording().filter(|recording| recording.from <= fault.seq);
    let kept = match recording {
        Some(recording) => {
            write(&recording.encode(), directory, client, fault.seq, "fault", ENDS[1])
        }
        None => Err("what led to the fault was too much to be kept".to_owned()),
    };
    Some(SessionEvent::FaultRecorded(kept))
}

fn write(
    content: &[u8],
    directory: &Path,
    client: &Client,
    seq: u64,
    what: &str,
    end: &str,
) -> Result<PathBuf, String> {
    try_write(content, directory, client, seq, what, end).map_err(|error| {
        let directory = directory.display();
        format!("the evidence cannot be kept in {directory}: {error}")
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
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(directory)?;
    make_room(directory)?;
    let (session, view) = (client.session_id().to_string(), client.view_id().to_string());
    let (session, view) = (&session[..16], &view[..8]);
    let name = format!("{START}{session}-{seq}-{view}-{what}{end}");
    let path = directory.join(name);
    let mut file = private_file().open(&path)?;
    let written = file.write_all(content);
    if written.is_err() {
        // A part of it is none. If it stays, its checksum tells.
        let _ = fs::remove_file(&path);
    }
    written.map(|()| path)
}

/// Removes the oldest files, so that there is room for one more.
fn make_room(directory: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(START) && ENDS.iter().any(|end| name.ends_with(end)) {
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

    /// An app whose only model cannot be made.
    pub(crate) fn app() -> App {
        let nothing = ForeignModel {
            id: "nothing".to_owned(),
            version: 1,
            handlers: Vec::new(),
            queries: Vec::new(),
            init: Box::new(|_, _| Err("there is none".to_owned())),
            load: Box::new(|_| Err("there is none".to_owned())),
        };
        let app = App::builder_without_root("test.nothing").foreign_model(nothing);
        app.build().expect("it is sound")
    }

    fn kept(directory: &Path, seq: u64) -> Result<PathBuf, String> {
        let mut config = Config::new(app(), "room", &()).expect("nothing can be encoded");
        config.evidence_dir = Some(directory.to_owned());
        let client = Client::new(config, [1; 32]).expect("it is sound");
        let (time, hash) = (Time::ZERO, StateHash([2; 32]));
        let evidence = b"evidence".as_slice().into();
        let divergence = Divergence { seq, time, hash, right: None, evidence, file: None };
        let mut event = SessionEvent::Diverged(Box::new(divergence));
        keep(&mut event, &client);
        let SessionEvent::Diverged(divergence) = event else { unreachable!() };
        divergence.file.expect("it was asked for")
    }

    #[test]
    fn the_oldest_files_go_and_nothing_else_does() {
        let directory = directory("evidence-room");
        fs::create_dir_all(&directory).expect("it can be made");
        fs::write(directory.join("mine.txt"), "mine").expect("it can be written");
        for seq in 0..MAX_FILES as u64 + 5 {
            let file = kept(&directory, seq).expect("it is written");
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
        // What is there already stays as it is, whoever has put it there.
        assert!(kept(&directory, 36).expect_err("it is there").contains("evidence cannot be kept"));
        fs::remove_dir_all(directory).expect("it goes");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let directory = directory("evidence-file");
        fs::write(&directory, "no directory").expect("it can be written");
        let why = kept(&directory.join("below"), 1).expect_err("it is no directory");
        assert!(why.contains("evidence-file"), "{why}");
        fs::remove_file(directory).expect("it goes");
    }
}
