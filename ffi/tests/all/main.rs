//! The tests of `teatime-ffi`, in one binary: linking one takes as long as linking one of many.

mod background;
mod c;
mod codes;
mod full_disk;
mod mobile;
mod simulation;
mod support;
mod testing;
mod twin;
