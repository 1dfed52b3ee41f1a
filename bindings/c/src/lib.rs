//! The C library. All that it exports comes from `teatime-ffi`; an app with models of its own in
//! Rust has a crate like this one, with a function that exports them: see
//! [`teatime_ffi::export_app`].

pub use teatime_ffi::*;
