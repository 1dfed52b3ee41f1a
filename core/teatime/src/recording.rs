//! Recordings: sessions as files that can be replayed, up to any point.
//!
//! [`Session::record`](crate::Session::record) writes all inputs of the model as they arrive: the state that the recording
//! begins with, and every event after it. So the file of a program that was killed is valid up to that point. **Its
//! content is plain, even if the session has a password.** Only this user can read it.
//!
//! The files in [`Config::evidence_dir`](crate::Config) are recordings too, or contain one: of the first handler that
//! panics, and in the [evidence](crate::evidence) of a client that diverged. [`read`] reads each of them. So do `teatime
//! replay` and `teatime branch`, for the apps whose models they have.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use teatime::{App, Config, Cx, Session, View, ViewContext, handlers, model};
//! use teatime::recording::{Until, read};
//! # #[model(id = "tally", version = 1)]
//! # struct Tally { count: u64 }
//! # #[handlers]
//! # impl Tally { fn init(_: &mut Cx<Self>, _: &()) -> Self { Self { count: 0 } } }
//! # struct TallyView;
//! # impl View for TallyView {
//! #     type Model = Tally;
//! #     type Args = ();
//! #     fn attach(_: &mut ViewContext<'_, Self>, _: &mut ()) -> Self { Self }
//! # }
//!
//! let app = App::builder::<Tally>("org.example.tally").build()?;
//! let config = Config::new(app.clone(), "lobby", &())?;
//! let mut session = Session::<TallyView>::join(config, "ws://127.0.0.1:9090")?;
//! session.record("lobby.recording".as_ref())?;
//! while session.now().as_micros() < 10_000_000 {
//!     session.step(Duration::from_millis(50));
//!     session.wait(Duration::from_millis(50));
//! }
//! session.stop_recording()?;
//!
//! let opened = read("lobby.recording".as_ref())?;
//! if let Some(cut) = &opened.cut {
//!     eprintln!("{cut}");
//! }
//! let vm = opened.recording.replay(&app, Until::Seq(3))?;
//! println!("{} after event 3, at {}", vm.hash()?, vm.time());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a session's [`Config`], [`of_archive`] turns what a reflector has stored into a recording. [`branch`] begins another
//! session with any state.

use std::io;
use std::path::{Path, PathBuf};

use teatime_session::Config;
pub use teatime_session::forensics::archive::{ArchiveError, open as of_archive};
use teatime_vm::recording::MARK;
pub use teatime_vm::recording::{
    Head, Input, Player, Recording, RecordingError, TruncatedError, Until,
};
use teatime_vm::{Time, Vm};
pub use teatime_wire::{Archive, Beginning};

pub use crate::evidence::ReadError;
use crate::evidence::{Evidence, read_bytes};

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The recording. For a client that diverged, it begins with the newest state that it had in common with the others.
    /// If that was too long ago, it has the client's last state only.
    pub recording: Recording,
    /// Why the recording ends early, if it does.
    pub cut: Option<TruncatedError>,
    /// The evidence that the recording is a part of.
    pub evidence: Option<Box<Evidence>>,
}

/// Reads a recording or a file of evidence. The file need not be trusted.
///
/// # Errors
/// The file cannot be read, is too large, or is neither.
pub fn read(path: &Path) -> Result<Opened, ReadError> {
    let file = read_bytes(path)?;
    let known = file.len().min(MARK.len());
    if known > 0 && file[..known] == MARK[..known] {
        let (recording, cut) = Recording::decode_part(&file)?;
        return Ok(Opened { recording, cut, evidence: None });
    }
    let evidence = Evidence::decode(&file)?;
    let recording = evidence.recording.clone().unwrap_or_else(|| Recording {
        head: evidence.head.clone(),
        base: evidence.own.clone(),
        from: evidence.seq,
        inputs: Vec::new(),
        until: (evidence.time, evidence.seq),
    });
    Ok(Opened { recording, cut: None, evidence: Some(Box::new(evidence)) })
}

/// Why a session cannot begin with a state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The beginning cannot be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The operating system has no random numbers.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BranchError {
    /// The name that programs switch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Archive(error) => error.code(),
            Self::Io(_) => "IO",
        }
    }
}

/// A session with this configuration that begins with the state of another. Hand the result to a reflector's storage. The
/// participants of the old session exit soon after. Random numbers differ from those of the old session from there on. A
/// model that has stored the id of the session still has the old one.
///
/// # Errors
/// The state cannot be saved for this configuration, or the operating system has no random numbers.
pub fn branch(config: &Config, state: &Vm) -> Result<Beginning, BranchError> {
    let mut entropy = [0; 16];
    getrandom::fill(&mut entropy).map_err(io::Error::other)?;
    Ok(teatime_session::forensics::archive::begin(config, state, entropy)?)
}

/// The result of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// The files. A new one begins whenever the client has missed too many events to continue.
    pub files: Vec<PathBuf>,
    /// The number of events in all files.
    pub events: u64,
    /// The session time and sequence number of the end.
    pub until: (Time, u64),
}
