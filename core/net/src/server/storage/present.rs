//! A server with storage: how each of its threads comes to it.

use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};

use teatime_reflector::storage::{Key, Request, Storage, Ticket};
use teatime_reflector::{Config, Reflector};
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

/// Set by the app: with `None` the sessions end with the server.
pub(in crate::server) type OptionalStorage = Option<SharedStorage>;

/// The handle of one thread, if the server has a storage.
pub(in crate::server) struct Handle {
    storage: Option<Box<dyn Storage>>,
    /// Something was submitted since the last flush.
    has_requests: bool,
}

impl Handle {
    /// The storage notifies `wake` when it has an answer.
    pub(in crate::server) fn open(shared: &OptionalStorage, wake: Arc<Notify>) -> Self {
        let storage = shared.as_ref().map(|shared| {
            let mut storage = (shared.0)();
            storage.set_waker(Waker::from(Arc::new(Alarm(wake))));
            storage
        });
        Self { storage, has_requests: false }
    }

    /// A reflector that knows what its storage knows about the time before.
    pub(in crate::server) fn reflector(&self, config: Config, seed: [u8; 32]) -> Reflector {
        match &self.storage {
            Some(storage) => Reflector::with_storage(config, seed, 0, storage.opened()),
            None => Reflector::new(config, seed),
        }
    }

    pub(in crate::server) fn submit(&mut self, ticket: Ticket, request: Request) {
        if let Some(storage) = &mut self.storage {
            storage.submit(ticket, request);
            self.has_requests = true;
        }
    }

    pub(in crate::server) fn release(&mut self, key: Key) {
        if let Some(storage) = &mut self.storage {
            storage.release(key);
        }
    }

    /// Whether something was submitted since the last flush.
    pub(in crate::server) fn has_requests(&self) -> bool {
        self.has_requests
    }

    pub(in crate::server) fn flush(&mut self) {
        if std::mem::take(&mut self.has_requests)
            && let Some(storage) = &mut self.storage
        {
            storage.flush();
        }
    }

    /// Hands the reflector the answers that are there. Returns whether there were any.
    pub(in crate::server) fn deliver(&mut self, reflector: &mut Reflector, now: u64) -> bool {
        let Some(storage) = &mut self.storage else { return false };
        let mut has_answers = false;
        while let Some((ticket, answer)) = storage.completed() {
            reflector.stored(now, ticket, answer);
            has_answers = true;
        }
        has_answers
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
