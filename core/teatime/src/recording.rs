//! Recordings: sessions as files that can be played again, up to any point of them.
//!
//! [`Session::record`](crate::Session::record) writes down all that goes into the model, as it comes: the
//! state that it begins with and every event after it. So a file whose program was killed is good up to
//! there. **What it holds is plain, also if the session has a password**, and only this user can read it.
//! Such a file is also what [`Config::evidence_dir`](crate::Config) keeps of the first handler that panics,
//! and a part of the [evidence](crate::evidence) of a client that diverged: [`read`] takes each of them.
//! So do `teatime replay` and `teatime branch`, for the apps whose models they have.
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
//! #     fn attach(_: &mut ViewContext<'_, Self>) -> Self { Self }
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
//! What a reflector has stored is a recording too, for whoever has the session's [`Config`], and any
//! state can be the beginning of another session: see [`of_archive`] and [`branch`].

use std::io;
use std::path::{Path, PathBuf};

use teatime_session::Config;
pub use teatime_session::forensics::archive::{ArchiveError, open as of_archive};
pub use teatime_vm::recording::*;
use teatime_vm::{Time, Vm};
pub use teatime_wire::{Archive, Beginning};

pub use crate::evidence::ReadError;
use crate::evidence::{Evidence, read_bytes};

/// What a file had to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What can be played. Of a client that diverged: from the newest state that it had in common with
    /// the others; if that was too long ago, only the state that it had at the end.
    pub recording: Recording,
    /// How it ends if that is not as it should.
    pub cut: Option<TruncatedError>,
    /// The evidence that it is a part of.
    pub evidence: Option<Box<Evidence>>,
}

/// Reads a recording, or a file of evidence. It may come from anywhere.
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

/// Why a state cannot be the beginning of another session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// It cannot be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The operating system has no random numbers.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The session with this configuration, beginning with the state of another: what a reflector can be
/// given as if it had stored it. Whoever was there is gone soon: models hear of their exits. The random
/// numbers are others from there on, and a model that keeps the session's id in its own state keeps the
/// old one.
pub fn branch(config: &Config, state: &Vm) -> Result<Beginning, BranchError> {
    let mut entropy = [0; 16];
    getrandom::fill(&mut entropy).map_err(io::Error::other)?;
    Ok(teatime_session::forensics::archive::begin(config, state, entropy)?)
}

/// What has been recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// The files: another one for each time when the client had missed too much to go on where it was.
    pub files: Vec<PathBuf>,
    /// How many events there are in all of them.
    pub events: u64,
    /// Session time and sequence number of the end.
    pub until: (Time, u64),
}
