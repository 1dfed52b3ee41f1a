//! The tests of `teatime-vm`, in one binary: linking one takes as long as linking one of many.

mod foreign;
mod forged;
mod lints;
mod persisted;
mod reaching;
mod recording;
mod semantics;
mod sync_test;
mod topic;
