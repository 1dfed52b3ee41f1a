//! The server of sessions as a state machine: frames and time in, outputs out.
//!
//! A [`Reflector`] gives the events of each session one order and one time, and hands them to all its clients. It does no
//! I/O and looks at no clock: the server, a program that hosts its own sessions, and the simulator all drive this same
//! code. Not even its storage is its own: see [`storage`].

mod clock;
mod config;
mod gate;
mod log;
mod outbox;
mod output;
mod rate;
mod reflector;
mod room_index;
mod rooms;
mod session;
pub mod storage;
mod stored;
mod upload;
mod view;
mod views;
mod vote;

pub use config::Config;
pub use output::{ConnId, Output, SessionKey, Stats};
pub use reflector::Reflector;
pub use room_index::RoomIndex;
pub use stored::room_of;
