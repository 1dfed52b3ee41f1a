//! Evidence: everything about a state that was not the right one, in a file.
//!
//! A client that diverged makes it: its own state at the vote, the right one if it got to know it, what
//! led to them, and who it is. It is plain, also if the session has a password: whoever has the file
//! can read what was said in the session.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teatime_vm::recording::{Head, Mark, Recording, RecordingError, of_file, to_file};
use teatime_vm::{StateHash, Time, ViewId};

/// What the file begins with.
const MARK: &Mark = b"TeaTmEvi";

/// Everything about a state that was not the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of which session it is, and what program has made it.
    pub head: Head,
    /// Name and version of that program as it says.
    pub agent: String,
    /// Which view it was.
    pub view: ViewId,
    /// Sequence number of the vote that found it.
    pub seq: u64,
    /// Session time of the vote.
    pub time: Time,
    /// How many agreed on another state; without a majority, how many agreed at most.
    pub agreed: u32,
    /// How many were asked.
    pub of: u32,
    /// The state of this client at the vote, as a snapshot.
    #[serde(with = "teatime_vm::optional_bytes")]
    pub own: Option<Arc<[u8]>>,
    /// The right one, if it got to know it.
    #[serde(with = "teatime_vm::optional_bytes")]
    pub right: Option<Arc<[u8]>>,
    /// The newest state that it had in common with the others, and what came after it.
    pub recording: Option<Recording>,
    /// What this client computed from that when it played it again: the hash of its state after the
    /// events with these numbers.
    pub replayed: Vec<(u64, StateHash)>,
}

impl Evidence {
    /// The bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        to_file(MARK, self)
    }

    /// Reads the bytes of a file, which may come from anywhere.
    pub fn decode(file: &[u8]) -> Result<Self, RecordingError> {
        let evidence: Self = of_file(MARK, file)?;
        if let Some(recording) = &evidence.recording {
            recording.check()?;
            if recording.head != evidence.head || recording.until != (evidence.time, evidence.seq) {
                return Err(RecordingError::Content("its recording is of something else".into()));
            }
        }
        if evidence.own.is_none() {
            return Err(RecordingError::Content("there is no state in it".into()));
        }
        Ok(evidence)
    }

    /// Hash of this client's state at the vote.
    pub fn own_hash(&self) -> StateHash {
        StateHash::of(self.own.as_deref().unwrap_or_default())
    }

    /// Hash of the right one.
    pub fn right_hash(&self) -> Option<StateHash> {
        self.right.as_deref().map(StateHash::of)
    }
}
