//! Plays an app in virtual time: a reflector, its clients, and whatever can go wrong between them.
//!
//! The real state machines of both sides and the real log on disk run; only sockets, clocks and the file
//! system are replaced. Everything that happens follows from a seed. A time of faults — cuts, partitions,
//! slow readers, crashes and restarts of either side, late joins and exits — is followed by a time without,
//! in which everybody must converge. All the time everybody's state is compared with that of the others, and
//! one participant in each session with a twin that is restored from its snapshot after every single input.
//! Checked is also whatever else is an [`Invariant`].
//!
//! A [`Simulation`] plays the models of an app. An app depends on `teatime` with the feature `testing`, and
//! finds this crate as `teatime::testing`.

mod before;
mod campaign;
mod clash;
mod failure;
mod faults;
mod network;
mod oracle;
mod participant;
mod plan;
mod quiet;
mod report;
mod scenario;
mod server;
mod shrink;
mod simulation;
mod storage;
mod story;
mod twin;
mod users;
mod world;

pub use campaign::{Campaign, How, Summary};
pub use clash::Clash;
pub use failure::Failure;
pub use plan::{Bug, Fault, Keeps, MAX_ROOMS, Pace, Plan, What};
pub use report::{Invariant, Report, Violation};
pub use scenario::{Dice, End, Event, Scenario, User};
pub use shrink::{Shrunk, shrink};
pub use simulation::{Simulation, Verdict};

/// Plays one plan.
///
/// # Errors
/// The first thing that went wrong.
pub fn play(plan: &Plan, scenario: &dyn Scenario) -> Result<Report, Violation> {
    world::play(plan, scenario)
}
