//! A snapshot on its way from the client that was asked for it.

use std::collections::VecDeque;

use teatime_wire::limits::MAX_SNAPSHOT_PART;
use teatime_wire::{Digest, SnapshotInfo, SnapshotPart};

use crate::view::Arrival;

/// What a byte takes on a slow line, in µs: 1 Mbit/s.
const SLOW_LINE: u64 = 8;

/// The snapshot of a vote, from a view that voted with the majority.
#[derive(Debug)]
pub(crate) struct Upload {
    seq: u64,
    time: u64,
    hash: Digest,
    /// The view that was asked.
    from: Arrival,
    /// The views to ask next if that comes to nothing.
    candidates: VecDeque<Arrival>,
    parts: Vec<Vec<u8>>,
    /// Of what has come.
    digest: Box<blake3::Hasher>,
    received: u64,
    total: Option<u64>,
    /// When the next candidate is asked, unless another part has come by then.
    deadline: u64,
    /// When all of it must be there.
    latest: u64,
}

/// What a part did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// More is to come.
    More,
    /// That was the last.
    Complete,
    /// It does not fit what came before, or is too large, or the whole is not what was voted for.
    Wrong,
}

impl Upload {
    /// Nothing without candidates.
    pub(crate) fn new(
        seq: u64,
        time: u64,
        hash: Digest,
        candidates: Vec<Arrival>,
        deadline: u64,
    ) -> Option<Self> {
        let mut candidates = VecDeque::from(candidates);
        let from = candidates.pop_front()?;
        let (parts, digest) = (Vec::new(), Box::default());
        let (received, total) = (0, None);
        let latest = u64::MAX;
        Some(Self {
            seq,
            time,
            hash,
            from,
            candidates,
            parts,
            digest,
            received,
            total,
            deadline,
            latest,
        })
    }

    /// The vote of the snapshot.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The view that was asked for it.
    pub(crate) fn from(&self) -> Arrival {
        self.from
    }

    /// When the next candidate is asked, unless another part has come by then.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Whether a part has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.total.is_some()
    }

    /// The memory that it takes when it is complete, in bytes, as far as that is known.
    pub(crate) fn memory(&self) -> u64 {
        self.total.unwrap_or(0)
    }

    /// The upload from the next candidate, if one is left.
    pub(crate) fn next(mut self, deadline: u64) -> Option<Self> {
        self.from = self.candidates.pop_front()?;
        let (parts, digest) = (Vec::new(), Box::default());
        let latest = u64::MAX;
        Some(Self { parts, digest, received: 0, total: None, deadline, latest, ..self })
    }

    /// Adds a part. Only what fills pieces moves the deadline, and not beyond what a slow line takes for all of
    /// it: a client that sends it in drops neither takes forever nor costs memory for each drop.
    pub(crate) fn add(
        &mut self,
        part: &SnapshotPart<'_>,
        most: u64,
        now: u64,
        timeout: u64,
    ) -> Added {
        let total = *self.total.get_or_insert_with(|| {
            self.latest = now + 6 * timeout + part.total.min(most) * SLOW_LINE;
            part.total
        });
        let end = self.received + part.data.len() as u64;
        let fits = part.total == total && part.offset == self.received && end <= total;
        if !fits || part.data.is_empty() || total > most {
            return Added::Wrong;
        }
        self.received = end;
        self.digest.update(part.data);
        match self.parts.last_mut() {
            Some(last) if last.len() + part.data.len() <= MAX_SNAPSHOT_PART => {
                last.extend_from_slice(part.data);
            }
            _ => {
                self.parts.push(part.data.to_vec());
                self.deadline = self.latest.min(now + timeout);
            }
        }
        if end < total {
            Added::More
        } else if *self.digest.finalize().as_bytes() == self.hash.0 {
            Added::Complete
        } else {
            Added::Wrong
        }
    }

    /// The snapshot of a log with this value of the chain at the vote.
    pub(crate) fn finish(self, chain: Digest) -> (SnapshotInfo, Vec<Vec<u8>>) {
        let Self { seq, time, hash, received, parts, .. } = self;
        (SnapshotInfo { seq, time, hash, size: received, chain }, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, total: u64, data: &[u8]) -> SnapshotPart<'_> {
        SnapshotPart { seq: 9, offset, total, data }
    }

    #[test]
    fn parts_must_follow_each_other_up_to_the_total() {
        let hash = Digest(*blake3::hash(b"abcde").as_bytes());
        let start = || Upload::new(9, 8, hash, vec![4, 5], 0).expect("two are there");
        let mut upload = start();
        assert_eq!(upload.add(&part(0, 5, b"abc"), 5, 7, 0), Added::More);
        assert_eq!(upload.add(&part(3, 5, b"de"), 5, 8, 0), Added::Complete);
        assert_eq!(upload.deadline, 7, "a piece that is not full does not move it");
        let (info, parts) = upload.finish(hash);
        assert_eq!((info.seq, info.time, info.size), (9, 8, 5));
        assert_eq!(parts, [b"abcde"]);
        for wrong in [
            part(1, 5, b"a"),
            part(0, 5, b""),
            part(0, 2, b"abc"),
            part(0, 6, b"a"),
            part(0, 5, b"abcdf"),
        ] {
            assert_eq!(start().add(&wrong, 5, 7, 0), Added::Wrong, "{wrong:?}");
        }
        // However regularly pieces come, at some time it is enough.
        let mut endless = start();
        let piece = vec![7; MAX_SNAPSHOT_PART];
        let total = 3 * piece.len() as u64;
        let latest = 6_000 + total * SLOW_LINE;
        assert_eq!(endless.add(&part(0, total, &piece), total, 0, 1_000), Added::More);
        assert_eq!(endless.deadline, 1_000);
        let second = part(piece.len() as u64, total, &piece);
        assert_eq!(endless.add(&second, total, latest - 1, 1_000), Added::More);
        assert_eq!(endless.deadline, latest);
        let second = start().next(1).expect("there is a second candidate");
        assert_eq!(second.from, 5);
        assert!(second.next(2).is_none());
    }
}
