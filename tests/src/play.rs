//! Plays the ledger in the simulator: the faults, liars and planted mistakes that only it can be played with.

use teatime::{App, Fault};
use teatime_simulator::{Bug, Dice, End, Invariant, Pace, Plan, Report, Scenario, User, Violation};

use crate::ledger::{self, Entry, Rules};

/// Every mistake that is planted on purpose.
pub fn bugs() -> impl Iterator<Item = Bug> {
    let models = ledger::Bug::ALL.into_iter().map(ledger::Bug::planted);
    models.chain(Bug::ALL)
}

/// Plays one plan.
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
}

impl Books {
    /// The one in Rust.
    #[expect(clippy::new_without_default, reason = "which ledger it is should be said")]
    pub fn new() -> Self {
        Self::of(ledger::app())
    }

    /// Another one, which answers the same queries.
    pub fn of(app: App) -> Self {
        // The ledger holds under the sync test as well; thousands of hours are for everything else.
        Self { app, distance: None }
    }

    /// Under the sync test, with this distance.
    #[must_use]
    pub fn synced(mut self, distance: u64) -> Self {
        self.distance = Some(distance);
        self
    }
}

impl Scenario for Books {
    fn app(&self) -> &App {
        &self.app
    }

    fn options(&self, plan: &Plan) -> Vec<u8> {
        let bug = plan.bug.as_ref().and_then(ledger::Bug::of);
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
        let again = user.plan().bug == Some(Bug::EntersTwice) && entered > 0 && dice.chance(50);
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

/// What a planted mistake may show as.
pub fn shows_as(bug: &Bug) -> &'static [Invariant] {
    match bug {
        Bug::Model(name) if name == "loses_exit" => &[Invariant::Check],
        Bug::Model(name) if name == "says_other" => &[Invariant::Faults],
        Bug::Model(_) => &[Invariant::Agreement],
        Bug::EntersTwice => &[Invariant::Check],
        Bug::SwallowsPublish => &[Invariant::Delivery],
        Bug::SendsBeforeStoring => &[Invariant::Durability],
        Bug::ForgetsTime => &[Invariant::Monotony],
        Bug::LosesEvent => &[Invariant::Innocence],
        Bug::Rots => &[Invariant::Storage],
        Bug::Panics => &[Invariant::Sanity],
        Bug::SilentAboutDivergence => &[Invariant::Healing],
        Bug::NeverSnapshots => &[Invariant::Memory],
        Bug::GivesUp => &[Invariant::Liveness],
    }
}
