//! Jobs on their way to a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

/// Jobs for one thread.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// The thread has taken jobs that it has not finished.
    is_busy: bool,
    /// No more jobs are taken in.
    is_closed: bool,
    has_ended: bool,
}

/// What the thread does next.
pub(crate) enum Next<J> {
    Job(J),
    /// The time has come that it waited for.
    Due,
    /// End.
    End,
}

impl<J> Queue<J> {
    fn new() -> Self {
        let jobs = VecDeque::new();
        let state = State { jobs, is_busy: false, is_closed: false, has_ended: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<J>>) -> MutexGuard<'a, State<J>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in jobs. If the queue is closed, they are dropped.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.state();
        if !state.is_closed {
            state.jobs.extend(jobs);
            self.changed.notify_all();
        }
    }

    /// Hands in a job, and returns the waiting jobs that it replaces.
    pub(crate) fn push_instead(&self, job: J, replaces: impl Fn(&J) -> bool) -> Vec<J> {
        let mut state = self.state();
        if state.is_closed {
            return Vec::new();
        }
        let (replaced, others) = std::mem::take(&mut state.jobs).into_iter().partition(replaces);
        state.jobs = others;
        state.jobs.push_back(job);
        self.changed.notify_all();
        replaced.into()
    }

    /// Whether all jobs are finished.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.is_busy && state.jobs.is_empty()
    }

    /// Waits until all jobs are finished, or the thread has ended.
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state();
        while state.is_busy || !state.jobs.is_empty() {
            state = self.wait(state);
        }
    }

    /// All waiting jobs, as soon as there are some. `None` once the queue is closed and empty.
    pub(crate) fn next_all(&self) -> Option<VecDeque<J>> {
        let mut state = self.finish();
        while state.jobs.is_empty() {
            if state.is_closed {
                return None;
            }
            state = self.wait(state);
        }
        state.is_busy = true;
        Some(std::mem::take(&mut state.jobs))
    }

    /// The next job, if none is due earlier. Ends as soon as the queue is closed, even with waiting jobs.
    pub(crate) fn next(&self, due: Option<Instant>) -> Next<J> {
        let mut state = self.finish();
        loop {
            let now = Instant::now();
            if state.is_closed {
                return Next::End;
            }
            if due.is_some_and(|due| due <= now) {
                return Next::Due;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.is_busy = true;
                return Next::Job(job);
            }
            let pause = due.map_or(Duration::from_secs(3600), |due| due - now);
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The jobs that were taken are finished.
    fn finish(&self) -> MutexGuard<'_, State<J>> {
        let mut state = self.state();
        if std::mem::take(&mut state.is_busy) {
            self.changed.notify_all();
        }
        state
    }

    fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether the thread ended before the deadline.
    fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        while !state.has_ended {
            let Some(rest) = deadline.checked_duration_since(Instant::now()) else { return false };
            let waited = self.changed.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Closes the queue when the thread ends, even by a panic: so no caller waits for it, and every
/// waiting job is dropped.
struct End<'a, J>(&'a Queue<J>);

impl<J> Drop for End<'_, J> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let jobs = std::mem::take(&mut state.jobs);
        (state.is_busy, state.is_closed, state.has_ended) = (false, true, true);
        self.0.changed.notify_all();
        drop(state);
        // Without the lock: this answers what waited.
        drop(jobs);
    }
}

/// A thread with a queue of jobs.
pub(crate) struct JobThread<J> {
    name: &'static str,
    queue: Arc<Queue<J>>,
}

impl<J: Send + 'static> JobThread<J> {
    /// Starts a thread that runs this until the queue is closed.
    pub(crate) fn start(
        name: &'static str,
        run: impl FnOnce(&Queue<J>) + Send + 'static,
    ) -> Result<Self, Error> {
        let queue = Arc::new(Queue::new());
        let its_queue = queue.clone();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let end = End(&its_queue);
            run(end.0);
        })?;
        Ok(Self { name, queue })
    }

    pub(crate) fn queue(&self) -> &Queue<J> {
        &self.queue
    }

    /// The thread ends after the job that it is at.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has ended, but not for ever: a disk may never answer.
    pub(crate) fn wait_for_end(&self, deadline: Instant) {
        if !self.queue.wait_for_end(deadline) {
            tracing::error!(thread = self.name, "the disk does not answer: not waiting any longer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_the_thread_panics_and_waiting_jobs_are_dropped() {
        let (started, go) = (Arc::new(()), Arc::new((Mutex::new(false), Condvar::new())));
        let its_go = go.clone();
        let thread = JobThread::<Arc<()>>::start("test", move |queue| {
            assert!(matches!(queue.next(None), Next::Job(_)));
            let go = its_go.0.lock().expect("not poisoned");
            drop(its_go.1.wait_while(go, |go| !*go).expect("not poisoned"));
            panic!("in the middle of a job");
        });
        let thread = thread.expect("it starts");
        thread.queue().push([started.clone(), started.clone()]);
        *go.0.lock().expect("not poisoned") = true;
        go.1.notify_all();
        thread.queue().wait_until_idle();
        thread.queue().push([started.clone()]);
        assert!(thread.queue().is_idle() && thread.queue.wait_for_end(Instant::now()));
        // Dropped shortly after the end was told.
        while Arc::strong_count(&started) > 1 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_closed_queue_still_gives_out_what_it_has_to_a_thread_that_takes_all() {
        let queue = Queue::new();
        queue.push([1, 2]);
        queue.close();
        queue.push([3]);
        assert_eq!(queue.next_all().map(Vec::from), Some(vec![1, 2]));
        assert!(queue.next_all().is_none());
    }
}
