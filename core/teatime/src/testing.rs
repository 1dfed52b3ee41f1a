//! Finds what would make participants differ, before they do.

pub use teatime_vm::testing::{Difference, SyncError, SyncTest};

#[cfg(feature = "testing")]
pub use teatime_simulator::*;
