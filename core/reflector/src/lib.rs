//! The server of sessions as a state machine: frames and time in, outputs out.
//!
//! A [`Reflector`] gives the events of each session one order and one time, and hands them to all its clients. It does no
//! I/O and looks at no clock: the server, a program that hosts its own sessions, and the simulator all drive this same
//! code. Not even its storage is its own: see [`storage`].

mod aging;
mod allowance;
mod block;
mod budget;
mod clock;
mod config;
mod due;
mod gate;
mod greeter;
mod has_storage;
mod log;
mod outbox;
mod output;
mod presences;
mod rate;
mod records;
mod reflector;
mod room_index;
mod rooms;
mod session;
mod shares;
pub mod storage;
mod stored;
mod upload;
mod view;
mod views;
mod vote;

pub use aging::AgingClock;
pub use allowance::{Allowance, Spending};
pub use block::LogBlock;
pub use budget::{AddressId, Budget};
pub use config::Config;
pub use greeter::Greeter;
pub use output::{ConnId, Output, SessionKey, Stats};
pub use records::{RecordInfo, persisted_records, without_record};
pub use reflector::Reflector;
pub use room_index::RoomIndex;
pub use shares::{Owner, Shares};
pub use stored::room_of;
