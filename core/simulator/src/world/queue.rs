//! The queue of what will happen, in the order of virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use teatime_reflector::ConnId;
use teatime_wire::CloseReason;

use crate::server::End;

/// Something that will happen.
pub(super) enum Happening {
    /// A frame reaches the reflector.
    ToReflector(ConnId, Vec<u8>),
    /// A frame reaches a client.
    ToClient(ConnId, Vec<u8>),
    /// A client's attempt to connect gets through, if it is the newest of its attempts.
    Connect(usize, u64),
    /// The reflector learns that a connection has broken.
    GoneAtReflector(ConnId),
    /// A client learns that its connection has broken.
    GoneAtClient(ConnId, Option<CloseReason>),
    /// A client steps.
    Step(usize),
    /// The user of a client does something.
    Act(usize),
    /// A timeout of the reflector is due.
    Wake,
    /// The reflector sends what has gathered.
    Flush,
    /// The reflector's process ends in this way. The number decides how long it stays away.
    End(End, u64),
    /// The disk works again.
    DiskWorks,
    /// The fault with this number happens.
    Fault(usize),
    /// An attacker does something.
    Attack(usize),
    /// A frame reaches an attacker.
    ToAttacker(ConnId, Vec<u8>),
    /// An attacker learns that the reflector has closed its connection.
    ClosedAtAttacker(ConnId, CloseReason),
    /// An attacker votes at this position.
    AttackerVotes(ConnId, u64),
    /// The reflector no longer lies in this room.
    LieEnds(usize),
    /// The lie in this room must have been found out.
    LieDue(usize),
}

struct Entry {
    time: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.order) == (other.time, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

/// Entries with an equal time keep the order in which they were added.
#[derive(Default)]
pub(super) struct Queue {
    added: u64,
    entries: BinaryHeap<Reverse<Entry>>,
}

impl Queue {
    /// Adds something that will happen at `time`.
    pub(super) fn push(&mut self, time: u64, happening: Happening) {
        self.added += 1;
        self.entries.push(Reverse(Entry { time, order: self.added, happening }));
    }

    /// Takes the next entry, if it is due by `end`.
    pub(super) fn pop_until(&mut self, end: u64) -> Option<(u64, Happening)> {
        if self.entries.peek().is_none_or(|Reverse(entry)| entry.time > end) {
            return None;
        }
        self.entries.pop().map(|Reverse(entry)| (entry.time, entry.happening))
    }
}
