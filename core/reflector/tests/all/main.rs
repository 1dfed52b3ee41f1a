//! The tests of `teatime-reflector`, in one binary: linking one takes as long as linking one of many.

mod budget;
mod departed;
mod disputes;
mod fairness;
mod full_log;
mod going_back;
mod persisting;
mod presence;
mod presences;
mod proof;
mod reflector;
mod rooms;
mod storage;
mod support;
mod voting;
