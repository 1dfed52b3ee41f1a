//! Plays an app in virtual time: a reflector, its clients, and everything that can go wrong between them.
//!
//! The real state machines of both sides and the real log on disk run. Only sockets, clocks and the file system are
//! replaced, and everything follows from a seed. First comes a time of faults: cuts, partitions, slow readers, crashes
//! and restarts of either side, late joins and exits. Then comes a time without faults, in which all participants must
//! converge. All the time the simulator compares the states of all participants, and one participant of each session
//! with a twin that is restored from its snapshot after every single input. [`Invariant`] lists everything that it
//! checks.
//!
//! A [`Simulation`] plays the models of an app. An app depends on `teatime` with the feature `testing`, and finds these
//! types as `teatime::testing`. [`harness`] is for the tests of Teatime itself.

#![deny(missing_debug_implementations, unreachable_pub)]

mod attacker;
mod before;
mod campaign;
mod clash;
mod deceit;
mod dice;
mod event;
mod failure;
pub mod harness;
mod network;
mod note;
mod oracle;
mod participant;
mod plan;
mod planted;
mod quiet;
mod report;
mod scenario;
mod server;
mod shrink;
mod simulation;
mod storage;
mod twin;
mod user;
mod what;
mod world;

pub use campaign::Summary;
pub use clash::Clash;
pub use dice::Dice;
pub use event::Event;
pub use failure::Failure;
pub use plan::{MAX_ROOMS, Pace, Plan, PlannedStorage};
pub use report::{Invariant, Report, Violation};
pub use scenario::End;
pub use simulation::{Simulation, Verdict};
pub use user::User;
pub use what::{Fault, What};

/// Plays one plan. Apps use [`Simulation`].
///
/// # Errors
/// The first thing that went wrong.
pub fn play(plan: &Plan, scenario: &dyn harness::Scenario) -> Result<Report, Violation> {
    world::play(plan, scenario)
}
