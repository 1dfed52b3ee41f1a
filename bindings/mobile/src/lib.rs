//! The library for Swift and Kotlin. All that it exports comes from `teatime-ffi`.

teatime_ffi::uniffi_reexport_scaffolding!();
