//! A server with storage: how each of its threads comes to it.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use teatime_reflector::storage::{Key, Request, Storage, Ticket};
use teatime_reflector::{Config, Owner, Reflector, Shares};
use teatime_wire::SessionId;
use tokio::sync::{Notify, watch};
use tokio::time::interval;

use crate::server::spawn;

/// How often it is stored which address has stored how much. A crash forgets what came after that.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Gives each thread of a server its handle of one storage.
#[derive(Clone)]
pub struct SharedStorage {
    handle: Arc<dyn Fn() -> Box<dyn Storage> + Send + Sync>,
    shares: Option<SharesFile>,
}

/// Where it is stored which address has stored how much.
#[derive(Clone)]
struct SharesFile {
    path: PathBuf,
    /// What each key takes, in bytes.
    usage: Arc<Usage>,
}

type Usage = dyn Fn() -> HashMap<SessionId, u64> + Send + Sync;

impl SharedStorage {
    /// A storage whose clones share what is stored. Each thread of the server uses a clone of its own.
    pub fn new(storage: impl Storage + Clone + Sync + 'static) -> Self {
        Self { handle: Arc::new(move || Box::new(storage.clone())), shares: None }
    }

    /// Stores in a file which address has stored how much, so that limits by address hold on after a restart. `usage` tells
    /// for each [holder](teatime_reflector::storage::Key::holder) how many bytes it takes by now.
    #[must_use]
    pub fn with_shares(
        mut self,
        path: PathBuf,
        usage: impl Fn() -> HashMap<SessionId, u64> + Send + Sync + 'static,
    ) -> Self {
        self.shares = Some(SharesFile { path, usage: Arc::new(usage) });
        self
    }
}

impl SharesFile {
    fn keep(&self, shares: &Shares) {
        let usage = (self.usage)();
        shares.reconcile(|owner| match owner {
            Owner::Key(key) => Some(usage.get(key).copied().unwrap_or(0)),
            Owner::Blobs(_) => None,
        });
        if let Err(error) = write(&self.path, &shares.write()) {
            tracing::warn!(%error, "it cannot be stored which address has stored how much");
        }
    }
}

/// Replaces a file. After a crash it is the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

/// What addresses have stored before. Without a file, or with a damaged one, all begin with nothing.
pub(in crate::server) fn read_shares(storage: &OptionalStorage) -> Shares {
    let file = storage.as_ref().and_then(|storage| storage.shares.as_ref());
    let Some(bytes) = file.and_then(|file| fs::read(&file.path).ok()) else {
        return Shares::default();
    };
    Shares::read(&bytes).unwrap_or_else(|| {
        tracing::warn!(
            "it cannot be read which address has stored how much: all begin with nothing"
        );
        Shares::default()
    })
}

/// Stores from time to time, and at the end, which address has stored how much.
pub(in crate::server) fn keep_shares(
    storage: &OptionalStorage,
    shares: Shares,
    mut stop: watch::Receiver<bool>,
) -> io::Result<Option<JoinHandle<()>>> {
    let Some(file) = storage.as_ref().and_then(|storage| storage.shares.clone()) else {
        return Ok(None);
    };
    let keep = move || async move {
        let mut every = interval(KEEP_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => file.keep(&shares),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        file.keep(&shares);
    };
    spawn("teatime-shares", keep).map(Some)
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
            let mut storage = (shared.handle)();
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
