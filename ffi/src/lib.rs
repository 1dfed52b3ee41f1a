//! Teatime behind a C ABI: `teatime.h`, generated from this crate by `cargo xtask header`.
//!
//! One module per C type. Every export goes through `boundary`, which no panic crosses. C holds handles, which the library
//! never dereferences. Out-parameters are written on success only. The library trusts the caller in one point only:
//! pointers to bytes must be valid during the call.
//!
//! The installed library is `bindings/c`, which links this crate. An app with its own models in Rust has a crate like that,
//! and exports the result of [`export_app`]. Such crates link all exports; Rust code seldom calls them.

pub mod app;
pub mod blobs;
mod boundary;
#[cfg(feature = "chat")]
pub mod chat;
pub mod config;
pub mod cx;
pub mod cx_models;
pub mod event;
mod handle;
pub mod ids;
pub mod link;
pub mod math;
// Swift and Kotlin hold its objects; Rust code never prints them.
#[cfg(feature = "uniffi")]
#[allow(missing_debug_implementations)]
pub mod mobile;
pub mod model;
mod out;
pub mod payload;
pub mod persisted;
pub mod presence;
pub mod query;
pub mod reflector;
pub mod session;
mod shared;
#[cfg(feature = "testing")]
pub mod simulate;
pub mod stats;
pub mod status;
pub mod sync_test;
pub mod text;
mod transfer;
pub mod value;
pub mod version;
pub mod wake;

#[cfg(feature = "uniffi")]
uniffi::setup_scaffolding!();

pub use app::{export_app, tea_app};
pub use status::tea_status;
