//! Bugs to plant into the simulated system: a simulator that misses one is broken.

use serde::{Deserialize, Serialize};

/// A bug that a run must find, one for each thing that the simulator checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bug {
    /// The reflector sends before it has stored.
    SendsBeforeStoring,
    /// The reflector does not store the time of a session.
    ForgetsTime,
    /// Now and then the network loses an event of a working connection.
    LosesEvent,
    /// Now and then the reflector does not pass on what a participant shows of itself.
    LosesPresence,
    /// A client accepts an event of the app, and does not send it.
    SwallowsPublish,
    /// The reflector does not tell clients that they diverged.
    SilentAboutDivergence,
    /// A bit on the disk flips while the reflector is down.
    Rots,
    /// An app panics.
    Panics,
    /// The reflector never asks for a snapshot, and never holds senders back.
    NeverSnapshots,
    /// A client does not reconnect after the faults have ended.
    GivesUp,
    /// The reflector says the same nonce on each connection, so that a recorded join fits.
    RepeatsNonce,
    /// The reflector ignores clients that contradict the majority.
    DeafToContradiction,
    /// Clients do not tell users about lies.
    HidesAlarms,
    /// Nothing that clients send reaches the reflector while it sends something to an attacker.
    ServesAttackersFirst,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SendsBeforeStoring,
        Self::SwallowsPublish,
        Self::LosesPresence,
        Self::ForgetsTime,
        Self::LosesEvent,
        Self::SilentAboutDivergence,
        Self::Rots,
        Self::Panics,
        Self::NeverSnapshots,
        Self::GivesUp,
        Self::RepeatsNonce,
        Self::DeafToContradiction,
        Self::HidesAlarms,
        Self::ServesAttackersFirst,
    ];
}
