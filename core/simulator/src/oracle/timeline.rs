//! One timeline of a session: its messages, and the state after each of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use teatime_vm::{StateHash, ViewId};

use crate::event::Event;
use crate::participant::Participant;

/// Most bytes of the newest states of a session in memory: a state is needed to explain how another one differs.
const MOST_STATE_BYTES: usize = 1024 * 1024;

/// The same for the oldest states of a run that is played twice: if a model reads a clock, an early state differs. There
/// is only one such run.
const MOST_REMEMBERED_BYTES: usize = 64 * 1024 * 1024;

/// An order of messages of a session, and the states that belong to it. A session gets another timeline if messages may
/// have been lost.
#[derive(Default)]
pub(super) struct Timeline {
    /// Each ordered message that a client has received, as a hash of its bytes.
    messages: HashMap<u64, u64>,
    /// The hash of the state after each of them.
    hashes: HashMap<u64, StateHash>,
    newest: u64,
    /// The message of the failed handler at each position.
    faults: BTreeMap<u64, String>,
    /// The sender of each event, and its counter.
    events: BTreeMap<u64, (ViewId, u64)>,
    /// The newest states, with the participant that was first in each.
    states: VecDeque<(u64, usize, Arc<Vec<u8>>)>,
    states_bytes: usize,
    /// The oldest states, if the run is played twice.
    first_states: Vec<(u64, usize, Arc<Vec<u8>>)>,
    first_bytes: usize,
}

impl Timeline {
    /// Records a message, as a hash of its bytes. Returns false if another message has its place.
    pub(super) fn record_message(&mut self, seq: u64, digest: u64) -> bool {
        *self.messages.entry(seq).or_insert(digest) == digest
    }

    pub(super) fn has_message(&self, seq: u64, digest: u64) -> bool {
        self.messages.get(&seq) == Some(&digest)
    }

    /// Records the sender of an event, and its counter.
    pub(super) fn record_event(&mut self, seq: u64, sender: (ViewId, u64)) {
        self.events.entry(seq).or_insert(sender);
    }

    /// The senders and counters of all events, in their order.
    pub(super) fn events(&self) -> impl Iterator<Item = &(ViewId, u64)> {
        self.events.values()
    }

    /// Records that a handler failed. Returns what the first participant said of it.
    pub(super) fn record_fault(&mut self, seq: u64, said: &str) -> &str {
        self.faults.entry(seq).or_insert_with(|| said.to_owned())
    }

    /// Records the state that the first participant at a position has.
    pub(super) fn record_state(
        &mut self,
        seq: u64,
        hash: StateHash,
        first: usize,
        state: Arc<Vec<u8>>,
    ) {
        self.hashes.insert(seq, hash);
        self.newest = self.newest.max(seq);
        self.remember(seq, first, state);
    }

    /// The hash of the state at a position, if a participant was there.
    pub(super) fn hash(&self, seq: u64) -> Option<StateHash> {
        self.hashes.get(&seq).copied()
    }

    /// The newest position at which a participant was.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether the state at a position is known to be another one.
    pub(super) fn is_other(&self, seq: u64, hash: StateHash) -> bool {
        self.hashes.get(&seq).is_some_and(|known| *known != hash)
    }

    /// The first participant at a position, and its state, if it is still in memory.
    pub(super) fn state(&self, seq: u64) -> Option<(usize, &[u8])> {
        let mut known = self.states.iter().chain(&self.first_states);
        let (_, first, state) = known.find(|(of, ..)| *of == seq)?;
        Some((*first, state))
    }

    /// A position, for people.
    pub(super) fn after(&self, seq: u64, all: &[Participant]) -> String {
        match self.events.get(&seq).and_then(|sent| event_of(all, *sent)) {
            Some((who, event)) => format!(
                "after seq {seq}, event {}/{} from participant {}",
                event.scope,
                event.event,
                who + 1
            ),
            None => format!("after seq {seq}"),
        }
    }

    /// Remembers an early state, within the limit.
    pub(super) fn remember_first(&mut self, seq: u64, first: usize, state: Arc<Vec<u8>>) {
        if self.first_bytes < MOST_REMEMBERED_BYTES {
            self.first_bytes += state.len();
            self.first_states.push((seq, first, state));
        }
    }

    /// Remembers the state at a position, and forgets older ones beyond the limit.
    fn remember(&mut self, seq: u64, first: usize, state: Arc<Vec<u8>>) {
        self.states_bytes += state.len();
        self.states.push_back((seq, first, state));
        while self.states_bytes > MOST_STATE_BYTES && self.states.len() > 1 {
            let oldest = self.states.pop_front();
            self.states_bytes -= oldest.map_or(0, |(_, _, state)| state.len());
        }
    }
}

/// The event of a view with this counter, and the number of its participant.
pub(super) fn event_of(
    all: &[Participant],
    (view, counter): (ViewId, u64),
) -> Option<(usize, &Event)> {
    let at = all.iter().position(|one| one.view_id() == view)?;
    let index = usize::try_from(counter.checked_sub(1)?).ok()?;
    Some((at, all[at].published().get(index)?))
}
