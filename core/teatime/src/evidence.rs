//! Evidence of a client that diverged: what it says, and how it becomes a file.
//!
//! When this client's state was not the right one it is replaced, and the owner hears of it by
//! [`SessionEvent::Diverged`](crate::SessionEvent::Diverged). If [`Config::evidence_dir`](crate::Config)
//! names a directory there is a file of [`Evidence`] in it by then, which only this user can read:
//! **what it holds is plain, also if the session has a password.** [`diff()`] says which model and field
//! went wrong, and after which event; so does `teatime diff FILE`, for an app that it does not know
//! without the event.
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

pub use teatime_session::diff::{Diff, Moment, Right, Since, Why, diff};
pub use teatime_session::evidence::Evidence;
use teatime_session::{Client, Divergence, SessionEvent};
use teatime_vm::recording::RecordingError;

/// So many files are kept in a directory; then the oldest go.
pub const MAX_FILES: usize = 32;

/// Larger files are none: three snapshots and what led to them.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What files of evidence begin and end with.
const NAME: (&str, &str) = ("teatime-", ".evidence");

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than evidence can be.
    #[error("this file is too large to be evidence")]
    TooLarge,
    /// It is no evidence, or has been damaged.
    #[error(transparent)]
    Content(#[from] RecordingError),
}

/// Reads a file of evidence, which may come from anywhere.
pub fn read(path: &Path) -> Result<Evidence, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(Evidence::decode(&bytes)?)
}

/// Puts the evidence of a divergence where it was asked for.
pub(crate) fn keep(event: &mut SessionEvent, client: &Client) {
    let directory = client.config().evidence_dir.as_deref();
    if let (SessionEvent::Diverged(divergence), Some(directory)) = (event, directory) {
        let written = write(divergence, directory, client);
        divergence.file = Some(written.map_err(|error| {
            let directory = directory.display();
            format!("the evidence cannot be kept in {directory}: {error}")
        }));
    }
}

fn write(divergence: &Divergence, directory: &Path, client: &Client) -> io::Result<PathBuf> {
    let mut options = File::options();
    options.write(true).create_new(true);
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        options.mode(0o600);
        folders.mode(0o700);
    }
    folders.create(directory)?;
    make_room(directory)?;
    let (start, end) = NAME;
    let session = client.session_id().to_string();
    let (view, own) = (client.view_id().to_string(), divergence.hash.to_string());
    let (session, view, own) = (&session[..16], &view[..8], &own[..8]);
    let name = format!("{start}{session}-{}-{view}-{own}{end}", divergence.seq);
    let path = directory.join(name);
    let mut file = options.open(&path)?;
    let written = file.write_all(&divergence.evidence);
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
        if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    while files.len() >= MAX_FILES {
        let Some(oldest) = (0..files.len()).min_by_key(|at| files[*at].0) else { break };
        fs::remove_file(files.swap_remove(oldest).1)?;
    }
    Ok(())
}
