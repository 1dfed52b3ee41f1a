//! What a tape holds: see [`Client::start_tape`](crate::Client::start_tape).

use std::sync::Arc;

use teatime_vm::Time;
use teatime_vm::recording::{Head, Input};

/// Something that went into the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taped {
    /// The model begins, or begins again. What follows comes after this.
    Began {
        /// Which session it belongs to.
        head: Box<Head>,
        /// The state as a snapshot. Without one it is the beginning of the session.
        base: Option<Arc<[u8]>>,
        /// Sequence number of the newest event in the state.
        seq: u64,
        /// Session time of the state.
        time: Time,
        /// The timeline that the sequence numbers belong to.
        timeline: u64,
    },
    /// An event, with its sequence number.
    Input(u64, Input),
}
