//! The inputs since two earlier states.
//!
//! - Since the *checkpoint*: to undo a failed turn, the virtual machine restores the checkpoint and replays
//!   the inputs without that turn. So a turn that does not fail costs next to nothing.
//! - Since the *belief*, the newest state that all participants agree on: to find out where the state of this
//!   client went wrong, if it did.

use std::sync::Arc;

use crate::external::{External, Input};
use crate::inputs::Inputs;
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_TURNS};
use crate::time::Time;

/// A snapshot, its sequence number, and the inputs after it.
pub(crate) type SinceBelief = (Arc<[u8]>, u64, Vec<Input>);

/// Two earlier states, and the inputs after them.
pub(crate) struct History {
    /// The snapshot by which turns are undone.
    pub(crate) checkpoint: Arc<[u8]>,
    /// Number of future messages that had been run at the instant of the checkpoint.
    pub(crate) instant_turns: u64,
    /// Number of turns since the checkpoint.
    pub(crate) turns: u64,
    /// The turns since the checkpoint that were undone, in ascending order.
    pub(crate) undone: Vec<u64>,
    /// The snapshot of the belief. `None` if too much has come since.
    base: Option<Arc<[u8]>>,
    /// Sequence number before the first input.
    from: u64,
    /// The inputs since the belief, or since the checkpoint without one.
    pub(crate) inputs: Inputs,
    /// Index of the first input after the checkpoint.
    fresh: usize,
    /// Number of turns between the belief and the checkpoint.
    turns_before: u64,
}

impl History {
    /// Starts at a state that is both checkpoint and belief.
    pub(crate) fn new(snapshot: Arc<[u8]>, seq: u64) -> Self {
        Self {
            checkpoint: snapshot.clone(),
            instant_turns: 0,
            turns: 0,
            undone: Vec::new(),
            base: Some(snapshot),
            from: seq,
            inputs: Inputs::default(),
            fresh: 0,
            turns_before: 0,
        }
    }

    /// Records an external event, which is one turn.
    pub(crate) fn record(&mut self, time: Time, external: &External<'_>) {
        self.inputs.push(time, external);
        self.turns += 1;
    }

    /// Whether a new checkpoint costs less than to store these inputs and replay them.
    pub(crate) fn is_long(&self) -> bool {
        self.inputs.bytes() >= MAX_HISTORY_BYTES
            || self.turns + self.turns_before >= MAX_HISTORY_TURNS
    }

    /// Makes this snapshot of the present state the checkpoint. It does not become the belief, because only
    /// this client vouches for it.
    pub(crate) fn checkpoint(&mut self, snapshot: Arc<[u8]>, instant_turns: u64) {
        self.checkpoint = snapshot;
        self.instant_turns = instant_turns;
        self.turns_before += std::mem::take(&mut self.turns);
        self.undone.clear();
        self.fresh = self.inputs.len();
        if self.base.is_none() || self.is_long() {
            self.base = None;
            self.turns_before = 0;
            self.forget(self.fresh);
        }
    }

    /// Makes the state at this position the belief, and forgets the inputs that led to it. Nothing changes
    /// if inputs since then are missing.
    pub(crate) fn believe(&mut self, seq: u64, snapshot: Arc<[u8]>) {
        let before = usize::try_from(seq.wrapping_sub(self.from)).unwrap_or(usize::MAX);
        if before <= self.fresh {
            self.base = Some(snapshot);
            // An estimate. The next checkpoint counts again.
            self.turns_before = 0;
            self.forget(before);
        }
    }

    /// Forgets the first inputs.
    fn forget(&mut self, number: usize) {
        self.inputs.forget(number);
        self.fresh -= number;
        self.from += number as u64;
    }

    /// The belief, its sequence number, and the inputs after it up to another sequence number.
    pub(crate) fn since_belief(&self, until: u64) -> Option<SinceBelief> {
        let base = self.base.clone()?;
        let number = usize::try_from(until.checked_sub(self.from)?).ok()?;
        Some((base, self.from, self.inputs.first(number)?))
    }

    /// The inputs after the checkpoint.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = (Time, External<'_>)> {
        self.inputs.from(self.fresh)
    }

    pub(crate) fn is_undone(&self, turn: u64) -> bool {
        self.undone.binary_search(&turn).is_ok()
    }
}
