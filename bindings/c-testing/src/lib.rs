//! The C library for tests: all of `libteatime`, and the simulator. Programs that are shipped link the other
//! one, which is the smaller for it.

pub use teatime_ffi::*;
