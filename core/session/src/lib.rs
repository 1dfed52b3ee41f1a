//! The client of a session as a state machine: bytes and time in, actions and events out.
//!
//! [`Client`] joins a session through a reflector, runs the model that everybody runs, and hands
//! its events to views. It does no I/O and looks at no clock, so the same code runs on sockets, in
//! a simulator and wherever else somebody drives it.
//!
//! Whatever waits in it is bounded by [`limits`]; `teatime_net` lists all queues between a model and its
//! reflector, and what happens when they are full.

pub mod archive;
mod backlog;
mod backoff;
mod client;
mod clock;
mod config;
pub mod diff;
mod event;
pub mod evidence;
mod healing;
mod input;
pub mod limits;
mod loading;
mod outbox;
mod persisting;
mod step;
mod subscriptions;
mod tape;
mod trailer;
mod voting;

pub use client::{Client, PublishError, Receipt};
pub use clock::RoundTrips;
pub use config::{Config, ConfigError};
pub use event::{
    Action, ConnectionState, DisconnectReason, Input, NewerVersion, NotPersisted, SessionEvent,
};
pub use healing::Divergence;
pub use step::Stepped;
pub use subscriptions::{Delivery, Handling, SubscriptionId, WILDCARD};
#[cfg(feature = "recording")]
pub use tape::Taped;
pub use teatime_base::BrokenSealError;
