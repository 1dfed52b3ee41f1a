//! What has come since a checkpoint, to play it once more without a turn that failed: so turns that do
//! not fail pay next to nothing for being undoable. And what has come since a state that is believed to
//! be right, to find out whether this client's still is.

use std::sync::Arc;

use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_TURNS};
use crate::recording::Input;
use crate::time::Time;
use crate::vm::External;

/// A snapshot, its position, and what came after it.
pub(crate) type SinceBelief<'a> = (Arc<[u8]>, u64, &'a [Input]);

/// States, and all that came after them.
pub(crate) struct History {
    /// A snapshot.
    pub(crate) checkpoint: Arc<[u8]>,
    /// How many future messages had been run at the instant of the checkpoint.
    pub(crate) instant_turns: u64,
    /// How many turns there were since the checkpoint.
    pub(crate) turns: u64,
    /// Those that were undone; in the order of their numbers.
    pub(crate) undone: Vec<u64>,
    /// The newest state that is believed to be right. None when too much has come since.
    base: Option<Arc<[u8]>>,
    /// Sequence number of what came before the first of the inputs.
    from: u64,
    /// All since the state that is believed, or since the checkpoint if there is none.
    pub(crate) inputs: Vec<Input>,
    /// Where those begin that came after the checkpoint.
    fresh: usize,
    bytes: usize,
    /// Turns between the state that is believed and the checkpoint.
    turns_before: u64,
}

impl History {
    /// After a state that is believed.
    pub(crate) fn new(snapshot: Arc<[u8]>, seq: u64) -> Self {
        Self {
            checkpoint: snapshot.clone(),
            instant_turns: 0,
            turns: 0,
            undone: Vec::new(),
            base: Some(snapshot),
            from: seq,
            inputs: Vec::new(),
            fresh: 0,
            bytes: 0,
            turns_before: 0,
        }
    }

    /// Begins the turn of an external event.
    pub(crate) fn record(&mut self, time: Time, external: &External<'_>) {
        let input = Input::new(time, external);
        self.bytes += input.bytes();
        self.inputs.push(input);
        self.turns += 1;
    }

    /// Whether a new checkpoint costs less than keeping all this, and playing it again.
    pub(crate) fn is_long(&self) -> bool {
        self.bytes >= MAX_HISTORY_BYTES || self.turns + self.turns_before >= MAX_HISTORY_TURNS
    }

    /// Turns from here on are undone by this snapshot of the present state. It is the state of this
    /// client and not therefore right.
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

    /// From now on the state at this position is the one that is believed: what led to it is not needed
    /// any more. Nothing changes if what came since is not all there.
    pub(crate) fn believe(&mut self, seq: u64, snapshot: Arc<[u8]>) {
        let before = usize::try_from(seq.wrapping_sub(self.from)).unwrap_or(usize::MAX);
        if before <= self.fresh {
            self.base = Some(snapshot);
            // As many as there can have been; the next checkpoint counts anew.
            self.turns_before = 0;
            self.forget(before);
        }
    }

    /// The first of the inputs are not needed any more.
    fn forget(&mut self, number: usize) {
        let forgotten: usize = self.inputs.drain(..number).map(|input| input.bytes()).sum();
        self.bytes -= forgotten;
        self.fresh -= number;
        self.from += number as u64;
    }

    /// The state that is believed, its position, and what came after it up to a position.
    pub(crate) fn since_belief(&self, until: u64) -> Option<SinceBelief<'_>> {
        let base = self.base.clone()?;
        let number = usize::try_from(until.checked_sub(self.from)?).ok()?;
        Some((base, self.from, self.inputs.get(..number)?))
    }

    /// What came after the checkpoint.
    pub(crate) fn fresh(&self) -> &[Input] {
        &self.inputs[self.fresh..]
    }

    pub(crate) fn is_undone(&self, turn: u64) -> bool {
        self.undone.binary_search(&turn).is_ok()
    }
}
