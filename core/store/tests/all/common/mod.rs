//! What a store should hold, kept in the simplest way.

use std::collections::BTreeMap;

use teatime_store::{
    Checkpoint, Config, Disk, Durability, Record, SessionId, Storage, Store, Stored,
};

/// All sessions.
pub type Content = BTreeMap<SessionId, Stored>;

/// A change of a session.
#[derive(Debug, Clone)]
pub enum Step {
    Begin(SessionId, Vec<u8>),
    Append(SessionId, u64, u8, Vec<u8>),
    Checkpoint(SessionId, u64, Vec<u8>),
    Remove(SessionId),
    Commit,
}

impl Step {
    pub fn take<D: Disk>(&self, store: &mut Store<D>) -> Result<(), teatime_store::Error> {
        match self {
            Self::Begin(id, head) => store.begin(id, head),
            Self::Append(id, seq, kind, bytes) => store.append(id, *seq, *kind, bytes),
            Self::Checkpoint(id, seq, bytes) => store.checkpoint(id, *seq, bytes),
            Self::Remove(id) => store.remove(id),
            Self::Commit => store.commit(),
        }
    }

    pub fn commits(&self) -> bool {
        matches!(self, Self::Commit | Self::Checkpoint(..))
    }

    pub fn apply(&self, content: &mut Content) {
        match self.clone() {
            Self::Begin(id, head) => {
                content.insert(id, Stored { head, checkpoint: None, records: Vec::new() });
            }
            Self::Append(id, seq, kind, bytes) => {
                let session = content.get_mut(&id).expect("it has begun");
                session.records.push(Record { seq, kind, bytes });
            }
            Self::Checkpoint(id, seq, bytes) => {
                let session = content.get_mut(&id).expect("it has begun");
                session.records.retain(|record| record.seq > seq);
                session.checkpoint = Some(Checkpoint { seq, bytes });
            }
            Self::Remove(id) => drop(content.remove(&id)),
            Self::Commit => {}
        }
    }
}

/// Everything that a store holds.
pub fn content<D: Disk>(store: &Store<D>) -> Result<Content, teatime_store::Error> {
    let mut all = Content::new();
    for session in store.sessions() {
        let stored = store.load(&session.id)?.expect("it is listed");
        assert_eq!(session.records, stored.records.len() as u64);
        all.insert(session.id, stored);
    }
    Ok(all)
}

/// A name.
pub fn id(n: u8) -> SessionId {
    [n; 32]
}

/// Segments so small that every part of their life comes to pass.
pub fn small(durability: Durability, segment_bytes: u64) -> Config {
    Config { durability, segment_bytes, ..Config::default() }
}

/// A history with every kind of step, in several segments.
pub fn history() -> Vec<Step> {
    let mut steps = vec![Step::Begin(id(1), b"head of one".to_vec())];
    let append = |n: u8, seq: u64| Step::Append(id(n), seq, n, vec![seq as u8; 20]);
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
pub fn brief(content: &Content) -> String {
    let session = |(id, stored): (&SessionId, &Stored)| {
        let checkpoint = stored.checkpoint.as_ref();
        let checkpoint = checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes.len()));
        let records: Vec<_> =
            stored.records.iter().map(|record| (record.seq, record.kind)).collect();
        format!("{}: head {}, {checkpoint:?}, {records:?}", id[0], stored.head.len())
    };
    content.iter().map(session).collect::<Vec<_>>().join("; ")
}
