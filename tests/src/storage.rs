//! A storage that outlives its reflector, but not the test; and that fails when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use teatime_reflector::{Record, RecordKind, Storage, StorageError, Stored};
use teatime_wire::SessionId;

/// Keeps sessions in memory. Clones share what is committed, not what waits: dropping one with something
/// that waits is a crash.
#[derive(Default)]
pub struct MemoryStorage {
    kept: Arc<Mutex<Kept>>,
    waiting: Vec<Entry>,
}

#[derive(Default)]
struct Kept {
    sessions: BTreeMap<SessionId, Stored>,
    is_full: bool,
}

enum Entry {
    Begin(SessionId, Vec<u8>),
    Append(SessionId, Record),
    Checkpoint(SessionId, u64, Vec<u8>),
}

impl Clone for MemoryStorage {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone(), waiting: Vec::new() }
    }
}

impl MemoryStorage {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it has no room, or has room again.
    pub fn set_full(&self, is_full: bool) {
        self.kept().is_full = is_full;
    }

    /// What is committed.
    pub fn sessions(&self) -> BTreeMap<SessionId, Stored> {
        self.kept().sessions.clone()
    }
}

impl Storage for MemoryStorage {
    fn begin(&mut self, session: SessionId, head: &[u8]) {
        self.waiting.push(Entry::Begin(session, head.to_vec()));
    }

    fn append(&mut self, session: SessionId, seq: u64, kind: RecordKind, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.waiting.push(Entry::Append(session, Record { seq, kind, bytes }));
    }

    fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]) {
        self.waiting.push(Entry::Checkpoint(session, seq, bytes.to_vec()));
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut kept = self.kept();
        if kept.is_full {
            return Err(StorageError::Full);
        }
        for entry in waiting {
            match entry {
                Entry::Begin(session, head) => {
                    kept.sessions.insert(session, Stored { head, ..Stored::default() });
                }
                Entry::Append(session, record) => {
                    kept.sessions.entry(session).or_default().records.push(record);
                }
                Entry::Checkpoint(session, seq, bytes) => {
                    let stored = kept.sessions.entry(session).or_default();
                    stored.checkpoint = Some((seq, bytes));
                    stored.records.retain(|record| record.seq > seq);
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        Ok(self.kept().sessions.get(&session).cloned())
    }
}
