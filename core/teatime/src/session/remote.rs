//! Calls to a session from other threads.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task;
use std::time::Duration as StdDuration;

use teatime_net::client::Waker;

use super::Session;
use crate::view::View;

/// Most calls that wait for the session. A thread that makes more of them waits.
pub(super) const MAX_WAITING_CALLS: usize = 1024;

type Run<V> = Box<dyn FnOnce(&mut Session<V>) + Send>;

/// What reaches the thread of a session.
enum Call<V: View> {
    /// Something has arrived from the reflector.
    Wake,
    Run(Run<V>),
}

/// Reaches a session from another thread, such as one that reads the keyboard. Made by
/// [`Session::remote`](super::Session::remote). Clones reach the same session.
pub struct Remote<V: View> {
    calls: SyncSender<Call<V>>,
    task: Task,
}

/// The task that polls the session, if an executor runs it.
#[derive(Clone, Default)]
struct Task(Arc<Mutex<Option<task::Waker>>>);

impl Task {
    #[cfg(feature = "stream")]
    fn set(&self, waker: &task::Waker) {
        let mut task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        // Not while the lock is held: a waker may run anything.
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<V: View> Clone for Remote<V> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), task: self.task.clone() }
    }
}

impl<V: View> fmt::Debug for Remote<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The session was dropped, so a call cannot reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session no longer exists")]
pub struct SessionGone;

impl<V: View> Remote<V> {
    /// Runs `call` on the session's own thread, in its next step. Calls run in their order. Returns before the call has
    /// run. If 1024 calls wait already, this waits too: so never use a remote on the session's own thread.
    ///
    /// # Errors
    /// [`SessionGone`]. A call that waits while the session is dropped is dropped as well, without an error.
    pub fn run(
        &self,
        call: impl FnOnce(&mut Session<V>) + Send + 'static,
    ) -> Result<(), SessionGone> {
        self.calls.send(Call::Run(Box::new(call))).map_err(|_| SessionGone)?;
        self.task.wake();
        Ok(())
    }
}

/// The session's end of its remotes.
pub(super) struct Calls<V: View> {
    remote: Remote<V>,
    calls: Receiver<Call<V>>,
    /// A call that [`wait`](Self::wait) has received.
    next: Option<Run<V>>,
}

impl<V: View> Calls<V> {
    pub(super) fn new() -> Self {
        let (sender, calls) = sync_channel(MAX_WAITING_CALLS);
        Self { remote: Remote { calls: sender, task: Task::default() }, calls, next: None }
    }

    pub(super) fn remote(&self) -> Remote<V> {
        self.remote.clone()
    }

    /// A waker that ends a [`wait`](Self::wait), and calls `waker` too.
    pub(super) fn waker(&self, waker: Waker) -> Waker {
        let Remote { calls, task } = self.remote.clone();
        Arc::new(move || {
            // If it is full, the session has something to do anyway.
            let _ = calls.try_send(Call::Wake);
            task.wake();
            waker();
        })
    }

    /// Wakes this task from now on, when something has arrived, or a call.
    #[cfg(feature = "stream")]
    pub(super) fn wake(&self, waker: &task::Waker) {
        self.remote.task.set(waker);
    }

    /// Waits until something has arrived, or a call.
    pub(super) fn wait(&mut self, at_most: StdDuration) {
        if self.next.is_some() {
            return;
        }
        match self.calls.recv_timeout(at_most) {
            Ok(Call::Run(run)) => self.next = Some(run),
            // This end has a sender of its own.
            Ok(Call::Wake) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// The next call that waits.
    pub(super) fn poll(&mut self) -> Option<Run<V>> {
        if let Some(run) = self.next.take() {
            return Some(run);
        }
        loop {
            match self.calls.try_recv() {
                Ok(Call::Run(run)) => return Some(run),
                Ok(Call::Wake) => {}
                Err(_) => return None,
            }
        }
    }
}
