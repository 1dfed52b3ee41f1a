//! A snapshot on its way from the client that was asked for it.

use std::collections::VecDeque;

use teatime_wire::{Digest, SnapshotInfo, SnapshotPart};

use crate::views::Arrival;

/// The snapshot of a vote, from one of those who voted with the majority.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) seq: u64,
    time: u64,
    hash: Digest,
    /// Who was asked.
    pub(crate) from: Arrival,
    /// Whom to ask next if that comes to nothing.
    candidates: VecDeque<Arrival>,
    /// Of what has come. None if it is sealed: then only those who can open it can tell.
    hasher: Option<Box<blake3::Hasher>>,
    parts: Vec<Vec<u8>>,
    received: u64,
    total: Option<u64>,
    /// When somebody else is asked unless another part has come by then.
    pub(crate) deadline: u64,
}

/// What a part did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// More is to come.
    More,
    /// That was the last.
    Complete,
    /// It does not fit what came before, or is too large.
    Wrong,
    /// It is complete, and not the state that was voted for.
    Forged,
}

impl Upload {
    /// Nothing without candidates.
    pub(crate) fn new(
        seq: u64,
        time: u64,
        hash: Digest,
        is_sealed: bool,
        candidates: Vec<Arrival>,
        deadline: u64,
    ) -> Option<Self> {
        let mut candidates = VecDeque::from(candidates);
        let from = candidates.pop_front()?;
        let hasher = (!is_sealed).then(Box::default);
        let (parts, received, total) = (Vec::new(), 0, None);
        Some(Self { seq, time, hash, from, candidates, hasher, parts, received, total, deadline })
    }

    /// Somebody else is to be asked, if there is anybody left.
    pub(crate) fn next(mut self, deadline: u64) -> Option<Self> {
        self.from = self.candidates.pop_front()?;
        if let Some(hasher) = &mut self.hasher {
            hasher.reset();
        }
        Some(Self { parts: Vec::new(), received: 0, total: None, deadline, ..self })
    }

    pub(crate) fn add(&mut self, part: &SnapshotPart<'_>, most: u64) -> Added {
        let total = *self.total.get_or_insert(part.total);
        let end = self.received + part.data.len() as u64;
        let fits = part.total == total && part.offset == self.received && end <= total;
        if !fits || part.data.is_empty() || total > most {
            return Added::Wrong;
        }
        self.received = end;
        self.parts.push(part.data.to_vec());
        if let Some(hasher) = &mut self.hasher {
            hasher.update(part.data);
        }
        let is_right = |hasher: &blake3::Hasher| *hasher.finalize().as_bytes() == self.hash.0;
        match &self.hasher {
            _ if end < total => Added::More,
            Some(hasher) if !is_right(hasher) => Added::Forged,
            _ => Added::Complete,
        }
    }

    pub(crate) fn finish(self) -> (SnapshotInfo, Vec<Vec<u8>>) {
        let Self { seq, time, hash, received, parts, .. } = self;
        (SnapshotInfo { seq, time, hash, size: received }, parts)
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
        let start = |is_sealed| {
            let hash = Digest(*blake3::hash(b"abcde").as_bytes());
            Upload::new(9, 8, hash, is_sealed, vec![4, 5], 0).expect("two are there")
        };
        for (last, is_sealed, added) in [
            (b"de", true, Added::Complete),
            (b"dE", true, Added::Complete),
            (b"dE", false, Added::Forged),
        ] {
            let mut upload = start(is_sealed);
            assert_eq!(upload.add(&part(0, 5, b"abc"), 5), Added::More);
            assert_eq!(upload.add(&part(3, 5, last), 5), added);
            // Whoever is next begins at the beginning.
            let mut next = upload.next(1).expect("there is a second candidate");
            assert_eq!(next.add(&part(0, 5, b"abcde"), 5), Added::Complete);
        }
        let start = || start(false);
        let mut upload = start();
        assert_eq!(upload.add(&part(0, 5, b"abc"), 5), Added::More);
        assert_eq!(upload.add(&part(3, 5, b"de"), 5), Added::Complete);
        let (info, parts) = upload.finish();
        assert_eq!((info.seq, info.time, info.size), (9, 8, 5));
        assert_eq!(parts.concat(), b"abcde");
        for wrong in [part(1, 5, b"a"), part(0, 5, b""), part(0, 2, b"abc"), part(0, 6, b"a")] {
            assert_eq!(start().add(&wrong, 5), Added::Wrong, "{wrong:?}");
        }
        let second = start().next(1).expect("there is a second candidate");
        assert_eq!(second.from, 5);
        assert!(second.next(2).is_none());
    }
}
