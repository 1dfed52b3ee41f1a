//! The lines between clients and reflector: in order, as TCP is, with delays that may be long.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use teatime_reflector::ConnId;

/// A client does not read if its line holds this many bytes more than it got at first.
const MOST_UNREAD: usize = 12 * 1024;

/// Bounds of memory are for events of at most this size, and grow with larger ones.
const SMALL_EVENT: usize = 64;

/// Sizes seen so far in the run. All bounds of memory follow from them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// Bytes of the largest event.
    pub(crate) event: usize,
    /// Bytes of the largest snapshot.
    pub(crate) state: usize,
    /// Bytes of what each session begins with.
    pub(crate) begun: usize,
}

impl Sizes {
    /// How many times larger than a small event the largest event is.
    pub(crate) fn times(self) -> usize {
        self.event.div_ceil(SMALL_EVENT).max(1)
    }
}

/// All lines, in the order in which they were opened.
#[derive(Debug, Default)]
pub(crate) struct Network {
    lines: BTreeMap<ConnId, Line>,
    next: u64,
}

/// One connection.
#[derive(Debug)]
struct Line {
    /// The participant that has opened it. `None`: a stranger.
    client: Option<usize>,
    /// The attacker that has.
    attacker: Option<usize>,
    /// Frames arrive not before these times, in order.
    up_free: u64,
    down_free: u64,
    /// Bytes on their way to the client.
    unread: usize,
    /// Most bytes that may be unread: what a joiner gets at first, and some more.
    allowed: usize,
    /// Nothing under way to the client will arrive.
    is_dead_down: bool,
}

impl Network {
    /// Opens a line for this participant, or for a stranger.
    pub(crate) fn open(&mut self, now: u64, client: Option<usize>) -> ConnId {
        let id = ConnId(self.next);
        self.next += 1;
        let line = Line {
            client,
            attacker: None,
            up_free: now,
            down_free: now,
            unread: 0,
            allowed: MOST_UNREAD,
            is_dead_down: false,
        };
        self.lines.insert(id, line);
        id
    }

    /// Opens a line for this attacker.
    pub(crate) fn open_for_attacker(&mut self, now: u64, attacker: usize) -> ConnId {
        let id = self.open(now, None);
        if let Some(line) = self.lines.get_mut(&id) {
            line.attacker = Some(attacker);
        }
        id
    }

    /// The attacker that has a line.
    pub(crate) fn attacker(&self, id: ConnId) -> Option<usize> {
        self.lines.get(&id)?.attacker
    }

    /// Forgets a line. Returns its participant, if it had one.
    pub(crate) fn close(&mut self, id: ConnId) -> Option<usize> {
        self.lines.remove(&id)?.client
    }

    pub(crate) fn open_lines(&self) -> Vec<ConnId> {
        self.lines.keys().copied().collect()
    }

    /// The participant of a line.
    pub(crate) fn client(&self, id: ConnId) -> Option<usize> {
        self.lines.get(&id)?.client
    }

    /// The participant that frames on a line reach.
    pub(crate) fn reader(&self, id: ConnId) -> Option<usize> {
        self.lines.get(&id).filter(|line| !line.is_dead_down)?.client
    }

    /// Whether a line is open in both directions.
    pub(crate) fn works(&self, id: ConnId) -> bool {
        self.lines.get(&id).is_some_and(|line| !line.is_dead_down)
    }

    /// Loses all that is under way to the client of a line. Returns false if it is closed.
    pub(crate) fn cut(&mut self, id: ConnId) -> bool {
        let line = self.lines.get_mut(&id);
        line.map(|line| line.is_dead_down = true).is_some()
    }

    /// When a frame arrives at the reflector that is sent at `at` or later.
    pub(crate) fn up(&mut self, id: ConnId, at: u64) -> Option<u64> {
        let line = self.lines.get_mut(&id)?;
        line.up_free = line.up_free.max(at);
        Some(line.up_free)
    }

    /// When a frame arrives at the client that is sent at `at` or later.
    pub(crate) fn down(&mut self, id: ConnId, at: u64) -> Option<u64> {
        let line = self.lines.get_mut(&id)?;
        line.down_free = line.down_free.max(at);
        Some(line.down_free)
    }

    /// The reflector sends this many bytes to a client.
    pub(crate) fn add_unread(&mut self, id: ConnId, bytes: usize) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.unread += bytes;
        }
    }

    /// A client has received this many bytes.
    pub(crate) fn remove_unread(&mut self, id: ConnId, bytes: usize) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.unread = line.unread.saturating_sub(bytes);
        }
    }

    /// Allows for the snapshot and the log that a joiner gets.
    pub(crate) fn allow_joiner(&mut self, id: ConnId, bytes: usize) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.allowed = line.unread + bytes + MOST_UNREAD;
        }
    }

    /// Cuts the lines of clients that do not read, and returns them.
    pub(crate) fn cut_slow(&mut self, sizes: Sizes) -> Vec<ConnId> {
        let mut slow = Vec::new();
        for (id, line) in &mut self.lines {
            if line.unread > line.allowed + MOST_UNREAD * (sizes.times() - 1) {
                (line.is_dead_down, line.unread) = (true, 0);
                slow.push(*id);
            }
        }
        slow
    }
}

/// How long a frame is under way, in µs.
pub(crate) fn delay(rng: &mut ChaCha8Rng, noise: bool, faults: bool) -> u64 {
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
