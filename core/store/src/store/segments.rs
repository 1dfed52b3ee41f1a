//! The segments of the log, and how much of each still lives.

use std::collections::BTreeMap;

/// Bytes of a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    length: u64,
    /// Bytes of its living entries.
    live: u64,
}

/// The segments of the log.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: BTreeMap<u64, Usage>,
    first: u64,
}

impl Segments {
    /// The oldest segment that counts.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Segments before this one do not count.
    pub(crate) fn raise_first(&mut self, first: u64) {
        self.first = self.first.max(first);
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// In bytes, if the log has this segment.
    pub(crate) fn length(&self, number: u64) -> Option<u64> {
        self.all.get(&number).map(|usage| usage.length)
    }

    /// Adds a segment, or changes its length.
    pub(crate) fn set_length(&mut self, number: u64, length: u64) {
        self.all.entry(number).or_default().length = length;
    }

    /// Adds to the bytes of living entries, if the log has this segment.
    pub(crate) fn change_live(&mut self, number: u64, difference: i64) {
        if let Some(usage) = self.all.get_mut(&number) {
            usage.live = usage.live.saturating_add_signed(difference);
        }
    }

    /// Whether nothing lives in a segment.
    pub(crate) fn is_garbage(&self, number: u64) -> bool {
        self.all.get(&number).is_none_or(|usage| usage.live == 0)
    }

    /// The oldest segment on the disk, if it no longer counts.
    pub(crate) fn obsolete(&self) -> Option<u64> {
        let (number, _) = self.all.first_key_value()?;
        (*number < self.first).then_some(*number)
    }

    /// The disk no longer has the oldest segment.
    pub(crate) fn forget_oldest(&mut self) {
        self.all.pop_first();
    }

    /// Forgets the segments that no longer count.
    pub(crate) fn forget_obsolete(&mut self) {
        self.all = self.all.split_off(&self.first);
    }

    /// Bytes of all segments, and of their living entries.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let sum = |field: fn(&Usage) -> u64| self.all.values().map(field).sum();
        (sum(|usage| usage.length), sum(|usage| usage.live))
    }
}
