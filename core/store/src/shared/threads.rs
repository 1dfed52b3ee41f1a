//! The threads of a shared store, so that no reflector waits for the disk.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::Error;
use crate::disk::disk::Disk;
use crate::shared::core::{Answering, Core};
use crate::shared::jobs::{AppendJob, CommitJob, ReadJob, WriteJob};
use crate::shared::queue::{JobThread, Next, Queue};
use crate::store::retain::Retention;
use teatime_reflector::AgingClock;

/// Dropping a shared store waits for its threads, but not longer than this: a disk may never answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens to unused sessions and rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upkeep {
    /// Which are retained.
    pub retention: Retention,
    /// How often the store applies this.
    pub every: Duration,
}

/// One thread that commits, one that writes checkpoints and removes what is unused, and one that reads.
///
/// Dropping them commits what was flushed, finishes the checkpoint and the reading that are under way, and answers
/// the rest with an error.
pub(crate) struct Threads {
    commits: JobThread<CommitJob>,
    writes: JobThread<WriteJob>,
    reads: JobThread<ReadJob>,
}

impl Threads {
    pub(crate) fn start<D: Disk>(
        core: &Arc<Core<D>>,
        upkeep: Option<Upkeep>,
    ) -> Result<Self, Error> {
        let (committer, writer, reader) = (core.clone(), core.clone(), core.clone());
        let reads = JobThread::start("teatime-reads", move |queue| read(&reader, queue))?;
        let writes =
            JobThread::start("teatime-writes", move |queue| write(&writer, queue, upkeep))?;
        let commits = JobThread::start("teatime-commits", move |queue| commit(&committer, queue))?;
        Ok(Self { commits, writes, reads })
    }

    pub(crate) fn commits(&self) -> &Queue<CommitJob> {
        self.commits.queue()
    }

    pub(crate) fn writes(&self) -> &Queue<WriteJob> {
        self.writes.queue()
    }

    pub(crate) fn reads(&self) -> &Queue<ReadJob> {
        self.reads.queue()
    }

    pub(crate) fn wait_until_idle(&self) {
        self.commits().wait_until_idle();
        self.writes().wait_until_idle();
        self.reads().wait_until_idle();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.commits.close();
        self.writes.close();
        self.reads.close();
        let deadline = Instant::now() + PATIENCE;
        self.commits.wait_for_end(deadline);
        self.writes.wait_for_end(deadline);
        self.reads.wait_for_end(deadline);
    }
}

fn commit<D: Disk>(core: &Core<D>, queue: &Queue<CommitJob>) {
    while let Some(jobs) = queue.next_all() {
        let _turn = core.turns().slow();
        let mut appends: Vec<AppendJob> = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                CommitJob::Append(job) => appends.push(job),
                CommitJob::Leave(holder) => {
                    core.append(appends.drain(..), Answering::Wake);
                    core.leave(holder);
                }
            }
        }
        core.append(appends, Answering::Wake);
    }
}

fn read<D: Disk>(core: &Core<D>, queue: &Queue<ReadJob>) {
    while let Next::Job(job) = queue.next(None) {
        core.read(job, Answering::Wake);
    }
}

fn write<D: Disk>(core: &Core<D>, queue: &Queue<WriteJob>, upkeep: Option<Upkeep>) {
    let (started, mut clock) = (Instant::now(), AgingClock::default());
    // Once at the start too.
    let mut due = upkeep.map(|_| started);
    let mut counted = 0;
    loop {
        match (queue.next(due), upkeep) {
            (Next::End, _) => return,
            (Next::Job(job), _) => {
                core.write(job, Answering::Wake);
                core.empty_trash();
            }
            (Next::Due, Some(upkeep)) => {
                let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
                let newest = core.infos().iter().filter_map(|info| info.last_used).max();
                let now = clock.look(started.elapsed(), wall, newest);
                core.retain(&upkeep.retention, now);
                let open_for = started.elapsed().as_secs();
                core.pass_time(open_for - counted);
                counted = open_for;
                core.empty_trash();
                due = Some(Instant::now() + upkeep.every);
            }
            (Next::Due, None) => due = None,
        }
    }
}
