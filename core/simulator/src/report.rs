//! What a run was like, and what went wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clash::Clash;
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
    /// Inputs after which a client was compared with a twin.
    pub synced: u64,
    /// Votes that ended with everybody agreeing.
    pub unanimous: u64,
    /// Events that were accepted, counted at each client that was left.
    pub entries: u64,
    /// How often the app's own checks were asked.
    pub checked: u64,
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
    /// What is restored from a snapshot goes on like what the snapshot was taken of.
    Sync,
    /// A state can be saved, and restored from what was saved.
    Snapshot,
    /// The same seed, played again later, comes to the same states.
    Again,
    /// Equal position, equal faults; and none but those that were planned.
    Faults,
    /// Neither sequence numbers nor time go back for anybody.
    Monotony,
    /// Every accepted event comes once, in its sender's order.
    Delivery,
    /// What the app itself checks.
    Check,
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
    /// What users do goes well, as they say themselves.
    Act,
    /// Nothing panics but the handlers that are meant to, and users publish what may be published.
    Sanity,
    /// The app can be started.
    Start,
    /// What is said of the simulation is sound, and proves something.
    Setup,
}

impl Invariant {
    /// What it means that it is violated, in a few words.
    fn tells(self) -> &'static str {
        match self {
            Self::Agreement => "two participants differ",
            Self::Sync => "a participant differs from the same restored from a snapshot",
            Self::Snapshot => "a state cannot be saved, or not be restored",
            Self::Again => "the same seed came to another state when it was played again later",
            Self::Faults => "a handler failed, or not for everybody alike",
            Self::Monotony => "time went back",
            Self::Delivery => "an accepted event was lost or doubled",
            Self::Check => "a check failed",
            Self::Durability => "what somebody had seen was lost",
            Self::Innocence => "somebody was shut out who did nothing wrong",
            Self::Healing => "who diverged was not told, or somebody else was",
            Self::Memory => "the reflector's memory is not bounded",
            Self::Liveness => "not everybody converged in time after the faults",
            Self::Storage => "the reflector's store was not found again",
            Self::Act => "an action failed",
            Self::Sanity => "something panicked, or was published that must not be",
            Self::Start => "it cannot be started",
            Self::Setup => "it is refused",
        }
    }

    /// Whether what violates one of them may violate the other, as chance will have it.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let of_states = [Self::Agreement, Self::Sync];
        self == other || of_states.contains(&self) && of_states.contains(&other)
    }

    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Agreement,
        Self::Sync,
        Self::Snapshot,
        Self::Again,
        Self::Faults,
        Self::Monotony,
        Self::Delivery,
        Self::Check,
        Self::Durability,
        Self::Innocence,
        Self::Healing,
        Self::Memory,
        Self::Liveness,
        Self::Storage,
        Self::Act,
        Self::Sanity,
        Self::Start,
        Self::Setup,
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
    /// How often users had had something to do by then.
    pub acts: u64,
    /// Where two states differ, if that is it.
    pub clash: Option<Box<Clash>>,
    /// The newest that happened before, oldest first: when in virtual µs, and what.
    pub story: Vec<(u64, String)>,
}

impl Violation {
    /// At the beginning.
    pub(crate) fn new(of: Invariant, what: String) -> Self {
        Self { at_us: 0, of, what, acts: 0, clash: None, story: Vec::new() }
    }

    /// Whether this is the same mistake as far as that can be told, even if it shows at another time, at another
    /// participant, with other values.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        if !self.of.is_like(other.of) {
            return false;
        }
        match self.of {
            // Where the other state was not known any more, nothing more is known of the mistake.
            Invariant::Agreement | Invariant::Sync => {
                other.clash.is_none() || self.place() == other.place()
            }
            Invariant::Check
            | Invariant::Snapshot
            | Invariant::Faults
            | Invariant::Act
            | Invariant::Sanity => words(&self.what) == words(&other.what),
            _ => true,
        }
    }

    /// The kind of model and the field that differ.
    fn place(&self) -> Option<(Option<&str>, &str)> {
        let clash = self.clash.as_ref()?;
        let model = clash.model.as_ref().map(|(_, kind)| &**kind);
        Some((model, clash.field.split(['.', '[']).next().unwrap_or_default()))
    }
}

/// The words of a text's first line: values, of which numbers and what follows in other lines are made, are left
/// out; but not which check or action it was, and what it has returned.
fn words(text: &str) -> Vec<&str> {
    let line = text.lines().next().unwrap_or_default();
    let (mut kept, mut before) = (Vec::new(), "");
    for word in line.split_whitespace() {
        let is_value = word.contains(|letter: char| letter.is_ascii_digit())
            || !word.contains(char::is_alphabetic);
        if !is_value || ["check", "action", "returned"].contains(&before) {
            kept.push(word);
        }
        before = word;
    }
    kept
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, after {} s", self.of.tells(), self.at_us as f64 / 1e6)?;
        for part in [self.clash.as_ref().map(ToString::to_string), Some(self.what.clone())] {
            match part {
                Some(text) if !text.is_empty() => write!(f, ": {text}")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What comes of something that may find that something is wrong.
pub(crate) type Outcome = Result<(), Wrong>;

/// What went wrong.
pub(crate) struct Wrong {
    pub(crate) of: Invariant,
    pub(crate) what: String,
    pub(crate) clash: Option<Box<Clash>>,
}

impl Wrong {
    pub(crate) fn new(of: Invariant, what: impl Into<String>) -> Self {
        Self { of, what: what.into(), clash: None }
    }
}

impl From<(Invariant, String)> for Wrong {
    fn from((of, what): (Invariant, String)) -> Self {
        Self { of, what, clash: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(model: &str, field: &str) -> Violation {
        let clash = Clash {
            model: Some((1, model.to_owned())),
            field: field.to_owned(),
            here: String::new(),
            here_is: String::new(),
            there: String::new(),
            there_is: String::new(),
            after: String::new(),
        };
        Violation { clash: Some(Box::new(clash)), ..Violation::new(Invariant::Sync, String::new()) }
    }

    #[test]
    fn another_field_or_model_is_another_mistake_and_another_value_is_not() {
        let one = differs("board", "counts[3]");
        assert!(differs("board", "counts[7].x").is_like(&one));
        assert!(Violation { of: Invariant::Agreement, ..differs("board", "counts") }.is_like(&one));
        assert!(!differs("board", "names").is_like(&one));
        assert!(!differs("poll", "counts[3]").is_like(&one));
        assert!(!Violation { of: Invariant::Check, ..differs("board", "counts[3]") }.is_like(&one));
        // Where the other state was not known any more.
        let nameless = Violation::new(Invariant::Agreement, String::new());
        assert!(differs("poll", "names").is_like(&nameless));
    }

    #[test]
    fn other_words_are_another_mistake_and_other_numbers_are_not() {
        let said = |what: &str| Violation::new(Invariant::Check, what.to_owned());
        let one = said("participant 3: check 2: 7 stones\nand more");
        assert!(said("participant 1: check 2: 31 stones\nor less").is_like(&one));
        assert!(!said("participant 3: check 1: 7 stones").is_like(&one));
        assert!(!said("participant 3: check 2: 7 cards").is_like(&one));
        let one = said("participant 1: action 1: act returned 7");
        assert!(!said("participant 1: action 1: act returned 8").is_like(&one));
        assert!(!said("participant 1: action 2: act returned 7").is_like(&one));
    }
}
