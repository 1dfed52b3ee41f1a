//! The thread that does what nobody shall wait for: writing checkpoints, removing what nobody uses.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::Error;
use crate::disk::Disk;
use crate::shared::{Core, Errand, Upkeep};

/// A thread with errands. Dropping it finishes the one that is under way, no more.
pub(crate) struct Clerk {
    errands: Arc<Errands>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be done.
#[derive(Default)]
pub(crate) struct Errands {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    /// At most one of each session.
    checkpoints: VecDeque<Errand>,
    is_busy: bool,
    ends: bool,
}

impl Clerk {
    pub(crate) fn start<D: Disk>(
        core: Arc<Core<D>>,
        upkeep: Option<Upkeep>,
    ) -> Result<Self, Error> {
        let errands = Arc::new(Errands::default());
        let list = errands.clone();
        let thread = std::thread::Builder::new().name("teatime-store".into());
        let thread = thread.spawn(move || run(&core, &list, upkeep))?;
        Ok(Self { errands, thread: Some(thread) })
    }

    pub(crate) fn errands(&self) -> &Errands {
        &self.errands
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.errands.list().ends = true;
        self.errands.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Errands {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a checkpoint written, in place of an older one of its session that has not been begun: so
    /// a slow disk costs memory for one of each session.
    pub(crate) fn write(&self, errand: Errand) {
        let mut list = self.list();
        if list.ends {
            return;
        }
        list.checkpoints.retain(|older| older.staging.session() != errand.staging.session());
        list.checkpoints.push_back(errand);
        self.changed.notify_all();
    }

    pub(crate) fn wait_until_done(&self) {
        let mut list = self.list();
        while list.is_busy || !list.checkpoints.is_empty() {
            list = self.changed.wait(list).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next checkpoint; nothing if something else is due, or it is time to end.
    fn next(&self, due: Option<Instant>) -> Option<Errand> {
        let mut list = self.list();
        list.is_busy = false;
        self.changed.notify_all();
        loop {
            let now = Instant::now();
            if list.ends || due.is_some_and(|due| due <= now) {
                return None;
            }
            if let Some(errand) = list.checkpoints.pop_front() {
                list.is_busy = true;
                return Some(errand);
            }
            let pause = due.map_or(Duration::from_secs(3600), |due| due - now);
            let waited = self.changed.wait_timeout(list, pause);
            list = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Nobody waits for a thread that has ended, also if it panicked: what it would have written is in
/// the log, or whoever asked for it is told that nothing has come of it.
struct Gone<'a>(&'a Errands);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let mut list = self.0.list();
        *list = List { ends: true, ..List::default() };
        self.0.changed.notify_all();
    }
}

fn run<D: Disk>(core: &Core<D>, errands: &Errands, upkeep: Option<Upkeep>) {
    let _gone = Gone(errands);
    // At the start too.
    let mut due = upkeep.map(|_| Instant::now());
    loop {
        match (errands.next(due), upkeep) {
            (Some(errand), _) => {
                core.write(errand);
                core.tidy();
            }
            (None, _) if errands.list().ends => return,
            (None, Some(upkeep)) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                // A clock from before 1970 knows nothing.
                core.retain(&upkeep.retention, now.unwrap_or_default().as_secs());
                core.tidy();
                due = Some(Instant::now() + upkeep.every);
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_clerk_that_has_panicked() {
        let errands = Arc::new(Errands::default());
        errands.list().is_busy = true;
        let its = errands.clone();
        let thread = std::thread::spawn(move || {
            let _gone = Gone(&its);
            panic!("in the middle of an errand");
        });
        errands.wait_until_done();
        assert!(thread.join().is_err() && errands.list().ends);
    }
}
