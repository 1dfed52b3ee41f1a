//! What all handles of a shared store have in common.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use teatime_reflector::storage::{Answer, Key, Opened, StorageError, Stored};

use crate::Error;
use crate::config::Durability;
use crate::disk::disk::{Disk, DiskFile};
use crate::limits::{MAX_CHECKPOINT, REMOVED_AT_ONCE, at_most};
use crate::log::segment;
use crate::shared::jobs::{AppendJob, CheckpointJob, HistoryJob, Holder, ReadJob, WriteJob};
use crate::shared::mailbox::Reply;
use crate::shared::turn::{Turn, Turns};
use crate::store::history::Change;
use crate::store::item::Info;
use crate::store::pending::Indices;
use crate::store::retain::Retention;
use crate::store::staging::{Staged, Staging};
use crate::store::store::Store;

/// Appends that gather beyond this many bytes go into another commit, to bound memory.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// A store, whose turn it is to change it, and which handle has which key.
pub(crate) struct Core<D: Disk> {
    /// Locked for moments only, never while the disk syncs a commit. Changed only in a turn.
    store: Mutex<Store<D>>,
    turns: Turns,
    /// Changed only in a turn, so that retention sees who uses what.
    holders: Mutex<HashMap<Key, Holder>>,
    names: AtomicU64,
    indices: Indices,
    durability: Durability,
    opened: Opened,
}

/// A shared store, locked for all other handles.
pub struct StoreGuard<'a, D: Disk> {
    // Unlocked before the turn ends.
    store: MutexGuard<'a, Store<D>>,
    _turn: Turn<'a>,
}

impl<D: Disk> fmt::Debug for StoreGuard<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreGuard").field(&*self.store).finish()
    }
}

impl<D: Disk> Deref for StoreGuard<'_, D> {
    type Target = Store<D>;

    fn deref(&self) -> &Store<D> {
        &self.store
    }
}

impl<D: Disk> DerefMut for StoreGuard<'_, D> {
    fn deref_mut(&mut self) -> &mut Store<D> {
        &mut self.store
    }
}

/// How appends are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    /// To a reflector on another thread.
    Wake,
    /// To the reflector that is calling.
    Here,
}

impl Answering {
    fn answer(self, reply: Reply, result: Result<Answer, StorageError>) {
        match self {
            Self::Wake => reply.answer(result),
            Self::Here => reply.answer_here(result),
        }
    }
}

impl<D: Disk> Core<D> {
    pub(crate) fn new(store: Store<D>) -> Self {
        Self {
            turns: Turns::default(),
            holders: Mutex::default(),
            names: AtomicU64::new(0),
            indices: store.indices().clone(),
            durability: store.durability(),
            opened: Opened { era: store.era(), unused_for: store.unused_for() },
            store: Mutex::new(store),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store<D>> {
        // What a panic interrupted does not count, and the store mends it in the next turn.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<Key, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a new handle.
    pub(crate) fn new_holder(&self) -> Holder {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn opened(&self) -> Opened {
        self.opened
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn indices(&self) -> &Indices {
        &self.indices
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The store itself, when it is the caller's turn.
    pub(crate) fn guard(&self) -> StoreGuard<'_, D> {
        let turn = self.turns.slow();
        StoreGuard { store: self.store(), _turn: turn }
    }

    /// All sessions and rooms, also during a commit.
    pub(crate) fn infos(&self) -> Vec<Info> {
        self.store().infos()
    }

    /// Takes a key for a handle, unless another one has it. To be called in a turn.
    pub(crate) fn hold(&self, key: Key, holder: Holder) -> Result<(), StorageError> {
        if *self.holders().entry(key).or_insert(holder) == holder {
            Ok(())
        } else {
            Err(StorageError::Io(
                "this server still stores the session for other clients: try again".into(),
            ))
        }
    }

    /// A handle no longer holds a key.
    pub(crate) fn release(&self, key: Key, holder: Holder) {
        let mut holders = self.holders();
        if holders.get(&key) == Some(&holder) {
            holders.remove(&key);
        }
    }

    /// A handle no longer holds any key.
    pub(crate) fn leave(&self, holder: Holder) {
        self.holders().retain(|_, other| *other != holder);
    }

    /// Whether the store has this key.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.store().has(key)
    }

    /// Whether committing these appends would wait for the disk.
    pub(crate) fn would_wait(&self, jobs: &[AppendJob]) -> bool {
        let store = self.store();
        // What replaces a session deletes its checkpoint, and is durable before that.
        let replaces = |job: &AppendJob| {
            job.append.begin.is_some() && store.has(Key::Session(job.append.session))
        };
        store.would_wait(jobs.iter().map(AppendJob::bytes).sum()) || jobs.iter().any(replaces)
    }

    /// Commits appends, as few commits as possible, and answers. To be called in a turn.
    pub(crate) fn append(&self, jobs: impl IntoIterator<Item = AppendJob>, how: Answering) {
        let (mut group, mut bytes) = (Vec::new(), 0);
        for job in jobs {
            let more = job.bytes();
            if bytes + more > GROUP_BYTES && !group.is_empty() {
                self.commit_group(std::mem::take(&mut group), how);
                bytes = 0;
            }
            bytes += more;
            group.push(job);
        }
        self.commit_group(group, how);
    }

    fn commit_group(&self, jobs: Vec<AppendJob>, how: Answering) {
        let mut store = self.store();
        let mut gathered = Vec::with_capacity(jobs.len());
        for job in jobs {
            match store.gather(&job.append) {
                Ok(()) => gathered.push(job),
                Err(error) => how.answer(job.reply, Err(storage_error(&error))),
            }
        }
        if gathered.is_empty() {
            return;
        }
        let open = store.start_commit();
        drop(store);
        let synced = open.map(|open| open.sync());
        match synced.and_then(|open| self.store().finish_commit(open)) {
            Ok(()) => {
                gathered.into_iter().for_each(|job| how.answer(job.reply, Ok(Answer::Done)));
            }
            // A large append must not take space from a small one that still fits.
            Err(Error::DiskFull(_)) if gathered.len() > 1 => {
                gathered.into_iter().for_each(|job| self.commit_group(vec![job], how));
            }
            Err(error) => {
                let error = storage_error(&error);
                gathered.into_iter().for_each(|job| how.answer(job.reply, Err(error.clone())));
            }
        }
    }

    pub(crate) fn write(&self, job: WriteJob, how: Answering) {
        match job {
            WriteJob::Checkpoint(job) => self.write_checkpoint(job, how),
            WriteJob::History(HistoryJob { key, change, reply }) => {
                let changed = self.change_history(key, change);
                how.answer(
                    reply,
                    changed.map(|()| Answer::Done).map_err(|why| storage_error(&why)),
                );
            }
        }
    }

    fn change_history(&self, key: Key, change: Change) -> Result<(), Error> {
        let _turn = self.turns.slow();
        let open = self.store().start_change(key, change)?;
        let synced = open.sync();
        self.store().finish_commit(synced)
    }

    /// Writes a checkpoint and makes it count. If that fails, what it would replace stays.
    fn write_checkpoint(&self, job: CheckpointJob, how: Answering) {
        let CheckpointJob { key, index, seq, bytes, previous, reply } = job;
        let installed = at_most(bytes.len(), MAX_CHECKPOINT).and_then(|()| {
            let disk = self.store().disk().clone();
            let staged = Staging::new(disk, key, index, seq, bytes).write();
            self.sync_log();
            self.install(staged, previous)
        });
        let answer = match (installed, key) {
            (Ok(()), _) => Ok(Answer::Done),
            // A later one made it needless.
            (Err(Error::OutOfOrder { .. }), Key::Session(_)) => Ok(Answer::Done),
            (Err(error), _) => {
                tracing::warn!(%key, %error, "a checkpoint cannot be written");
                Err(storage_error(&error))
            }
        };
        how.answer(reply, answer);
    }

    fn install(&self, staged: Staged, previous: Option<u64>) -> Result<(), Error> {
        let _turn = self.turns.slow();
        let open = self.store().start_install(staged, previous)?;
        let synced = open.sync();
        self.store().finish_commit(synced)
    }

    /// Makes most of the log durable outside of any turn: only the rest is left for the turn.
    fn sync_log(&self) {
        if self.durability == Durability::Power {
            return;
        }
        let store = self.store();
        let (disk, name) = (store.disk().clone(), segment::name(store.newest_segment()));
        drop(store);
        // If this fails, so does the sync that counts.
        let _ = disk.open_to_append(&name).and_then(|mut file| file.sync());
    }

    /// Reads, and answers.
    pub(crate) fn read(&self, job: ReadJob, how: Answering) {
        match job {
            ReadJob::Load(key, holder, reply) => {
                let turn = self.turns.quick();
                let held = self.hold(key, holder);
                drop(turn);
                let loaded =
                    held.and_then(|()| self.load(key).map_err(|error| storage_error(&error)));
                how.answer(reply, loaded.map(Answer::Loaded));
            }
            ReadJob::Claims(room, reply) => {
                let claims = self.store().claims(room);
                how.answer(reply, Ok(Answer::Claims(claims)));
            }
        }
    }

    fn load(&self, key: Key) -> Result<Option<Stored>, Error> {
        let store = self.store();
        let (disk, salt, plan) = (store.disk().clone(), store.salt(), store.plan(key));
        drop(store);
        let Some(plan) = plan else { return Ok(None) };
        match plan.read(&disk, salt) {
            // Cleaning may have deleted a segment meanwhile. With the lock it cannot.
            Err(Error::Corrupt { .. }) => self.store().load(key),
            read => read.map(Some),
        }
    }

    /// Deletes the checkpoints that no longer count.
    pub(crate) fn empty_trash(&self) {
        let mut store = self.store();
        let (disk, mut trash) = (store.disk().clone(), store.trash().take());
        drop(store);
        trash.delete(&disk);
        self.store().trash().put_back(trash);
    }

    /// The store was open for this many seconds more.
    pub(crate) fn pass_time(&self, seconds: u64) {
        let _turn = self.turns.slow();
        let mut store = self.store();
        if let Err(error) = store.pass_time(seconds) {
            store.forget();
            tracing::warn!(%error, "cannot remove old histories");
        }
    }

    /// Removes what no handle uses and the policy does not retain.
    pub(crate) fn retain(&self, policy: &Retention, now: u64) {
        loop {
            let _turn = self.turns.slow();
            let mut store = self.store();
            let in_use = |key: &Key| self.holders().contains_key(key);
            let removed = match store.retain(policy, &in_use, now) {
                Ok(removed) => removed,
                Err(error) => {
                    store.forget();
                    tracing::warn!(%error, "unused sessions cannot be removed");
                    return;
                }
            };
            if removed.len() < REMOVED_AT_ONCE {
                return;
            }
        }
    }
}

fn storage_error(error: &Error) -> StorageError {
    match error {
        Error::DiskFull(_) => StorageError::Full,
        Error::Corrupt { .. } => StorageError::Corrupt(error.to_string()),
        other => StorageError::Io(other.to_string()),
    }
}
