//! What is known of one timeline of a session: its messages, and the state after each of them.

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
    pub(super) messages: HashMap<u64, u64>,
    /// The hash of the state after each of them.
    pub(super) hashes: HashMap<u64, StateHash>,
    pub(super) newest: u64,
    /// The message of the failed handler at each position.
    pub(super) faults: BTreeMap<u64, String>,
    /// The sender of each event, and its counter.
    pub(super) events: BTreeMap<u64, (ViewId, u64)>,
    /// The newest states, with the participant that was first in each.
    states: VecDeque<(u64, usize, Arc<Vec<u8>>)>,
    states_bytes: usize,
    /// The oldest states, if the run is played twice.
    first_states: Vec<(u64, usize, Arc<Vec<u8>>)>,
    first_bytes: usize,
}

impl Timeline {
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
    pub(super) fn remember(&mut self, seq: u64, first: usize, state: Arc<Vec<u8>>) {
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
    let at = all.iter().position(|one| one.client.view_id() == view)?;
    let index = usize::try_from(counter.checked_sub(1)?).ok()?;
    Some((at, all[at].published.get(index)?))
}
