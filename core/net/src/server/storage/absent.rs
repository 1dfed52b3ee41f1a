//! A server without storage: its sessions end with it.

use std::sync::Arc;

use teatime_reflector::storage::{Key, Request, Ticket};
use teatime_reflector::{Config, Reflector};
use tokio::sync::Notify;

/// A server of this build has no storage.
pub(in crate::server) type OptionalStorage = ();

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
