//! What a recording consists of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Head, RecordingError};
use crate::external::Input;
use crate::time::Time;
use crate::vm::Vm;

/// Where a session can be played from, and what to play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The session and the program that it is of.
    pub head: Head,
    /// The snapshot to start from. Without one the session starts from scratch.
    #[serde(with = "crate::optional_bytes")]
    pub base: Option<Arc<[u8]>>,
    /// The newest sequence number that the base covers.
    pub from: u64,
    /// What came after the base. Sequence numbers go up by one.
    pub inputs: Vec<Input>,
    /// Time and sequence number at which it ends.
    pub until: (Time, u64),
}

impl Recording {
    /// Checks that the inputs are in order and can be played.
    ///
    /// [`decode`](Self::decode) has done so already. Call this for a recording that was read as a part of
    /// something else.
    ///
    /// # Errors
    /// [`RecordingError::Content`].
    pub fn check(&self) -> Result<(), RecordingError> {
        let wrong = |what: &str| Err(RecordingError::Content(what.to_owned()));
        if !self.inputs.iter().all(Input::is_sound) {
            return wrong("scope and event of an input are not text");
        }
        let newest = self.inputs.last().map_or(Time::ZERO, |input| input.time);
        let number = self.inputs.len() as u64;
        if self.from.checked_add(number) != Some(self.until.1) || newest > self.until.0 {
            return wrong("it ends at another position than it says");
        }
        Ok(())
    }
}

impl Vm {
    /// A recording from the newest trusted state up to `until`, a time and a sequence number. `options`
    /// are those of the root model, as MessagePack.
    ///
    /// The trusted state is the one that this virtual machine was restored from, or a later one that
    /// [`believe`](Vm::believe) named. Returns `None` if too much has come since to hold it in memory, or
    /// if `until` is not in what has come since.
    pub fn recording(&self, options: &[u8], until: (Time, u64)) -> Option<Recording> {
        let (base, from, inputs) = self.since_belief(until.1)?;
        let head = Head::new(self.app(), self.session_id(), options);
        Some(Recording { head, base: Some(base), from, inputs, until })
    }
}
