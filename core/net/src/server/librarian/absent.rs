//! A server without blobs: no thread stores any, and clients cannot connect to one.

use std::io;
use std::thread::JoinHandle;

use teatime_wire::{Digest, Holding, SessionId};
use tokio::sync::watch;

use crate::server::ServerConfig;
use teatime_reflector::Shares;

use crate::server::addresses::Addresses;
use crate::server::worker::Arrived;

/// Whether clients can connect for blobs.
pub(in crate::server) const HAS_BLOBS: bool = false;

/// There is nothing to choose.
pub(in crate::server) type OptionalBlobs = ();

/// Takes what sessions report about blobs, and drops it.
#[derive(Clone)]
pub(in crate::server) struct Librarian;

impl Librarian {
    pub(in crate::server) fn new() -> Self {
        Self
    }

    pub(in crate::server) fn tell(&self, _: Digest, _: SessionId, _: Holding) {}
}

/// The thread that does not exist.
pub(in crate::server) struct BlobThread;

impl BlobThread {
    /// Starts nothing.
    pub(in crate::server) fn start(
        _: &ServerConfig,
        _: &Librarian,
        _: (Addresses, Shares),
        _: watch::Receiver<bool>,
    ) -> io::Result<(Self, Option<JoinHandle<()>>)> {
        Ok((Self, None))
    }

    /// Drops the connection.
    pub(in crate::server) fn send(&self, _: Arrived) {}
}
