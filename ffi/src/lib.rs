//! Teatime behind a C ABI: `teatime.h`, generated from this crate by `cargo xtask header`.
//!
//! One file per C type. Every export goes through [`boundary`], which no panic crosses; C holds
//! [`handle`]s, which are never dereferenced; out-parameters are written on success only. Pointers
//! to bytes are the only thing that is taken on trust, and only for the time of a call.
//!
//! The library that is installed is `bindings/c`, which re-exports this crate. An app with models of
//! its own in Rust has a crate like that, and exports what [`export_app`] returns.

mod app;
mod blobs;
mod boundary;
#[cfg(feature = "chat")]
mod chat;
mod config;
mod cx;
mod event;
mod handle;
mod ids;
mod link;
mod math;
#[cfg(feature = "uniffi")]
pub mod mobile;
mod model;
mod out;
mod payload;
mod persisted;
mod query;
mod reflector;
mod session;
mod shared;
#[cfg(feature = "testing")]
mod simulate;
mod stats;
mod status;
mod sync_test;
mod text;
mod transfer;
mod value;
mod version;
mod wake;

#[cfg(feature = "uniffi")]
uniffi::setup_scaffolding!();

pub use app::*;
pub use blobs::*;
#[cfg(feature = "chat")]
pub use chat::*;
pub use config::*;
pub use cx::*;
pub use event::*;
pub use ids::*;
pub use link::*;
pub use math::*;
pub use model::*;
pub use payload::*;
pub use persisted::*;
pub use query::*;
pub use reflector::*;
pub use session::*;
#[cfg(feature = "testing")]
pub use simulate::*;
pub use stats::*;
pub use status::*;
pub use sync_test::*;
pub use text::*;
pub use value::*;
pub use version::*;
pub use wake::*;
