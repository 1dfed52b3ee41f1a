//! Plays a reflector and its clients in virtual time from a plan that follows from a seed.
//!
//! The real state machines of both sides and the real log on disk run; only sockets, clocks and the file
//! system are replaced. A time of faults is followed by a time without, in which everybody must
//! converge. Checked all the time: see [`Invariant`].

mod campaign;
mod faults;
mod network;
mod oracle;
mod participant;
pub mod plan;
mod report;
mod server;
mod shrink;
mod world;

pub use campaign::{Campaign, Failure, Summary};
pub use plan::{Bug, Plan};
pub use report::{Invariant, Report, Violation};
pub use shrink::shrink;

/// Plays one plan.
///
/// # Errors
/// The first thing that went wrong.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    run_with(plan, &crate::ledger::app())
}

/// Plays one plan with another ledger, which answers the same queries.
///
/// # Errors
/// The first thing that went wrong.
pub fn run_with(plan: &Plan, app: &teatime::App) -> Result<Report, Violation> {
    world::play(plan, app)
}
