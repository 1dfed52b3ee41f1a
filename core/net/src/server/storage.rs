//! How each thread of a server comes to its storage.

use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};

use teatime_reflector::storage::{Completion, Key, Opened, Request, Storage, Ticket};
use tokio::sync::Notify;

/// Gives each thread of a server its handle of one storage.
#[derive(Clone)]
pub struct SharedStorage(Arc<dyn Fn() -> Box<dyn Storage> + Send + Sync>);

impl SharedStorage {
    /// A storage whose clones share what is stored. Each thread of the server uses a clone of its own.
    pub fn new(storage: impl Storage + Clone + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::new(storage.clone())))
    }
}

impl fmt::Debug for SharedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStorage")
    }
}

/// The handle of one thread, if the server has a storage.
pub(super) struct Handle {
    storage: Option<Box<dyn Storage>>,
    /// Something was submitted since the last flush.
    has_requests: bool,
}

impl Handle {
    /// The storage notifies `wake` when it has an answer.
    pub(super) fn open(shared: Option<&SharedStorage>, wake: Arc<Notify>) -> Self {
        let storage = shared.map(|shared| {
            let mut storage = (shared.0)();
            storage.set_waker(Waker::from(Arc::new(Alarm(wake))));
            storage
        });
        Self { storage, has_requests: false }
    }

    /// What the storage knows about the time before, if there is one.
    pub(super) fn opened(&self) -> Option<Opened> {
        self.storage.as_ref().map(|storage| storage.opened())
    }

    pub(super) fn submit(&mut self, ticket: Ticket, request: Request) {
        if let Some(storage) = &mut self.storage {
            storage.submit(ticket, request);
            self.has_requests = true;
        }
    }

    pub(super) fn release(&mut self, key: Key) {
        if let Some(storage) = &mut self.storage {
            storage.release(key);
        }
    }

    /// Whether something was submitted since the last flush.
    pub(super) fn has_requests(&self) -> bool {
        self.has_requests
    }

    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.has_requests)
            && let Some(storage) = &mut self.storage
        {
            storage.flush();
        }
    }

    pub(super) fn completed(&mut self) -> Option<Completion> {
        self.storage.as_mut()?.completed()
    }
}

struct Alarm(Arc<Notify>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}
