//! Plays the ledger in the simulator: with faults and liars that need a model's help, and with planted bugs.

use std::str::FromStr;

use teatime::testing::{Dice, End, Invariant, Pace, Plan, User, Violation};
use teatime::{App, Fault};
use teatime_simulator::Report;
use teatime_simulator::harness::{self, Scenario};

use crate::ledger::{self, Entry, Rules};

/// A bug to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// In the model.
    Model(ledger::Bug),
    /// In what users do: they enter an entry twice.
    EntersTwice,
    /// In the system that the simulator plays.
    System(harness::Bug),
}

impl Bug {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let models = ledger::Bug::ALL.into_iter().map(Self::Model);
        models.chain([Self::EntersTwice]).chain(harness::Bug::ALL.into_iter().map(Self::System))
    }

    /// How the simulator must find it, in one run or another.
    pub fn shows_as(self) -> &'static [Invariant] {
        match self {
            Self::Model(ledger::Bug::LosesExit) => &[Invariant::Check],
            Self::Model(ledger::Bug::SaysOther) => &[Invariant::Faults],
            Self::Model(_) => &[Invariant::Agreement],
            Self::EntersTwice => &[Invariant::Check],
            Self::System(harness::Bug::SwallowsPublish) => &[Invariant::Delivery],
            Self::System(harness::Bug::LosesPresence) => &[Invariant::Presence],
            // What is lost may be the time of the session, and clients notice that events which they have seen are gone.
            Self::System(harness::Bug::SendsBeforeStoring) => {
                &[Invariant::Durability, Invariant::Monotony, Invariant::Alarm]
            }
            Self::System(harness::Bug::ForgetsTime) => &[Invariant::Monotony],
            Self::System(harness::Bug::LosesEvent) => &[Invariant::Innocence],
            Self::System(harness::Bug::Rots) => &[Invariant::Storage],
            Self::System(harness::Bug::Panics) => &[Invariant::Sanity],
            Self::System(harness::Bug::SilentAboutDivergence) => &[Invariant::Healing],
            Self::System(harness::Bug::NeverSnapshots) => &[Invariant::Memory],
            Self::System(harness::Bug::GivesUp | harness::Bug::ServesAttackersFirst) => {
                &[Invariant::Liveness]
            }
            Self::System(
                harness::Bug::RepeatsNonce
                | harness::Bug::DeafToContradiction
                | harness::Bug::HidesAlarms,
            ) => &[Invariant::Defence],
        }
    }
}

impl FromStr for Bug {
    type Err = String;

    /// By its name, such as `enters_twice` or `hash_order`.
    fn from_str(name: &str) -> Result<Self, String> {
        let named = |name: &str| serde_json::Value::from(name);
        if name == "enters_twice" {
            return Ok(Self::EntersTwice);
        }
        let model = serde_json::from_value(named(name)).map(Self::Model);
        model
            .or_else(|_| serde_json::from_value(named(name)).map(Self::System))
            .map_err(|_| format!("unknown bug {name:?}"))
    }
}

/// Plays one plan with a ledger in Rust, without bugs.
///
/// # Errors
/// The first thing that went wrong.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    teatime_simulator::play(plan, &Books::new())
}

/// A ledger as a scenario.
#[derive(Debug)]
pub struct Books {
    app: App,
    distance: Option<u64>,
    bug: Option<Bug>,
}

impl Books {
    /// The ledger in Rust.
    #[expect(clippy::new_without_default, reason = "which ledger it is should be said")]
    pub fn new() -> Self {
        Self::of(ledger::app())
    }

    /// Another ledger, which answers the same queries.
    pub fn of(app: App) -> Self {
        // The ledger also holds under the sync test, but that is too slow for thousands of hours.
        Self { app, distance: None, bug: None }
    }

    /// Under the sync test, with this distance.
    #[must_use]
    pub fn synced(mut self, distance: u64) -> Self {
        self.distance = Some(distance);
        self
    }

    /// With a planted bug.
    #[must_use]
    pub fn with_bug(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }
}

impl Scenario for Books {
    fn app(&self) -> &App {
        &self.app
    }

    fn planted(&self) -> Option<harness::Bug> {
        match self.bug {
            Some(Bug::System(bug)) => Some(bug),
            _ => None,
        }
    }

    fn options(&self, plan: &Plan) -> Vec<u8> {
        let bug = match self.bug {
            Some(Bug::Model(bug)) => Some(bug),
            _ => None,
        };
        let tick_ms = if plan.pace == Pace::Brisk { 250 } else { 10_000 };
        teatime::to_bytes(&Rules { tick_ms, bug }).expect("the rules can be encoded")
    }

    fn view_data(&self, _dice: &mut Dice) -> Option<Vec<u8>> {
        teatime::to_bytes(ledger::BROUGHT_ALONG).ok()
    }

    fn room(&self, number: usize) -> &str {
        if number == 0 { "the ledger" } else { "another ledger" }
    }

    fn begin(&self) {
        ledger::forget_outside();
    }

    fn act(&self, dice: &mut Dice, user: &mut User<'_>) -> Result<(), String> {
        let entered = user.count("ledger", "enter");
        let again = self.bug == Some(Bug::EntersTwice) && entered > 0 && dice.chance(50);
        let entry = Entry { number: entered + u64::from(!again) };
        user.publish("ledger", "enter", &entry);
        Ok(())
    }

    fn poison(&self, dice: u64, user: &mut User<'_>) {
        user.publish("ledger", "poison", &dice);
    }

    fn gossip(&self, user: &mut User<'_>) {
        user.publish("ledger", "gossip", "psst");
    }

    fn corrupt(&self, step: &mut dyn FnMut()) -> bool {
        ledger::corrupted(step)
    }

    fn allows(&self, fault: &Fault) -> bool {
        fault.handler.ends_with("poison")
    }

    fn sync_distance(&self) -> Option<u64> {
        self.distance
    }

    fn check(&self, end: &End<'_>) -> Result<(), String> {
        let ask = |name: &str, argument: &[u8]| -> Result<u64, String> {
            end.query(name, argument)?.get().map_err(|error| format!("{name}: {error}"))
        };
        let nil = [0xc0];
        let violations = ask("violations", &nil)?;
        let gaps = if end.is_lossy() { 0 } else { ask("gaps", &nil)? };
        if violations + gaps > 0 {
            return Err(format!("{violations} violations, {gaps} gaps"));
        }
        let view = teatime::to_bytes(&end.view_id()).expect("an id is bytes");
        let sent = end.own_count("ledger", "enter");
        if ask("newest", &view)? != sent && !end.is_lossy() {
            return Err("an accepted entry is lost".to_owned());
        }
        Ok(())
    }
}
