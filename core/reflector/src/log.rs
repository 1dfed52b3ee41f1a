//! The ordered messages of a session since its snapshot, as the frames that were sent.

use bytes::Bytes;
use teatime_wire::{Chain, ServerMessage, SnapshotInfo};

use crate::block::{Frames, Piece};

/// Memory of a message besides its bytes: the entry here with its value of the chain, the counter that its readers share,
/// the overhead of the allocator.
pub(crate) const PER_MESSAGE: u64 = 128;

/// Memory of messages in bytes.
fn memory(frames: &Frames) -> u64 {
    frames.bytes() + frames.len() * PER_MESSAGE
}

/// A snapshot and everything after it: what a joiner needs. Until a client has loaded the snapshot, also what it has
/// replaced.
#[derive(Debug)]
pub(crate) struct Log {
    snapshot: Option<Snapshot>,
    /// The chain before the first of the messages.
    base: Chain,
    /// The version of the app whose persisted data stands in the place of a snapshot.
    begun_by: Option<u32>,
    frames: Frames,
    newest: u64,
    previous: Option<Box<Previous>>,
}

/// A snapshot with its parts as frames.
type Snapshot = (SnapshotInfo, Vec<Bytes>);

/// What a snapshot has replaced: the one before, or what stands in its place, and the messages between the two.
#[derive(Debug)]
struct Previous {
    snapshot: Option<Snapshot>,
    base: Chain,
    begun_by: Option<u32>,
    frames: Frames,
}

impl Log {
    /// The log of a session that begins.
    pub(crate) fn starting(base: Chain) -> Self {
        let (frames, newest) = (Frames::default(), 0);
        Self { snapshot: None, base, begun_by: None, frames, newest, previous: None }
    }

    /// A snapshot that nothing follows yet.
    pub(crate) fn after_snapshot(info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Self {
        let snapshot = Some(snapshot(info, parts));
        Self { newest: info.seq, snapshot, ..Self::starting(Chain::at(info.chain)) }
    }

    /// The log of a session that begins with what this version of the app has persisted.
    pub(crate) fn begun_with(version: u32, info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Self {
        Self { begun_by: Some(version), ..Self::after_snapshot(info, parts) }
    }

    /// What this log was before a snapshot came, which nothing follows yet.
    pub(crate) fn followed_by(self, info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Self {
        let Self { snapshot, base, begun_by, frames, .. } = self;
        let previous = Some(Box::new(Previous { snapshot, base, begun_by, frames }));
        Self { previous, ..Self::after_snapshot(info, parts) }
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
        memory(&self.frames)
    }

    /// How many messages there are since the snapshot.
    pub(crate) fn events(&self) -> u64 {
        self.frames.len()
    }

    /// Memory of it all in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let previous = self.previous.as_ref();
        let snapshots = [self.snapshot.as_ref(), previous.and_then(|one| one.snapshot.as_ref())];
        let sizes = snapshots.into_iter().flatten().map(|(info, _)| info.size);
        self.whole() + sizes.sum::<u64>()
    }

    /// Memory of the newest snapshot in bytes.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |(info, _)| info.size)
    }

    /// Memory of all messages in bytes, also of those that the snapshot has replaced.
    fn whole(&self) -> u64 {
        self.bytes() + self.previous.as_ref().map_or(0, |previous| memory(&previous.frames))
    }

    /// Adds the message with the next sequence number.
    pub(crate) fn push(&mut self, frame: Bytes) {
        let before = self.frames.newest_chain().unwrap_or(self.base);
        self.newest += 1;
        let chain = before.next(&frame);
        self.frames.push(frame, chain);
    }

    /// The chain at this sequence number, if everything after it is still there.
    pub(crate) fn chain_at(&self, seq: u64) -> Option<Chain> {
        if !self.reaches_back_to(seq) {
            return None;
        }
        let covered = usize::try_from(self.events() - (self.newest - seq)).ok()?;
        match covered.checked_sub(1) {
            Some(at) => self.frames.chain_after(at),
            None => Some(self.base),
        }
    }

    /// Whether everything after this sequence number is still there.
    pub(crate) fn reaches_back_to(&self, seq: u64) -> bool {
        seq <= self.newest && self.newest - seq <= self.events()
    }

    /// The messages after this sequence number, in pieces that clients can share.
    pub(crate) fn after(&self, seq: u64) -> Vec<Piece> {
        let missing = self.newest.saturating_sub(seq);
        let first = self.events().saturating_sub(missing);
        self.frames.pieces_from(usize::try_from(first).unwrap_or(usize::MAX))
    }

    /// All messages since the snapshot.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter()
    }

    /// The snapshot, or what stands in its place, with its parts as frames.
    pub(crate) fn snapshot(&self) -> Option<&(SnapshotInfo, Vec<Bytes>)> {
        self.snapshot.as_ref()
    }

    /// Puts a snapshot in the place of everything up to it. That is retained, so that [`go_back`](Self::go_back) can undo
    /// this, unless the whole log would then have more bytes than `limit`. A snapshot that no client has loaded is not
    /// retained: what it has replaced is.
    pub(crate) fn replace_by(
        &mut self,
        info: SnapshotInfo,
        parts: &[impl AsRef<[u8]>],
        limit: u64,
    ) {
        let covered = self.frames.take_all_but(self.newest - info.seq);
        let before = self.snapshot.replace(snapshot(info, parts));
        let base = std::mem::replace(&mut self.base, Chain::at(info.chain));
        let begun_by = self.begun_by.take();
        if self.whole() + memory(&covered) >= limit {
            self.previous = None;
        }
        match &mut self.previous {
            Some(previous) => previous.frames.append(covered),
            None => {
                let previous = Previous { snapshot: before, base, begun_by, frames: covered };
                self.previous = Some(Box::new(previous));
                self.limit_previous(limit);
            }
        }
    }

    /// Forgets what the snapshot has replaced if the whole log has more bytes than this.
    pub(crate) fn limit_previous(&mut self, limit: u64) {
        if self.whole() >= limit {
            self.previous = None;
        }
    }

    /// The snapshot is here to stay: forgets what it has replaced.
    pub(crate) fn forget_previous(&mut self) {
        self.previous = None;
    }

    /// The sequence number to which [`go_back`](Self::go_back) leads: 0 for the beginning.
    pub(crate) fn previous(&self) -> Option<u64> {
        let seq = |(info, _): &Snapshot| info.seq;
        self.previous.as_ref().map(|previous| previous.snapshot.as_ref().map_or(0, seq))
    }

    /// Puts what the snapshot has replaced in its place again. No message is lost.
    pub(crate) fn go_back(&mut self) {
        if let Some(previous) = self.previous.take() {
            let Previous { snapshot, base, begun_by, frames } = *previous;
            let later = std::mem::replace(&mut self.frames, frames);
            self.frames.append(later);
            (self.snapshot, self.base, self.begun_by) = (snapshot, base, begun_by);
        }
    }
}

fn snapshot(info: SnapshotInfo, parts: &[impl AsRef<[u8]>]) -> Snapshot {
    let frame = |part: &_| ServerMessage::SnapshotPart(AsRef::as_ref(part)).encode().into();
    (info, parts.iter().map(frame).collect())
}

#[cfg(test)]
mod tests {
    use teatime_wire::{Digest, SessionId};

    use super::*;

    fn info(seq: u64) -> SnapshotInfo {
        let mut chain = start();
        (1..=seq).for_each(|n| chain = chain.next(&[n as u8; 10]));
        SnapshotInfo { seq, time: 0, hash: Digest([0; 32]), size: 4, chain: chain.value() }
    }

    fn start() -> Chain {
        Chain::start(SessionId([1; 32]), None)
    }

    fn log(messages: u8) -> Log {
        let mut log = Log::starting(start());
        (1..=messages).for_each(|n| log.push(Bytes::from(vec![n; 10])));
        log
    }

    fn numbers(log: &Log, after: u64) -> Vec<u8> {
        let each = |piece: &Piece| match piece {
            Piece::Block(block) => block.frames_from(0).map(|frame| frame[0]).collect(),
            Piece::Frame(frame) => vec![frame[0]],
        };
        log.after(after).iter().flat_map(each).collect()
    }

    fn snapshot_seq(log: &Log) -> Option<u64> {
        log.snapshot().map(|(info, _)| info.seq)
    }

    const PARTS: [[u8; 2]; 2] = [[1, 2], [3, 4]];

    #[test]
    fn a_snapshot_takes_the_place_of_what_it_covers() {
        let mut log = log(5);
        assert!(log.reaches_back_to(0) && !log.reaches_back_to(6));
        log.replace_by(info(3), &PARTS, u64::MAX);
        assert_eq!((log.newest(), log.events(), log.bytes()), (5, 2, 2 * (10 + PER_MESSAGE)));
        assert!(log.reaches_back_to(3) && !log.reaches_back_to(2));
        assert_eq!(numbers(&log, 4), [5]);
        assert_eq!(log.after(5).len(), 0);
    }

    #[test]
    fn going_back_past_snapshots_that_no_client_has_loaded_loses_no_message() {
        let mut log = log(5);
        log.replace_by(info(2), &PARTS, u64::MAX);
        log.forget_previous();
        log.replace_by(info(3), &PARTS, u64::MAX);
        log.push(Bytes::from(vec![6; 10]));
        log.replace_by(info(5), &PARTS, u64::MAX);
        assert_eq!((log.previous(), numbers(&log, 5)), (Some(2), vec![6]));
        assert_eq!(log.memory(), 4 * (10 + PER_MESSAGE) + 8);
        log.go_back();
        assert_eq!((snapshot_seq(&log), log.previous(), log.newest()), (Some(2), None, 6));
        assert_eq!(numbers(&log, 2), [3, 4, 5, 6]);
        assert_eq!((log.bytes(), log.memory()), (log.whole(), log.whole() + 4));
    }

    #[test]
    fn the_chain_goes_on_through_snapshots_and_back() {
        let at = |seq| Some(Chain::at(info(seq).chain));
        let mut log = log(5);
        assert_eq!((log.chain_at(0), log.chain_at(5), log.chain_at(6)), (at(0), at(5), None));
        log.replace_by(info(3), &PARTS, u64::MAX);
        log.push(Bytes::from(vec![6; 10]));
        assert_eq!((log.chain_at(2), log.chain_at(3), log.chain_at(6)), (None, at(3), at(6)));
        log.go_back();
        assert_eq!((log.chain_at(0), log.chain_at(2), log.chain_at(6)), (at(0), at(2), at(6)));
        let mut followed = self::log(3).followed_by(info(3), &PARTS);
        followed.push(Bytes::from(vec![4; 10]));
        assert_eq!((followed.chain_at(2), followed.chain_at(4)), (None, at(4)));
        followed.go_back();
        assert_eq!((followed.chain_at(2), followed.chain_at(4)), (at(2), at(4)));
    }

    #[test]
    fn what_is_retained_counts_into_the_limit_of_the_log() {
        let limit = 4 * (10 + PER_MESSAGE);
        let mut log = log(3);
        log.replace_by(info(2), &PARTS, limit);
        assert_eq!(log.previous(), Some(0));
        log.push(Bytes::from(vec![4; 10]));
        log.replace_by(info(3), &PARTS, limit);
        assert_eq!(log.previous(), Some(2), "the newest two that fit");
        log.push(Bytes::from(vec![5; 10]));
        log.limit_previous(limit);
        assert_eq!(log.previous(), Some(2));
        log.push(Bytes::from(vec![6; 10]));
        log.limit_previous(limit);
        assert_eq!((log.previous(), numbers(&log, 3)), (None, vec![4, 5, 6]));
    }
}
