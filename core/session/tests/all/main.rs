//! The tests of `teatime-session`, in one binary: linking one takes as long as linking one of many.

mod archive;
mod client;
mod healing;
mod persisting;
mod support;
