//! The C library for tests: `libteatime` plus the simulator. Programs that ship link the smaller `libteatime`.

// Linking the crate is enough: the linker exports every `#[no_mangle]` function in it.
extern crate teatime_ffi as _;
