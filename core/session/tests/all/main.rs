//! The tests of `teatime-session`, in one binary: linking one takes as long as linking one of many.

mod archive;
mod client;
mod forgotten;
mod healing;
mod later;
mod liar;
mod lies;
mod persisting;
mod presences;
mod proof;
mod snapshots;
mod support;
mod unheard;
