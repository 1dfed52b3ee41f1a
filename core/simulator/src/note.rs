//! What happened in a run, besides what users publish: for the report of a failure.

use crate::what::What;

/// Something that happened. Participants are numbered from 0.
pub(crate) enum Note {
    Joins(usize),
    Fault(What, Option<usize>),
    /// What an attacker does, in detail.
    Attack(String),
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Joins(at) => write!(f, "participant {} joins", at + 1),
            Self::Attack(what) => f.write_str(what),
            Self::Fault(what, None) => f.write_str(what.tells()),
            Self::Fault(what, Some(at)) => write!(f, "participant {}: {}", at + 1, what.tells()),
        }
    }
}
