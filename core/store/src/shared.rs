//! A store as the reflectors of a server share it: each on a thread of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use teatime_reflector::{Record, RecordKind, StorageError, Stored};
use teatime_wire::SessionId;

use crate::{Disk, Error, Storage, Store};

/// A store that several reflectors use. What one of them gathers goes to the store with its commit, so
/// that the failure of one takes nothing from another. Clones share the store.
pub struct Shared<D: Disk> {
    store: Arc<Mutex<Store<D>>>,
    waiting: Vec<Change>,
}

enum Change {
    Begin(SessionId, Vec<u8>),
    Append(SessionId, u64, RecordKind, Vec<u8>),
    Checkpoint(SessionId, u64, Vec<u8>),
}

impl<D: Disk> Shared<D> {
    /// Shares a store.
    pub fn new(store: Store<D>) -> Self {
        Self { store: Arc::new(Mutex::new(store)), waiting: Vec::new() }
    }

    /// The store itself, when it is this thread's turn.
    pub fn store(&self) -> MutexGuard<'_, Store<D>> {
        // A commit that panicked has not changed what is committed.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), waiting: Vec::new() }
    }
}

impl Change {
    fn apply(self, store: &mut impl Storage) -> Result<(), Error> {
        match self {
            Self::Begin(session, head) => store.begin(&session.0, &head),
            Self::Append(session, seq, kind, bytes) => {
                store.append(&session.0, seq, kind as u8, &bytes)
            }
            Self::Checkpoint(session, seq, bytes) => store.checkpoint(&session.0, seq, &bytes),
        }
    }
}

impl<D: Disk> teatime_reflector::Storage for Shared<D> {
    fn begin(&mut self, session: SessionId, head: &[u8]) {
        self.waiting.push(Change::Begin(session, head.to_vec()));
    }

    fn append(&mut self, session: SessionId, seq: u64, kind: RecordKind, bytes: &[u8]) {
        self.waiting.push(Change::Append(session, seq, kind, bytes.to_vec()));
    }

    fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]) {
        self.waiting.push(Change::Checkpoint(session, seq, bytes.to_vec()));
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut store = self.store();
        let applied = waiting.into_iter().try_for_each(|change| change.apply(&mut *store));
        // Also after a failure: nothing may be left that the next commit would take along.
        let committed = store.commit();
        applied.and(committed).map_err(|error| told(&error))
    }

    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        let Some(stored) = self.store().load(&session.0).map_err(|error| told(&error))? else {
            return Ok(None);
        };
        let record = |record: crate::Record| {
            let kind = match record.kind {
                0 => RecordKind::Ordered,
                1 => RecordKind::Time,
                other => {
                    let what = format!("a record is of kind {other}, which is none");
                    return Err(StorageError::Corrupt(what));
                }
            };
            Ok(Record { seq: record.seq, kind, bytes: record.bytes.into() })
        };
        Ok(Some(Stored {
            head: stored.head,
            checkpoint: stored.checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes)),
            records: stored.records.into_iter().map(record).collect::<Result<_, _>>()?,
        }))
    }
}

fn told(error: &Error) -> StorageError {
    match error {
        Error::DiskFull(_) => StorageError::Full,
        Error::Corrupt { .. } => StorageError::Corrupt(error.to_string()),
        other => StorageError::Io(other.to_string()),
    }
}
