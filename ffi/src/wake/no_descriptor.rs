//! Stands in for `socket_pair.rs` on platforms without descriptors for sockets.

use crate::status::{Failure, Result, tea_status};

/// There are no descriptors here.
#[derive(Default)]
pub(super) struct Descriptor;

impl Descriptor {
    pub(super) fn open(&self) -> Result<(i32, bool)> {
        let message = "this platform has no such descriptors: use tea_session_set_waker";
        Err(Failure::new(tea_status::Unsupported, message))
    }

    pub(super) fn signal(&self) {}

    pub(super) fn drain(&self) {}
}
