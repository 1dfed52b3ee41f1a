//! The handle that a reflector has of a shared store.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use teatime_reflector::storage::{
    Answer, Checkpoint, Completion, Key, Opened, Request, Storage, Ticket,
};

use teatime_wire::SessionId;

use crate::Error;
use crate::config::Durability;
use crate::disk::disk::Disk;
use crate::shared::core::{Answering, Core, StoreGuard};
use crate::shared::jobs::{
    AppendJob, CheckpointJob, CommitJob, HistoryJob, Holder, ReadJob, WriteJob,
};
use crate::shared::mailbox::{Mailbox, Reply};
use crate::shared::threads::{Threads, Upkeep};
use crate::store::history::Change;
use crate::store::item::Info;
use crate::store::store::Store;

/// A store that several reflectors use. Clones share the store, and each is a handle of its own: a
/// session or room belongs to the handle that has loaded it, until the handle releases it or is dropped.
///
/// An append of one handle never fails because of what another one hands in.
pub struct Shared<D: Disk> {
    core: Arc<Core<D>>,
    threads: Option<Arc<Threads>>,
    holder: Holder,
    mailbox: Arc<Mailbox>,
    submitted: Vec<Submitted>,
}

/// What waits for the flush.
enum Submitted {
    Append(AppendJob),
    Write(WriteJob),
    Read(ReadJob),
    Release(Key),
}

impl<D: Disk> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl<D: Disk> Shared<D> {
    /// Shares a store. Every flush does all its work, and waits for the disk.
    pub fn new(store: Store<D>) -> Self {
        Self::over(Arc::new(Core::new(store)), None)
    }

    /// Shares a store with threads of its own, so that no reflector waits for the disk. With
    /// [`Durability::Process`] a flush commits by itself, unless that would wait; with
    /// [`Durability::Power`] a thread commits what all handles have flushed with one sync. Another
    /// thread writes checkpoints and persisted data, and removes what is unused. The threads end
    /// with the last of the clones; dropping that one waits for them, at most ten seconds.
    ///
    /// # Errors
    /// [`Error::Io`] if the threads cannot be started.
    pub fn with_threads(mut store: Store<D>, upkeep: Option<Upkeep>) -> Result<Self, Error> {
        store.leave_trash();
        let core = Arc::new(Core::new(store));
        let threads = Threads::start(&core, upkeep)?;
        Ok(Self::over(core, Some(Arc::new(threads))))
    }

    fn over(core: Arc<Core<D>>, threads: Option<Arc<Threads>>) -> Self {
        let (holder, mailbox) = (core.new_holder(), Arc::default());
        Self { core, threads, holder, mailbox, submitted: Vec::new() }
    }

    /// The store itself. Waits until no thread changes it; drop it before you flush a handle on the
    /// same thread.
    pub fn store(&self) -> StoreGuard<'_, D> {
        self.core.guard()
    }

    /// All sessions and rooms, in any order. Does not wait for the disk.
    pub fn infos(&self) -> Vec<Info> {
        self.core.infos()
    }

    /// Waits until everything that was flushed is done.
    pub fn finish(&self) {
        if let Some(threads) = &self.threads {
            threads.wait_until_idle();
        }
    }

    /// Waits until everything that was flushed is done, and [closes](Store::close) the store. Call it last.
    ///
    /// # Errors
    /// As [`Store::close`].
    pub fn close(self) -> Result<(), Error> {
        self.finish();
        self.store().close()
    }

    fn reply(&self, ticket: Ticket) -> Reply {
        Reply::new(ticket, self.mailbox.clone())
    }

    fn write_job(
        &self,
        key: Key,
        checkpoint: Checkpoint,
        previous: Option<u64>,
        reply: Reply,
    ) -> Submitted {
        let Checkpoint { seq, bytes } = checkpoint;
        let index = self.core.indices().draw();
        Submitted::Write(WriteJob::Checkpoint(CheckpointJob {
            key,
            index,
            seq,
            bytes,
            previous,
            reply,
        }))
    }

    fn append(&self, jobs: Vec<AppendJob>) {
        if jobs.is_empty() {
            return;
        }
        let Some(threads) = &self.threads else {
            let _turn = self.core.turns().slow();
            return self.core.append(jobs, Answering::Here);
        };
        // Not before what waits already: that may be of the same session.
        if self.core.durability() == Durability::Process
            && threads.commits().is_idle()
            && let Some(_turn) = self.core.turns().quick_now()
            && !self.core.would_wait(&jobs)
        {
            return self.core.append(jobs, Answering::Here);
        }
        threads.commits().push(jobs.into_iter().map(CommitJob::Append));
    }

    fn write(&self, job: WriteJob) {
        let Some(threads) = &self.threads else {
            self.core.write(job, Answering::Here);
            return;
        };
        let WriteJob::Checkpoint(CheckpointJob { key: key @ Key::Session(_), index, .. }) = job
        else {
            return threads.writes().push([job]);
        };
        // A slow disk costs memory for one checkpoint of each session.
        let replaces = |older: &WriteJob| match older {
            WriteJob::Checkpoint(older) => older.key == key && older.index < index,
            WriteJob::History(_) => false,
        };
        for older in threads.writes().push_instead(job, replaces) {
            if let WriteJob::Checkpoint(older) = older {
                older.reply.answer_here(Ok(Answer::Done));
            }
        }
    }

    fn read(&self, job: ReadJob) {
        let Some(threads) = &self.threads else { return self.core.read(job, Answering::Here) };
        if self.core.durability() == Durability::Process
            && let Some(_turn) = self.core.turns().quick_now()
        {
            match job {
                ReadJob::Load(key, holder, reply) if !self.core.has(key) => {
                    let held = self.core.hold(key, holder);
                    return reply.answer_here(held.map(|()| Answer::Loaded(None)));
                }
                ReadJob::Claims(..) => return self.core.read(job, Answering::Here),
                ReadJob::Load(..) => {}
            }
            threads.reads().push([job]);
            return;
        }
        threads.reads().push([job]);
    }
}

fn history_job(session: SessionId, change: Change, reply: Reply) -> Submitted {
    Submitted::Write(WriteJob::History(HistoryJob { key: Key::Session(session), change, reply }))
}

impl<D: Disk> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self::over(self.core.clone(), self.threads.clone())
    }
}

impl<D: Disk> Drop for Shared<D> {
    fn drop(&mut self) {
        match &self.threads {
            // After the appends that were flushed.
            Some(threads) => threads.commits().push([CommitJob::Leave(self.holder)]),
            None => self.core.leave(self.holder),
        }
    }
}

impl<D: Disk> Storage for Shared<D> {
    fn opened(&self) -> Opened {
        self.core.opened()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.mailbox.set_waker(waker);
    }

    fn submit(&mut self, ticket: Ticket, request: Request) {
        let reply = self.reply(ticket);
        self.submitted.push(match request {
            Request::Append(append) => Submitted::Append(AppendJob { append, reply }),
            Request::Load(key) => Submitted::Read(ReadJob::Load(key, self.holder, reply)),
            Request::Claims(room) => Submitted::Read(ReadJob::Claims(room, reply)),
            Request::Checkpoint { session, checkpoint, previous } => {
                self.write_job(Key::Session(session), checkpoint, previous, reply)
            }
            Request::Proven { session, seq, retain } => {
                history_job(session, Change::Proven { seq, retain }, reply)
            }
            Request::GoBack { session, to } => history_job(session, Change::GoBack { to }, reply),
            Request::Persist { room, checkpoint } => {
                self.write_job(Key::Room(room), checkpoint, None, reply)
            }
        });
    }

    fn flush(&mut self) {
        let mut appends = Vec::new();
        for submitted in std::mem::take(&mut self.submitted) {
            match submitted {
                Submitted::Append(job) => appends.push(job),
                Submitted::Write(job) => {
                    self.append(std::mem::take(&mut appends));
                    self.write(job);
                }
                Submitted::Read(job) => {
                    self.append(std::mem::take(&mut appends));
                    self.read(job);
                }
                Submitted::Release(key) => {
                    self.append(std::mem::take(&mut appends));
                    self.core.release(key, self.holder);
                }
            }
        }
        self.append(appends);
    }

    fn completed(&mut self) -> Option<Completion> {
        self.mailbox.take()
    }

    fn release(&mut self, key: Key) {
        if self.submitted.is_empty() {
            self.core.release(key, self.holder);
        } else {
            self.submitted.push(Submitted::Release(key));
        }
    }
}
