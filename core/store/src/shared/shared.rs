//! A store as the reflectors of a server share it: each on a thread of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use teatime_reflector::{Claims, Record, RecordKind, StorageError, Stored};
use teatime_wire::{Digest, SessionId};

use crate::clerk::Clerk;
use crate::commit::delete;
use crate::disk::DiskFile;
use crate::segment;
use crate::staging::Staging;
use crate::{Disk, Error, Retention, Storage, Store};

/// A store that several reflectors use. What one of them gathers goes to the store with its commit, so
/// that the failure of one takes nothing from another. Clones share the store, each with a name of its
/// own: a session belongs to the one that has loaded or begun it, until that releases it or is dropped.
pub struct Shared<D: Disk> {
    core: Arc<Core<D>>,
    clerk: Option<Arc<Clerk>>,
    name: u64,
    waiting: Vec<Change>,
    /// Released, but something of them waits.
    leaving: Vec<SessionId>,
    kept: Answers,
}

/// What has become of what was to be kept, until somebody asks.
type Answers = Arc<Mutex<Vec<(SessionId, Result<(), StorageError>)>>>;

/// A checkpoint that is to be written, and who wants to know what has become of it.
pub(crate) struct Errand {
    pub(crate) staging: Staging,
    ticket: Option<Ticket>,
}

/// Whoever has it must answer, or it is answered that nothing has come of it.
struct Ticket {
    room: SessionId,
    answers: Answers,
    is_answered: bool,
}

impl Ticket {
    fn answer(mut self, answer: Result<(), StorageError>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<(), StorageError>) {
        self.is_answered = true;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((self.room, answer));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_answered {
            self.put(Err(StorageError::Io("nobody writes it any more".into())));
        }
    }
}

/// What all of them share.
pub(crate) struct Core<D: Disk> {
    store: Mutex<Store<D>>,
    /// By whom each session is used. Locked only by who has the store.
    holders: Mutex<HashMap<SessionId, u64>>,
    names: AtomicU64,
}

/// What happens to sessions that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upkeep {
    /// Which are kept.
    pub retention: Retention,
    /// How often they are looked at.
    pub every: Duration,
}

enum Change {
    Begin(SessionId, Vec<u8>),
    Append(SessionId, u64, RecordKind, Vec<u8>),
    Checkpoint(SessionId, u64, Vec<u8>),
}

impl<D: Disk> Shared<D> {
    /// Shares a store. A commit writes the checkpoints too before it returns.
    pub fn new(store: Store<D>) -> Self {
        let (store, holders) = (Mutex::new(store), Mutex::default());
        let core = Arc::new(Core { store, holders, names: AtomicU64::new(1) });
        let (waiting, leaving, kept) = (Vec::new(), Vec::new(), Answers::default());
        Self { core, clerk: None, name: 0, waiting, leaving, kept }
    }

    /// Shares a store, and has a thread that writes checkpoints, so that nobody waits for the disk
    /// because of them, and removes what nobody uses. It ends with the last of the clones.
    ///
    /// # Errors
    /// [`Error::Io`] if there can be no thread.
    pub fn with_clerk(store: Store<D>, upkeep: Option<Upkeep>) -> Result<Self, Error> {
        let mut shared = Self::new(Store { others_delete: true, ..store });
        shared.clerk = Some(Arc::new(Clerk::start(shared.core.clone(), upkeep)?));
        Ok(shared)
    }

    /// The store itself, when it is this thread's turn.
    pub fn store(&self) -> MutexGuard<'_, Store<D>> {
        self.core.store()
    }

    /// Waits until all checkpoints that were committed are written.
    pub fn finish_checkpoints(&self) {
        if let Some(clerk) = &self.clerk {
            clerk.errands().wait_until_done();
        }
    }

    /// Finishes what is to be written, and [closes](Store::close) the store. To be called last.
    ///
    /// # Errors
    /// As [`Store::close`].
    pub fn close(self) -> Result<(), Error> {
        self.finish_checkpoints();
        self.store().close()
    }

    /// Takes a session, unless somebody else has it. The store must be locked.
    fn hold(&self, session: SessionId) -> Result<(), StorageError> {
        let holder = *self.core.holders().entry(session).or_insert(self.name);
        if holder == self.name {
            Ok(())
        } else {
            Err(StorageError::Io("another part of this server has the session".into()))
        }
    }

    fn run(&self, errand: Errand) {
        match &self.clerk {
            Some(clerk) => clerk.errands().write(errand),
            None => self.core.write(errand),
        }
    }

    fn let_go(&self, session: &SessionId) {
        let mut holders = self.core.holders();
        if holders.get(session) == Some(&self.name) {
            holders.remove(session);
        }
    }
}

impl<D: Disk> Core<D> {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store<D>> {
        // A commit that panicked has not changed what is committed.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<SessionId, u64>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a checkpoint and makes it count. If that fails what it would stand for stays.
    pub(crate) fn write(&self, errand: Errand) {
        let Errand { staging, ticket } = errand;
        let session = SessionId(*staging.session());
        let staged = staging.write();
        self.sync_log();
        let installed = self.store().install(staged);
        if let Some(ticket) = ticket {
            return ticket.answer(installed.map_err(|error| told(&error)));
        }
        match installed {
            // A later one, or the removal of the session, has made it needless.
            Ok(()) | Err(Error::OutOfOrder { .. } | Error::UnknownSession) => {}
            Err(error) => tracing::warn!(%session, %error, "a checkpoint cannot be written"),
        }
    }

    /// Makes most of the log durable while nobody waits for it: only the rest is left for when the
    /// store is locked.
    fn sync_log(&self) {
        let store = self.store();
        let (disk, name) = (store.disk.clone(), segment::name(store.active.number));
        drop(store);
        // If that fails it is told when it counts.
        let _ = disk.open_to_append(&name).and_then(|mut file| file.sync());
    }

    /// Deletes the checkpoints that are not needed any more.
    pub(crate) fn tidy(&self) {
        let mut store = self.store();
        let (disk, mut trash) = (store.disk.clone(), std::mem::take(&mut store.trash));
        drop(store);
        delete(&disk, &mut trash);
        self.store().trash.append(&mut trash);
    }

    /// Removes what nobody uses and the policy does not keep.
    pub(crate) fn retain(&self, policy: &Retention, now: u64) {
        loop {
            let mut store = self.store();
            let holders = self.holders();
            let in_use = |id: &crate::SessionId| holders.contains_key(&SessionId(*id));
            let gone = match store.retain(policy, &in_use, now) {
                Ok(gone) => gone,
                Err(error) => {
                    tracing::warn!(%error, "sessions that nobody uses cannot be removed");
                    return;
                }
            };
            for id in &gone {
                tracing::info!(session = %SessionId(*id), "a session that nobody uses is removed");
            }
            if gone.len() < crate::limits::REMOVED_AT_ONCE {
                return;
            }
        }
    }
}

impl<D: Disk> Clone for Shared<D> {
    fn clone(&self) -> Self {
        let name = self.core.names.fetch_add(1, Ordering::Relaxed);
        let (core, clerk) = (self.core.clone(), self.clerk.clone());
        let (waiting, leaving, kept) = (Vec::new(), Vec::new(), Answers::default());
        Self { core, clerk, name, waiting, leaving, kept }
    }
}

impl<D: Disk> Drop for Shared<D> {
    fn drop(&mut self) {
        let _turn = self.core.store();
        self.core.holders().retain(|_, holder| *holder != self.name);
    }
}

impl Change {
    /// Gathers it; a checkpoint is to be written once everything before it is committed.
    fn apply(self, store: &mut impl Storage) -> Result<Option<Staging>, Error> {
        match self {
            Self::Begin(session, head) => {
                match store.remove(&session.0) {
                    Ok(()) | Err(Error::UnknownSession) => {}
                    Err(error) => return Err(error),
                }
                store.begin(&session.0, &head)?;
            }
            Self::Append(session, seq, kind, bytes) => {
                store.append(&session.0, seq, kind as u8, &bytes)?;
            }
            Self::Checkpoint(session, seq, bytes) => match store.stage(&session.0, seq, bytes) {
                Ok(staging) => return Ok(Some(staging)),
                Err(error) => tracing::warn!(%session, %error, "a checkpoint cannot be written"),
            },
        }
        Ok(None)
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

    fn keep(&mut self, room: SessionId, head: &[u8], seq: u64, bytes: Vec<u8>) {
        let ticket = Ticket { room, answers: self.kept.clone(), is_answered: false };
        // Others hand over only what they commit: nothing of theirs has gathered.
        let staged = self.store().stage_whole(&room.0, head, seq, bytes);
        match staged {
            Ok(staging) => self.run(Errand { staging, ticket: Some(ticket) }),
            Err(error) => ticket.answer(Err(told(&error))),
        }
    }

    fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut store = self.store();
        let applied: Result<Vec<_>, Error> = waiting
            .into_iter()
            .filter_map(|change| change.apply(&mut *store).transpose())
            .collect();
        let committed = applied.and_then(|stagings| store.commit().map(|()| stagings));
        if committed.is_err() {
            // Nothing may be left that the next commit would take along.
            store.forget();
        }
        self.leaving.iter().for_each(|session| self.let_go(session));
        drop(store);
        self.leaving.clear();
        for staging in committed.map_err(|error| told(&error))? {
            self.run(Errand { staging, ticket: None });
        }
        Ok(())
    }

    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        let store = self.store();
        self.hold(session)?;
        // What is not there is about to begin, and what cannot be read shall stay.
        store.load(&session.0).map_err(|error| told(&error)).and_then(stored)
    }

    fn claims(&self, name: Digest, id: Digest) -> Claims {
        self.store().catalog.rooms.claims(name, id)
    }

    fn release(&mut self, session: SessionId) {
        if self.waiting.is_empty() {
            let _turn = self.store();
            self.let_go(&session);
        } else {
            self.leaving.push(session);
        }
    }

    fn era(&self) -> u64 {
        self.store().era()
    }
}

fn stored(stored: Option<crate::Stored>) -> Result<Option<Stored>, StorageError> {
    stored.map(Stored::try_from).transpose()
}

/// What a reflector has stored.
impl TryFrom<crate::Stored> for Stored {
    type Error = StorageError;

    fn try_from(stored: crate::Stored) -> Result<Self, StorageError> {
        read(stored)
    }
}

/// What a reflector would have stored.
impl From<Stored> for crate::Stored {
    fn from(stored: Stored) -> Self {
        let checkpoint = stored.checkpoint.map(|(seq, bytes)| crate::Checkpoint { seq, bytes });
        let record = |record: Record| crate::Record {
            seq: record.seq,
            kind: record.kind as u8,
            bytes: record.bytes.to_vec(),
        };
        let records = stored.records.into_iter().map(record).collect();
        Self { head: stored.head, checkpoint, records }
    }
}

fn read(stored: crate::Stored) -> Result<Stored, StorageError> {
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
    Ok(Stored {
        head: stored.head,
        checkpoint: stored.checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes)),
        records: stored.records.into_iter().map(record).collect::<Result<_, _>>()?,
    })
}

fn told(error: &Error) -> StorageError {
    match error {
        Error::DiskFull(_) => StorageError::Full,
        Error::Corrupt { .. } => StorageError::Corrupt(error.to_string()),
        other => StorageError::Io(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hands_something_in_hears_of_it_even_if_nobody_writes_it() {
        let (answers, room) = (Answers::default(), SessionId([1; 32]));
        let ticket = || Ticket { room, answers: answers.clone(), is_answered: false };
        drop(ticket());
        ticket().answer(Ok(()));
        let answers = std::mem::take(&mut *answers.lock().expect("nobody panics"));
        assert!(
            matches!(&answers[..], [(_, Err(StorageError::Io(_))), (_, Ok(()))]),
            "{answers:?}"
        );
    }
}
