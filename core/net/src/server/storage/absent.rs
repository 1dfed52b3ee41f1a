//! A server without storage: its sessions end with it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use teatime_reflector::storage::{Key, Request, Ticket};
use teatime_reflector::{Config, Reflector, Shares};
use tokio::sync::{Notify, watch};

/// A server of this build has no storage.
pub(in crate::server) type OptionalStorage = ();

/// Nothing was stored before.
pub(in crate::server) fn read_shares(_: &OptionalStorage) -> Shares {
    Shares::default()
}

/// Nothing outlives the server.
pub(in crate::server) fn keep_shares(
    _: &OptionalStorage,
    _: Shares,
    _: watch::Receiver<bool>,
) -> io::Result<Option<JoinHandle<()>>> {
    Ok(None)
}

/// The storage that is not there. The reflector knows, and requests nothing.
pub(in crate::server) struct Handle;

impl Handle {
    pub(in crate::server) fn open(_: &OptionalStorage, _: Arc<Notify>) -> Self {
        Self
    }

    pub(in crate::server) fn reflector(&self, config: Config, seed: [u8; 32]) -> Reflector {
        Reflector::new(config, seed)
    }

    pub(in crate::server) fn submit(&mut self, _: Ticket, _: Request) {}

    pub(in crate::server) fn release(&mut self, _: Key) {}

    pub(in crate::server) fn has_requests(&self) -> bool {
        false
    }

    pub(in crate::server) fn flush(&mut self) {}

    pub(in crate::server) fn deliver(&mut self, _: &mut Reflector, _: u64) -> bool {
        false
    }
}
