//! The lines between clients and reflector: in order, as TCP is, with delays that may be long.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use teatime_reflector::ConnId;

/// A line that holds so much more towards a client than what it got at first is one that nobody reads.
const MOST_UNREAD: usize = 12 * 1024;

/// Bounds are those of events that are no larger than this, and grow with larger ones.
const SMALL_EVENT: usize = 64;

/// How large is what is played, as far as it is known by now: all bounds of memory follow from it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    /// Bytes of the largest event.
    pub(super) event: usize,
    /// Bytes of the largest snapshot.
    pub(super) state: usize,
    /// Bytes of what each session begins with.
    pub(super) begun: usize,
}

impl Sizes {
    /// How many times as large as small ones the events are.
    pub(super) fn times(self) -> usize {
        self.event.div_ceil(SMALL_EVENT).max(1)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    /// Whose it is; nobody's, if it is no client of the simulator that made it.
    pub(super) client: Option<usize>,
    /// Frames arrive not before these times, in order.
    up_free: u64,
    down_free: u64,
    /// Bytes on their way to the client.
    pub(super) unread: usize,
    /// More than this may not be: what a joiner gets at first, and some more.
    pub(super) allowed: usize,
    /// Nothing that is on its way to the client will arrive any more.
    pub(super) is_dead_down: bool,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) lines: BTreeMap<ConnId, Line>,
    next: u64,
}

impl Network {
    pub(super) fn open(&mut self, now: u64, client: Option<usize>) -> ConnId {
        let id = ConnId(self.next);
        self.next += 1;
        let line = Line {
            client,
            up_free: now,
            down_free: now,
            unread: 0,
            allowed: MOST_UNREAD,
            is_dead_down: false,
        };
        self.lines.insert(id, line);
        id
    }

    /// When something that is sent to the reflector at `at` at the earliest gets there.
    pub(super) fn up(&mut self, id: ConnId, at: u64) -> Option<u64> {
        let line = self.lines.get_mut(&id)?;
        line.up_free = line.up_free.max(at);
        Some(line.up_free)
    }

    /// When something that is sent to the client at `at` at the earliest gets there.
    pub(super) fn down(&mut self, id: ConnId, at: u64) -> Option<u64> {
        let line = self.lines.get_mut(&id)?;
        line.down_free = line.down_free.max(at);
        Some(line.down_free)
    }
}

impl Line {
    /// Whether so much waits for the client that it must be taken for one that does not read.
    pub(super) fn is_unread(&self, sizes: Sizes) -> bool {
        self.unread > self.allowed + MOST_UNREAD * (sizes.times() - 1)
    }

    /// A joiner has got a snapshot and a log: reading that may take a while.
    pub(super) fn allow_joiner(&mut self, bytes: usize) {
        self.allowed = self.unread + bytes + MOST_UNREAD;
    }
}

/// How long something takes over a line, in µs.
pub(super) fn delay(rng: &mut ChaCha8Rng, noise: bool, faults: bool) -> u64 {
    if !noise {
        return 1_000;
    }
    let base = 200 + rng.next_u64() % 30_000;
    if faults && rng.next_u64().is_multiple_of(50) {
        base + rng.next_u64() % 2_000_000
    } else {
        base
    }
}
