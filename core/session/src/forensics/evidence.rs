//! Evidence: everything about a state that was wrong, or that two programs disagree about, in a file.
//!
//! A client that diverged makes it, and all clients make it if two programs disagree. The file has the client's own state at the vote, the right one if the client got
//! to know it, the events that led to them, and which view it was. It is plain, even if the session has a password:
//! a reader of the file can read what was said in the session.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teatime_vm::recording::{Head, Mark, Recording, RecordingError, of_file, to_file};
use teatime_vm::{StateHash, Time, ViewId};

use crate::event::Side;

/// The first bytes of the file.
const MARK: &Mark = b"TeaTmEvi";

/// Everything about a state that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The session, and the program that made the file.
    pub head: Head,
    /// Name and version of that program, as it says.
    pub agent: String,
    /// The view that had the state.
    pub view: ViewId,
    /// Sequence number of the vote that found it.
    pub seq: u64,
    /// Session time of the vote.
    pub time: Time,
    /// How many participants agreed on another state. Without a majority, the most that agreed on any.
    pub agreed: u32,
    /// How many participants counted.
    pub of: u32,
    /// The state of this client at the vote, as a snapshot.
    #[serde(with = "teatime_vm::optional_bytes")]
    pub own: Option<Arc<[u8]>>,
    /// The right state, if the client got to know it.
    #[serde(with = "teatime_vm::optional_bytes")]
    pub right: Option<Arc<[u8]>>,
    /// If two programs disagree: the states that come out when the log is replayed, and what was built from what.
    pub sides: Vec<Side>,
    /// The newest state that the client had in common with the others, and the events after it.
    pub recording: Option<Recording>,
    /// What the client came to when it replayed that: sequence numbers of events, and the hash of its state after
    /// each.
    pub replayed: Vec<(u64, StateHash)>,
}

impl Evidence {
    /// The bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        to_file(MARK, self)
    }

    /// Reads the bytes of a file, which may come from anywhere.
    ///
    /// # Errors
    /// If they are not a file of evidence, damaged, or contradict themselves.
    pub fn decode(file: &[u8]) -> Result<Self, RecordingError> {
        let evidence: Self = of_file(MARK, file)?;
        if let Some(recording) = &evidence.recording {
            recording.check()?;
            if recording.head != evidence.head || recording.until != (evidence.time, evidence.seq) {
                return Err(RecordingError::Content(
                    "its recording belongs to something else".into(),
                ));
            }
        }
        if evidence.own.is_none() {
            return Err(RecordingError::Content("it has no state".into()));
        }
        Ok(evidence)
    }

    /// Hash of this client's state at the vote.
    pub fn own_hash(&self) -> StateHash {
        StateHash::of(self.own.as_deref().unwrap_or_default())
    }

    /// Hash of the right state.
    pub fn right_hash(&self) -> Option<StateHash> {
        self.right.as_deref().map(StateHash::of)
    }
}
