//! The tests of `teatime-reflector`, in one binary: linking one takes as long as linking one of many.

mod full_log;
mod persisting;
mod presence;
mod reflector;
mod rooms;
mod storage;
mod support;
mod voting;
