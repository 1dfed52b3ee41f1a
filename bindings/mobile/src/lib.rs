//! The library for Swift and Kotlin. All its exports come from `teatime-ffi`.

teatime_ffi::uniffi_reexport_scaffolding!();
