//! Connections that have not reached the thread of their session: how many there may be, and which goes if there are more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::addresses::Address;

/// The slots of a listener. Clones share them.
#[derive(Clone)]
pub(super) struct Slots {
    most: usize,
    most_per_address: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By the order of their arrival.
    unfinished: BTreeMap<u64, Handshake>,
    /// Which of them come from the same address.
    of_address: HashMap<Address, BTreeSet<u64>>,
    /// How many are finished and wait for their thread.
    waiting: usize,
}

/// A handshake under way.
struct Handshake {
    address: Option<Address>,
    /// Ends it.
    task: Option<AbortHandle>,
}

/// The slot of one connection. It is free again when this is dropped.
pub(super) struct Slot {
    id: u64,
    slots: Slots,
    is_finished: bool,
}

impl Slots {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, state: Arc::default() }
    }

    /// Gives a new connection a slot. If there is none, of its address or of all, the oldest unfinished handshake ends.
    /// `None` if all slots are taken by connections that wait for their thread.
    pub(super) fn take(&self, address: Option<Address>) -> Option<Slot> {
        let mut state = self.state();
        let of_address = address.and_then(|address| state.of_address.get(&address));
        let oldest = match of_address {
            Some(own) if own.len() >= self.most_per_address => own.first().copied(),
            _ if state.unfinished.len() + state.waiting >= self.most => {
                Some(*state.unfinished.first_key_value()?.0)
            }
            _ => None,
        };
        let ended = oldest.and_then(|id| state.remove(id));
        let id = state.next;
        state.next += 1;
        state.unfinished.insert(id, Handshake { address, task: None });
        if let Some(address) = address {
            state.of_address.entry(address).or_default().insert(id);
        }
        drop(state);
        end(ended);
        Some(Slot { id, slots: self.clone(), is_finished: false })
    }

    /// Says which task is to be ended if the slot of this number is needed.
    pub(super) fn set_task(&self, id: u64, task: AbortHandle) {
        if let Some(handshake) = self.state().unfinished.get_mut(&id) {
            handshake.task = Some(task);
        }
    }

    /// Ends the oldest unfinished handshake, if there is one.
    pub(super) fn end_oldest(&self) {
        let mut state = self.state();
        let oldest = state.unfinished.first_key_value().map(|(id, _)| *id);
        let ended = oldest.and_then(|id| state.remove(id));
        drop(state);
        end(ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not while the slots are locked: the task gives its own slot back.
fn end(handshake: Option<Handshake>) {
    if let Some(task) = handshake.and_then(|handshake| handshake.task) {
        task.abort();
    }
}

impl State {
    fn remove(&mut self, id: u64) -> Option<Handshake> {
        let handshake = self.unfinished.remove(&id)?;
        if let Some(address) = handshake.address
            && let Some(own) = self.of_address.get_mut(&address)
        {
            own.remove(&id);
            if own.is_empty() {
                self.of_address.remove(&address);
            }
        }
        Some(handshake)
    }
}

impl Slot {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The handshake is finished. Until the thread of the session has taken the connection over it still counts, but is not
    /// ended for a newer one.
    pub(super) fn finish(&mut self) {
        let mut state = self.slots.state();
        if state.remove(self.id).is_some() {
            state.waiting += 1;
            self.is_finished = true;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if self.is_finished {
            state.waiting -= 1;
        } else {
            state.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<Address> {
        Address::of([192, 0, 2, last].into(), false)
    }

    fn unfinished(slots: &Slots) -> Vec<u64> {
        slots.state().unfinished.keys().copied().collect()
    }

    #[test]
    fn a_new_connection_ends_the_oldest_unfinished_handshake_and_no_finished_one() {
        let slots = Slots::new(3, 3);
        let mut first = slots.take(None).expect("a slot");
        let second = slots.take(None).expect("a slot");
        let third = slots.take(None).expect("a slot");
        first.finish();
        let fourth = slots.take(None).expect("a slot");
        assert_eq!(unfinished(&slots), [third.id(), fourth.id()]);
        drop(second);
        drop(first);
        let fifth = slots.take(None).expect("a slot");
        assert_eq!(unfinished(&slots), [third.id(), fourth.id(), fifth.id()]);
    }

    #[test]
    fn one_address_ends_only_its_own_handshakes() {
        let slots = Slots::new(10, 2);
        let other = slots.take(address(1)).expect("a slot");
        let taken: Vec<_> = (0..20).map(|_| slots.take(address(2)).expect("a slot")).collect();
        assert_eq!(unfinished(&slots), [other.id(), taken[18].id(), taken[19].id()]);
        drop((other, taken));
        assert!(slots.state().of_address.is_empty());
    }

    #[test]
    fn connections_that_wait_for_their_thread_are_bounded() {
        let slots = Slots::new(2, 2);
        let mut waiting: Vec<_> = (0..2).filter_map(|_| slots.take(None)).collect();
        waiting.iter_mut().for_each(Slot::finish);
        assert!(slots.take(None).is_none());
        waiting.pop();
        assert!(slots.take(None).is_some());
    }
}
