//! The tests of `teatime-vm`, in one binary: linking one takes as long as linking one of many.

mod foreign;
mod lints;
mod persisted;
mod recording;
mod semantics;
mod sync_test;
