//! The time of a session: what its clock says, what clients have seen of it, what of that is stored.

use crate::clock::Clock;

/// How far ahead the time of a session is stored, in µs: so a session stores one time a second.
const AHEAD: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct SessionTime {
    clock: Clock,
    /// The newest time that clients may have seen. They never see an earlier one again.
    told: u64,
    /// The newest time in the storage.
    stored: u64,
}

impl SessionTime {
    /// Stands still at the time that was told last.
    pub(super) fn restored(told: u64) -> Self {
        Self { clock: Clock::at(told), told, stored: 0 }
    }

    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// The time now. From here on clients may see it.
    pub(super) fn tell(&mut self, now: u64) -> u64 {
        self.told = self.told.max(self.clock.time(now));
        self.told
    }

    pub(super) fn start(&mut self, now: u64) {
        self.clock.start(now);
    }

    /// The clock stands still. Returns the time at which it does, to be stored.
    pub(super) fn stop(&mut self, now: u64) -> u64 {
        self.tell(now);
        self.clock.stop(now);
        self.stored = self.told;
        self.told
    }

    /// The time to store before clients may see `time`, if it is not stored yet.
    pub(super) fn store_ahead(&mut self, time: u64) -> Option<u64> {
        (time > self.stored).then(|| {
            self.stored = time + AHEAD;
            self.stored
        })
    }

    /// Covers every time that is stored, or handed in to be stored.
    pub(super) fn newest(&self) -> u64 {
        self.told.max(self.stored)
    }
}
