//! What a store should hold, in the simplest form.

use std::collections::BTreeMap;

use teatime_reflector::storage::RecordKind::{self, Ordered, Time};
use teatime_reflector::storage::{Checkpoint, Record, Stored};
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
    Remove(Key),
    Commit,
}

impl Step {
    pub(crate) fn take<D: Disk>(&self, store: &mut Store<D>) -> Result<(), Error> {
        match self {
            Self::Begin(key, head) => store.begin(*key, head),
            Self::Append(key, seq, kind, bytes) => store.append(*key, *seq, *kind, bytes),
            Self::Checkpoint(key, seq, bytes) => store.checkpoint(*key, *seq, bytes),
            Self::Remove(key) => store.remove(*key),
            Self::Commit => store.commit(),
        }
    }

    pub(crate) fn commits(&self) -> bool {
        matches!(self, Self::Commit | Self::Checkpoint(..))
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
            }
            Self::Remove(key) => drop(content.remove(&key)),
            Self::Commit => {}
        }
    }
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

/// A content in few words.
pub(crate) fn brief(content: &Content) -> String {
    let item = |(key, stored): (&Key, &Stored)| {
        let checkpoint = stored.checkpoint.as_ref();
        let checkpoint = checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes.len()));
        let records: Vec<_> =
            stored.records.iter().map(|record| (record.seq, record.kind)).collect();
        format!("{key}: head {}, {checkpoint:?}, {records:?}", stored.head.len())
    };
    content.iter().map(item).collect::<Vec<_>>().join("; ")
}
