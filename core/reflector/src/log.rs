//! The ordered messages of a session since its snapshot, as the frames that were sent.

use std::collections::VecDeque;

use bytes::Bytes;
use teatime_wire::{ServerMessage, SnapshotInfo};

/// Memory of a message besides its bytes: the entry here, the counter that its readers share, the overhead of the
/// allocator.
pub(crate) const PER_MESSAGE: u64 = 96;

/// A snapshot and everything after it: what a joiner needs.
#[derive(Debug, Default)]
pub(crate) struct Log {
    snapshot: Option<(SnapshotInfo, Vec<Bytes>)>,
    /// The version of the app whose persisted data stands in the place of a snapshot.
    begun_by: Option<u32>,
    frames: VecDeque<Bytes>,
    bytes: u64,
    newest: u64,
}

impl Log {
    /// A snapshot that nothing follows yet.
    pub(crate) fn after_snapshot(info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Self {
        let mut log = Self { newest: info.seq, ..Self::default() };
        log.replace_by(info, parts);
        log
    }

    /// The log of a session that begins with what this version of the app has persisted.
    pub(crate) fn begun_with(version: u32, info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Self {
        Self { begun_by: Some(version), ..Self::after_snapshot(info, parts) }
    }

    /// The version of the app whose persisted data the session began with. `None` once there is a snapshot.
    pub(crate) fn begun_by(&self) -> Option<u32> {
        self.begun_by
    }

    /// Sequence number of the newest message; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Memory of all messages since the snapshot in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.events() * PER_MESSAGE
    }

    /// How many messages there are since the snapshot.
    pub(crate) fn events(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Memory of it all in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.bytes() + self.snapshot.as_ref().map_or(0, |(info, _)| info.size)
    }

    /// Adds the message with the next sequence number.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.newest += 1;
        self.bytes += frame.len() as u64;
        self.frames.push_back(frame);
    }

    /// Whether everything after this sequence number is still there.
    pub(crate) fn reaches_back_to(&self, seq: u64) -> bool {
        seq <= self.newest && self.newest - seq <= self.events()
    }

    /// The messages after this sequence number.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = Bytes> + '_ {
        let missing = usize::try_from(self.newest - seq).unwrap_or(usize::MAX);
        self.frames.iter().skip(self.frames.len().saturating_sub(missing)).cloned()
    }

    /// The snapshot, or what stands in its place, with its parts as frames.
    pub(crate) fn snapshot(&self) -> Option<&(SnapshotInfo, Vec<Bytes>)> {
        self.snapshot.as_ref()
    }

    /// Puts a snapshot in the place of everything up to it.
    pub(crate) fn replace_by(&mut self, info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) {
        let later = usize::try_from(self.newest - info.seq).unwrap_or(usize::MAX);
        for frame in self.frames.drain(..self.frames.len().saturating_sub(later)) {
            self.bytes -= frame.len() as u64;
        }
        let frames =
            parts.iter().map(|part| ServerMessage::SnapshotPart(part.as_ref()).encode().into());
        self.snapshot = Some((info, frames.collect()));
        self.begun_by = None;
    }
}

#[cfg(test)]
mod tests {
    use teatime_wire::Digest;

    use super::*;

    #[test]
    fn a_snapshot_takes_the_place_of_what_it_covers() {
        let mut log = Log::default();
        (1..=5u8).for_each(|n| log.push(Bytes::from(vec![n; 10])));
        assert!(log.reaches_back_to(0) && !log.reaches_back_to(6));
        let info = SnapshotInfo { seq: 3, time: 0, hash: Digest([0; 32]), size: 4 };
        log.replace_by(info, &[vec![1, 2], vec![3, 4]]);
        assert_eq!((log.newest(), log.events(), log.bytes()), (5, 2, 2 * (10 + PER_MESSAGE)));
        assert!(log.reaches_back_to(3) && !log.reaches_back_to(2));
        assert_eq!(log.after(4).map(|frame| frame[0]).collect::<Vec<_>>(), [5]);
        assert_eq!(log.after(5).count(), 0);
    }
}
