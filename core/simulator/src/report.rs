//! The report of a run, and what went wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clash::Clash;
use crate::what::What;

/// The report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Digest of all frames. Equal for equal plans.
    pub trace: [u8; 32],
    /// Virtual time in µs.
    pub simulated_us: u64,
    /// Virtual time of all clients together, in µs.
    pub client_us: u64,
    /// The same after stored events may have been lost, so that less could be checked.
    pub lossy_client_us: u64,
    /// 1 if a majority has voted for a wrong state, because the others were away for too long.
    pub usurped: u64,
    /// How long all took to converge after the faults, in virtual µs.
    pub converged_us: u64,
    /// Positions at which a client was compared with another one.
    pub compared: u64,
    /// Inputs after which a client was compared with a twin.
    pub synced: u64,
    /// Unanimous votes.
    pub unanimous: u64,
    /// Accepted events, counted at each remaining client.
    pub entries: u64,
    /// How often the app's own checks ran.
    pub checked: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<What, u64>,
    /// Clients that diverged, learned it, and continued.
    pub healed: u64,
    /// Panics that were undone everywhere.
    pub undone: u64,
    /// Liars that the reflector disconnected.
    pub liars_closed: u64,
    /// How often senders were held back.
    pub held: u64,
    /// How often the reflector disconnected a client that did not read.
    pub dropped_slow: u64,
    /// How often an event could not be stored and was withdrawn.
    pub taken_back: u64,
    /// Most bytes that the reflector had in the logs and snapshots of a session.
    pub log_bytes: u64,
    /// Joins of attackers that were refused because another party has signed them.
    pub replays_refused: u64,
    /// Forged states that a participant has contradicted, so that no snapshot of them was taken.
    pub forgeries_contradicted: u64,
    /// Lies of the reflector that no fault has cut short, and that some participant was alarmed of in time.
    pub lies_found: u64,
}

/// What is checked in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// At an equal position all participants have an equal state.
    Agreement,
    /// A model restored from a snapshot continues like the original.
    Sync,
    /// A state can be saved and restored.
    Snapshot,
    /// The same seed, played again later, gives the same states.
    Again,
    /// Handlers fail alike for all participants, and only if that is planned.
    Faults,
    /// Sequence numbers and time never go back.
    Monotony,
    /// An attacker is refused what it must not get, and a lie of the reflector is found out in time.
    Defence,
    /// Every accepted event arrives exactly once, in its sender's order.
    Delivery,
    /// The app's own checks pass.
    Check,
    /// What a participant shows of itself never gives way to something older, and at the end all others see it.
    Presence,
    /// No message that a client has seen is lost when the reflector ends.
    Durability,
    /// The reflector disconnects no honest client for good.
    Innocence,
    /// No client raises an alarm about the order of an honest reflector, unless events were lost.
    Alarm,
    /// A client that diverged learns it and continues. No other client hears that it diverged.
    Healing,
    /// The memory of a session is bounded.
    Memory,
    /// After the faults all participants converge in time. An event of an undisturbed participant comes back in time.
    Liveness,
    /// The store opens again after a crash.
    Storage,
    /// The actions of users succeed.
    Act,
    /// Only planned handlers panic, and users publish only what clients may publish.
    Sanity,
    /// The app can be started.
    Start,
    /// The simulation itself is set up correctly, and proves something.
    Setup,
}

impl Invariant {
    /// What a violation means, in a few words.
    fn tells(self) -> &'static str {
        match self {
            Self::Agreement => "two participants differ",
            Self::Sync => "a participant differs from itself restored from a snapshot",
            Self::Snapshot => "a state cannot be saved or restored",
            Self::Again => "the same seed gave another state when it was played again later",
            Self::Faults => "a handler failed, or failed differently for some participants",
            Self::Monotony => "time went back",
            Self::Defence => "an attacker got what it must not get, or a lie was not found out",
            Self::Delivery => "an accepted event was lost or doubled",
            Self::Check => "a check failed",
            Self::Presence => "participants see something old of another one",
            Self::Durability => "a message that a client had seen was lost",
            Self::Innocence => "an honest client was disconnected for good",
            Self::Alarm => "a client raised an alarm about the order of an honest reflector",
            Self::Healing => {
                "a client that diverged did not learn it, or another one heard that it diverged"
            }
            Self::Memory => "the reflector uses too much memory",
            Self::Liveness => {
                "not all participants converged in time after the faults, or an event took too long"
            }
            Self::Storage => "the reflector's store did not open again",
            Self::Act => "an action failed",
            Self::Sanity => "something panicked, or a user published what no client may publish",
            Self::Start => "it cannot start",
            Self::Setup => "it is refused",
        }
    }

    /// Whether the same bug may violate one or the other, by chance.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let of_states = [Self::Agreement, Self::Sync];
        self == other || of_states.contains(&self) && of_states.contains(&other)
    }

    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Agreement,
        Self::Sync,
        Self::Snapshot,
        Self::Again,
        Self::Faults,
        Self::Monotony,
        Self::Presence,
        Self::Defence,
        Self::Delivery,
        Self::Check,
        Self::Durability,
        Self::Innocence,
        Self::Alarm,
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

/// What went wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Virtual time in µs.
    pub at_us: u64,
    /// The violated invariant.
    pub of: Invariant,
    /// The details.
    pub what: String,
    /// How often users had acted by then.
    pub acts: u64,
    /// Where two states differ, if they do.
    pub clash: Option<Box<Clash>>,
    /// What happened before, oldest first: the virtual time in µs, and a sentence.
    pub story: Vec<(u64, String)>,
}

impl Violation {
    /// A violation at the start of a run.
    pub(crate) fn new(of: Invariant, what: String) -> Self {
        Self { at_us: 0, of, what, acts: 0, clash: None, story: Vec::new() }
    }

    /// Whether this is probably the same bug, although the time, the participant and the values may differ.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        if !self.of.is_like(other.of) {
            return false;
        }
        match self.of {
            // If the other state was no longer in memory, nothing more is known of the bug.
            Invariant::Agreement | Invariant::Sync => {
                other.clash.is_none() || self.place() == other.place()
            }
            Invariant::Check
            | Invariant::Snapshot
            | Invariant::Faults
            | Invariant::Act
            | Invariant::Defence
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

/// The words of a text's first line without values, such as numbers. The numbers of checks and actions, and what an
/// action has returned, count as words.
fn words(text: &str) -> Vec<&str> {
    let line = text.lines().next().unwrap_or_default();
    let (mut words, mut before) = (Vec::new(), "");
    for word in line.split_whitespace() {
        let is_value = word.contains(|letter: char| letter.is_ascii_digit())
            || !word.contains(char::is_alphabetic);
        if !is_value || ["check", "action", "returned"].contains(&before) {
            words.push(word);
        }
        before = word;
    }
    words
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

/// The result of a step that may find something wrong.
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
    fn another_field_or_model_is_another_bug_and_another_value_is_not() {
        let one = differs("board", "counts[3]");
        assert!(differs("board", "counts[7].x").is_like(&one));
        assert!(Violation { of: Invariant::Agreement, ..differs("board", "counts") }.is_like(&one));
        assert!(!differs("board", "names").is_like(&one));
        assert!(!differs("poll", "counts[3]").is_like(&one));
        assert!(!Violation { of: Invariant::Check, ..differs("board", "counts[3]") }.is_like(&one));
        // The other state was no longer in memory.
        let nameless = Violation::new(Invariant::Agreement, String::new());
        assert!(differs("poll", "names").is_like(&nameless));
    }

    #[test]
    fn other_words_are_another_bug_and_other_numbers_are_not() {
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
