//! What a store should hold, in the simplest form.

use std::collections::BTreeMap;

use teatime_reflector::storage::RecordKind::{self, Ordered, Time};
use teatime_reflector::storage::{Checkpoint, Previous, Record, Stored};
use teatime_store::{Disk, Error, Key, Store};

use super::id;

/// All sessions and rooms.
pub(crate) type Content = BTreeMap<Key, Stored>;

/// A change.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Begin(Key, Vec<u8>),
    Append(Key, u64, RecordKind, Vec<u8>),
    Checkpoint(Key, u64, Vec<u8>),
    /// A checkpoint that retains the history back to the one with this number.
    CheckpointAfter(Key, u64, Vec<u8>, u64),
    /// A client has loaded the checkpoint with this number.
    Prove(Key, u64),
    GoBack(Key, u64),
    Remove(Key),
    Commit,
}

impl Step {
    pub(crate) fn take<D: Disk>(&self, store: &mut Store<D>) -> Result<(), Error> {
        match self {
            Self::Begin(key, head) => store.begin(*key, head),
            Self::Append(key, seq, kind, bytes) => store.append(*key, *seq, *kind, bytes),
            Self::Checkpoint(key, seq, bytes) => store.checkpoint(*key, *seq, bytes),
            Self::CheckpointAfter(key, seq, bytes, to) => {
                store.checkpoint_after(*key, *seq, bytes, Some(*to))
            }
            Self::Prove(key, seq) => store.prove(*key, *seq, RETAIN),
            Self::GoBack(key, to) => store.go_back(*key, *to),
            Self::Remove(key) => store.remove(*key),
            Self::Commit => store.commit(),
        }
    }

    pub(crate) fn commits(&self) -> bool {
        !matches!(self, Self::Begin(..) | Self::Append(..) | Self::Remove(_))
    }

    pub(crate) fn apply(&self, content: &mut Content) {
        match self.clone() {
            Self::Begin(key, head) => {
                content.insert(key, Stored { head: head.into(), ..Stored::default() });
            }
            Self::Append(key, seq, kind, bytes) => {
                let item = content.get_mut(&key).expect("it has begun");
                item.records.push(Record { seq, kind, bytes: bytes.into() });
            }
            Self::Checkpoint(key, seq, bytes) => {
                // The first checkpoint of a room begins it.
                let item = content.entry(key).or_default();
                item.records.retain(|record| record.seq > seq);
                item.checkpoint = Some(Checkpoint { seq, bytes: bytes.into() });
                item.previous = None;
            }
            Self::CheckpointAfter(key, seq, bytes, to) => {
                let item = content.get_mut(&key).expect("it has begun");
                replace(item, Checkpoint { seq, bytes: bytes.into() }, to);
            }
            Self::Prove(key, _) => content.get_mut(&key).expect("it has begun").previous = None,
            Self::GoBack(key, _) => {
                let item = content.get_mut(&key).expect("it has begun");
                let Previous { checkpoint, mut records } = item.previous.take().expect("retained");
                records.append(&mut item.records);
                (item.checkpoint, item.records) = (checkpoint, records);
            }
            Self::Remove(key) => drop(content.remove(&key)),
            Self::Commit => {}
        }
    }
}

/// For how many seconds a history is retained after the checkpoint was loaded.
pub(crate) const RETAIN: u64 = 5_000;

/// A checkpoint replaces what it stands for, which is retained back to the checkpoint with this number.
fn replace(item: &mut Stored, checkpoint: Checkpoint, to: u64) {
    let records = std::mem::take(&mut item.records);
    let (covered, later) = records.into_iter().partition(|record| record.seq <= checkpoint.seq);
    let before = item.checkpoint.replace(checkpoint);
    item.records = later;
    let newest = Previous { checkpoint: before, records: covered };
    let is_newest = newest.checkpoint.as_ref().map_or(0, |one| one.seq) == to;
    item.previous = Some(match item.previous.take() {
        Some(mut older) if !is_newest => {
            older.records.extend(newest.records);
            older
        }
        _ => newest,
    });
}

/// Everything that a store holds.
pub(crate) fn content<D: Disk>(store: &Store<D>) -> Result<Content, Error> {
    let mut all = Content::new();
    for info in store.infos() {
        let stored = store.load(info.key)?.expect("it is listed");
        assert_eq!(info.records, stored.records.len() as u64);
        all.insert(info.key, stored);
    }
    Ok(all)
}

/// A history with every kind of step, in several segments.
pub(crate) fn history() -> Vec<Step> {
    let mut steps = vec![Step::Begin(id(1), b"head of one".to_vec())];
    let append = |n: u8, seq: u64| {
        let kind = if n.is_multiple_of(2) { Time } else { Ordered };
        Step::Append(id(n), seq, kind, vec![seq as u8; 20])
    };
    steps.extend([append(1, 1), Step::Commit, Step::Begin(id(2), Vec::new()), append(2, 5)]);
    steps.extend([append(2, 5), append(1, 2), Step::Commit]);
    steps.extend([Step::Checkpoint(id(2), 5, b"two up to five".to_vec()), append(2, 5)]);
    steps.extend([Step::Begin(id(3), b"three".to_vec()), append(3, 1), Step::Commit]);
    steps.extend((3..9).flat_map(|seq| [append(1, seq), append(2, seq + 3), Step::Commit]));
    steps.extend([Step::Checkpoint(id(2), 9, b"two up to nine".to_vec()), Step::Remove(id(3))]);
    steps.extend([append(1, 9), Step::Commit]);
    steps.extend((10..14).flat_map(|seq| [append(2, seq + 3), Step::Commit]));
    steps.extend([Step::Begin(id(3), b"again".to_vec()), append(3, 0), append(1, 10)]);
    steps.extend([Step::Commit, append(1, 11), append(3, 1), Step::Commit]);
    steps
}

/// A history in which sessions go back, among commits that keep cleaning the log.
pub(crate) fn history_that_goes_back() -> Vec<Step> {
    let append = |n: u8, seq: u64| Step::Append(id(n), seq, Ordered, vec![seq as u8; 20]);
    let after = |n: u8, seq: u64, to: u64| {
        Step::CheckpointAfter(id(n), seq, format!("{n} up to {seq}").into_bytes(), to)
    };
    let busy =
        |range: std::ops::Range<u64>| range.flat_map(move |seq| [append(3, seq), Step::Commit]);
    let mut steps = vec![Step::Begin(id(1), b"one".to_vec()), append(1, 1), append(1, 2)];
    steps.extend([Step::Begin(id(2), b"two".to_vec()), append(2, 1), Step::Commit]);
    steps.extend([
        Step::Begin(id(3), b"busy".to_vec()),
        after(1, 2, 0),
        append(1, 3),
        Step::Commit,
    ]);
    // Back to the beginning, and on from there.
    steps.extend(busy(1..5));
    steps.extend([Step::GoBack(id(1), 0), append(1, 4), Step::Commit, after(1, 3, 0)]);
    // Past a checkpoint that no client has loaded.
    steps.extend([
        Step::Prove(id(1), 3),
        append(1, 5),
        after(1, 4, 3),
        append(1, 6),
        after(1, 6, 3),
    ]);
    steps.extend(busy(5..9));
    steps.push(Step::Checkpoint(id(3), 8, b"busy".to_vec()));
    steps.extend([append(1, 7), Step::Commit, Step::GoBack(id(1), 3), after(1, 7, 3)]);
    steps.extend([after(2, 1, 0), append(2, 2), Step::Remove(id(2)), Step::Commit]);
    steps.extend(busy(9..16));
    steps.push(Step::Checkpoint(id(3), 15, b"busy".to_vec()));
    steps.extend([append(1, 8), Step::Commit, Step::GoBack(id(1), 3), append(1, 9), Step::Commit]);
    steps.extend(busy(16..20));
    steps
}

/// A content in few words.
pub(crate) fn brief(content: &Content) -> String {
    let item = |(key, stored): (&Key, &Stored)| {
        let checkpoint = stored.checkpoint.as_ref();
        let checkpoint = checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes.len()));
        let records: Vec<_> =
            stored.records.iter().map(|record| (record.seq, record.kind)).collect();
        let previous = stored.previous.as_ref().map(|previous| {
            let seqs = previous.records.iter().map(|record| record.seq).collect::<Vec<_>>();
            (previous.checkpoint.as_ref().map(|checkpoint| checkpoint.seq), seqs)
        });
        format!("{key}: head {}, {checkpoint:?}, {records:?}, {previous:?}", stored.head.len())
    };
    content.iter().map(item).collect::<Vec<_>>().join("; ")
}
