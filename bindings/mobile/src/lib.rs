//! The library for Swift and Kotlin. All that it exports comes from `teatime-ffi`.

pub use teatime_ffi::*;

teatime_ffi::uniffi_reexport_scaffolding!();
