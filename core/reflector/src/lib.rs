//! The server of sessions as a state machine: frames and time in, outputs out.
//!
//! A [`Reflector`] gives the events of each session one order and one time and hands them to
//! everybody. It does no I/O and looks at no clock: the server, a program that hosts its own
//! sessions, and the simulator all drive this same code.

// A build that stores nothing reads nothing back either.
#![allow(dead_code)] // Until the reflector uses the new seam.

mod clock;
mod config;
mod journal;
mod log;
mod old;
mod rate;
mod reflector;
mod room_index;
mod rooms;
mod session;
pub mod storage;
mod stored;
mod upload;
mod views;
mod vote;

pub use config::Config;
pub use reflector::{ConnId, Output, Reflector, SessionKey, Stats};
pub use old::{Claims, InRoom, Record, RecordKind, Storage, StorageError, Stored};
pub use room_index::RoomIndex;
pub use stored::room_of;
