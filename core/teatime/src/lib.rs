//! Replicated computation for native apps.
//!
//! Every participant of a session runs the same deterministic *model*; a small server, the
//! *reflector*, gives all events one order and one time; so all models compute the same state and
//! nobody writes server code. An app supplies models and a [`View`].

mod badge;
#[cfg(feature = "blobs")]
pub mod blobs;
mod driver;
pub mod evidence;
mod link;
mod local;
mod qr;
#[cfg(feature = "recording")]
mod recorder;
pub mod recording;
mod session;
pub mod testing;
mod view;

pub use badge::Badge;
pub use driver::{Driver, JoinError};
pub use link::{JoinLink, LinkError, reflector_address};
pub use local::{LocalReflector, local_reflector};
pub use qr::QrCode;
pub use session::Session;
pub use teatime_net::client::Waker;
pub use teatime_net::server;
pub use teatime_net::tls::BadCertificates;
pub use teatime_session::{
    Client, Config, ConfigError, ConnectionState, Delivery, DisconnectReason, Divergence, Handling,
    NewerVersion, NotPersisted, PublishError, Receipt, RoundTrips, SessionEvent, SubscriptionId,
    WILDCARD,
};
pub use teatime_vm::*;
pub use teatime_wire::CloseReason;
pub use view::{View, ViewContext};

/// The README's examples are compiled and run.
#[cfg(all(doctest, feature = "blobs"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
