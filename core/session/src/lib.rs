//! The client of a session as a state machine: bytes and time in, actions and events out.
//!
//! [`Client`] joins a session through a reflector, runs the same model as every other participant, and hands the
//! model's events to views. It does no I/O and reads no clock, so the same code runs on sockets and in a simulator.
//!
//! [`limits`] bounds everything that waits in it. The documentation of `teatime_net` lists all queues between a
//! model and its reflector, and what happens when they are full.

mod alarm;
mod claim;
mod client;
mod config;
mod content;
mod delivery;
mod envelope;
mod event;
pub mod forensics;
pub mod limits;
mod publish;
mod senders;
#[cfg(feature = "recording")]
mod taped;
mod transcript;

pub use alarm::{Alarm, AlarmKind};
pub use client::Client;
pub use config::{Config, ConfigError};
pub use delivery::{Delivery, Handling, SubscriptionId, WILDCARD};
pub use event::{
    Action, ConnectionState, Disagreement, DisconnectReason, Divergence, Input, NewerVersion,
    NotPersisted, OtherPassword, RoundTrips, SessionEvent, Side, Stepped, Unconfirmed,
};
pub use publish::{PublishError, Receipt};
#[cfg(feature = "recording")]
pub use taped::Taped;
pub use teatime_base::BrokenSealError;
