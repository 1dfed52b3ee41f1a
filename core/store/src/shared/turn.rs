//! Whose turn it is to change the store.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Changes of the store come one after the other. A turn may be longer than a lock of the store: a
/// commit is synced in its turn, without the lock, so that others can read meanwhile.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    current: Option<Kind>,
    /// How many threads wait for a slow turn.
    waiting: usize,
    /// How many threads sleep: waking none would be a system call for nothing.
    sleeping: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Without waiting for the disk.
    Quick,
    /// It may wait for the disk.
    Slow,
}

/// A turn. It ends when this is dropped.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.sleeping += 1;
        let mut state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping -= 1;
        state
    }

    /// Waits for a turn in which the caller may wait for the disk.
    pub(crate) fn slow(&self) -> Turn<'_> {
        let mut state = self.state();
        state.waiting += 1;
        while state.current.is_some() {
            state = self.wait(state);
        }
        state.waiting -= 1;
        state.current = Some(Kind::Slow);
        Turn(self)
    }

    /// Waits for a turn, even behind slow ones. The caller does not wait for the disk in it.
    pub(crate) fn quick(&self) -> Turn<'_> {
        let mut state = self.state();
        while state.current.is_some() {
            state = self.wait(state);
        }
        state.current = Some(Kind::Quick);
        Turn(self)
    }

    /// The same, but not behind a slow turn: then `None`.
    pub(crate) fn quick_now(&self) -> Option<Turn<'_>> {
        let mut state = self.state();
        loop {
            match state.current {
                _ if state.waiting > 0 => return None,
                Some(Kind::Slow) => return None,
                Some(Kind::Quick) => state = self.wait(state),
                None => break,
            }
        }
        state.current = Some(Kind::Quick);
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.current = None;
        if state.sleeping > 0 {
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_turn_never_waits_for_a_slow_one() {
        let turns = Turns::default();
        let slow = turns.slow();
        assert!(turns.quick_now().is_none());
        drop(slow);
        let quick = turns.quick_now().expect("no turn is taken");
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| drop(turns.slow()));
            while turns.state().waiting == 0 {
                std::thread::yield_now();
            }
            // Otherwise quick turns could keep a slow one waiting for ever.
            assert!(turns.quick_now().is_none());
            drop(quick);
            slow.join().expect("it gets its turn");
        });
        assert!(turns.quick_now().is_some());
    }
}
