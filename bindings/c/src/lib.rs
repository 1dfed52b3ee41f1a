//! The C library. All its exports come from `teatime-ffi`. An app with its own models in Rust has a crate
//! like this one, plus a function that exports the app: see [`teatime_ffi::export_app`].

// Linking the crate is enough: the linker exports every `#[no_mangle]` function in it.
extern crate teatime_ffi as _;
