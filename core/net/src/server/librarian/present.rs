//! A server with blobs: one thread stores them, so that neither disk nor bulk transfers delay a session.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use teatime_reflector::Shares;
use teatime_wire::{Digest, Holding, SessionId};
use tokio::sync::{mpsc, watch};

use crate::server::addresses::Addresses;
use crate::server::blobs::{self, Quota, SharedBlobs};
use crate::server::news::News;
use crate::server::worker::Arrived;
use crate::server::{ServerConfig, spawn};

/// Whether clients can connect for blobs.
pub(in crate::server) const HAS_BLOBS: bool = true;

/// Where blobs are stored. `None` means in memory.
pub(in crate::server) type OptionalBlobs = Option<SharedBlobs>;

/// Takes what sessions report about the blobs that they need.
#[derive(Clone)]
pub(in crate::server) struct Librarian {
    news: Arc<News>,
}

impl Librarian {
    pub(in crate::server) fn new() -> Self {
        Self { news: Arc::default() }
    }

    pub(in crate::server) fn tell(&self, room: Digest, session: SessionId, holding: Holding) {
        self.news.tell(room, session, holding);
    }
}

/// The thread that serves connections for blobs.
pub(in crate::server) struct BlobThread {
    arrivals: mpsc::UnboundedSender<Arrived>,
}

impl BlobThread {
    /// Starts it. It ends when `stopped` says so.
    pub(in crate::server) fn start(
        config: &ServerConfig,
        librarian: &Librarian,
        (addresses, shares): (Addresses, Shares),
        stopped: watch::Receiver<bool>,
    ) -> io::Result<(Self, Option<JoinHandle<()>>)> {
        let blobs = config.blobs.clone().map_or_else(SharedBlobs::in_memory, Ok)?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let news = librarian.news.clone();
        let limit = config.reflector.max_stored_bytes_per_address;
        let thread = spawn("teatime-blobs", move || {
            let shared = (addresses, Quota::new(shares, limit, &blobs));
            blobs::run(blobs, arrivals, news, shared, stopped)
        })?;
        Ok((Self { arrivals: sender }, Some(thread)))
    }

    /// Hands it a connection. It is gone only when the server shuts down.
    pub(in crate::server) fn send(&self, arrived: Arrived) {
        let _ = self.arrivals.send(arrived);
    }
}
