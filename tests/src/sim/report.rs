//! What a run was like, and what went wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::What;

/// What a run was like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Digest of everything that went over the lines: equal for equal plans.
    pub trace: [u8; 32],
    /// Virtual time in µs.
    pub simulated_us: u64,
    /// Virtual time of all clients together, in µs.
    pub client_us: u64,
    /// The same after what was stored may have been lost: then less can be checked.
    pub lossy_client_us: u64,
    /// Whether a majority has voted for a wrong state, because those who were right were away for too long.
    pub usurped: u64,
    /// How long all took to converge after the faults, in virtual µs.
    pub converged_us: u64,
    /// Positions at which a client was compared with another one.
    pub compared: u64,
    /// Votes that ended with everybody agreeing.
    pub unanimous: u64,
    /// Entries that the models counted.
    pub entries: u64,
    /// What was done, how often.
    pub faults: BTreeMap<What, u64>,
    /// Clients that diverged, were told, and went on.
    pub healed: u64,
    /// Panics that were undone everywhere.
    pub undone: u64,
    /// Liars who were shown the door.
    pub liars_closed: u64,
    /// How often senders were held back.
    pub held: u64,
    /// How often somebody who does not read was dropped.
    pub dropped_slow: u64,
    /// How often something could not be stored and was taken back.
    pub taken_back: u64,
    /// Most bytes that the reflector had in the logs and snapshots of a session.
    pub log_bytes: u64,
}

/// What is checked in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// Equal position, equal state.
    Agreement,
    /// Equal position, equal faults; and none but those that were planned.
    Faults,
    /// Neither sequence numbers nor time go back for anybody.
    Monotony,
    /// Every accepted entry comes once, in its sender's order; joins and exits are paired.
    Ledger,
    /// What anybody has seen outlives the reflector.
    Durability,
    /// Who did nothing wrong is not shut out.
    Innocence,
    /// Who has diverged is told, and goes on; nobody else is told.
    Healing,
    /// The memory of a session is bounded.
    Memory,
    /// After the faults have ended all converge in time.
    Liveness,
    /// A store is found again after a crash.
    Storage,
    /// Nothing panics but the handlers that are meant to.
    Sanity,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Agreement,
        Self::Faults,
        Self::Monotony,
        Self::Ledger,
        Self::Durability,
        Self::Innocence,
        Self::Healing,
        Self::Memory,
        Self::Liveness,
        Self::Storage,
        Self::Sanity,
    ];
}

/// What went wrong in a run, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Virtual time in µs.
    pub at_us: u64,
    /// Of what.
    pub of: Invariant,
    /// What was seen.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after {} µs: {:?}: {}", self.at_us, self.of, self.what)
    }
}
