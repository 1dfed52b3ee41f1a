//! What a run plays: an app, and what its users do.

use teatime_vm::persisted::PersistedData;
use teatime_vm::{App, Fault, Model, Payload, ViewId, Vm};

use crate::dice::Dice;
use crate::event::{Event, count};
use crate::plan::Plan;
use crate::planted::Bug;
use crate::user::User;

/// An app and its users. [`Simulation`](crate::Simulation) is the scenario for an app's author, made of closures. The
/// simulator calls these methods in the order of virtual time, from one thread per run.
pub trait Scenario: Sync {
    /// The app.
    fn app(&self) -> &App;

    /// The root model's options, as MessagePack.
    fn options(&self, plan: &Plan) -> Vec<u8>;

    /// The view data of a joining participant, as MessagePack.
    fn view_data(&self, _dice: &mut Dice) -> Option<Vec<u8>> {
        None
    }

    /// The name of one of the sessions.
    fn room(&self, number: usize) -> &str {
        if number == 0 { "a room" } else { "another room" }
    }

    /// Data that an older version of the app has persisted in each room before the run.
    fn begins_with(&self) -> Option<&PersistedData> {
        None
    }

    /// A run begins.
    fn begin(&self) {}

    /// A bug to plant into the simulated system, so that a test can show that it is found.
    fn planted(&self) -> Option<Bug> {
        None
    }

    /// A user does something.
    ///
    /// # Errors
    /// What went wrong. It ends the run.
    fn act(&self, dice: &mut Dice, user: &mut User<'_>) -> Result<(), String>;

    /// A user sends what makes a handler fail: see [`What::Panics`](crate::What::Panics).
    fn poison(&self, _dice: u64, _user: &mut User<'_>) {}

    /// A liar publishes to a topic without subscribers.
    fn gossip(&self, _user: &mut User<'_>) {}

    /// Runs a step in which the model computes a wrong state, and returns whether it did: see
    /// [`What::Diverges`](crate::What::Diverges).
    fn corrupt(&self, step: &mut dyn FnMut()) -> bool {
        step();
        false
    }

    /// Whether panics of handlers print nothing.
    fn is_quiet(&self) -> bool {
        false
    }

    /// Whether a handler may fail in this way.
    fn allows(&self, _fault: &Fault) -> bool {
        false
    }

    /// After how many inputs the simulator compares a participant with a twin restored from its snapshot, and makes a
    /// new twin. `None`: no twin.
    fn sync_distance(&self) -> Option<u64> {
        Some(1)
    }

    /// Checks the final state. Called for each participant at the end, when all agree.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, _end: &End<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// A participant at the end of a run. All of them have the same state.
pub struct End<'a> {
    vm: &'a Vm,
    view: ViewId,
    own: &'a [Event],
    log: &'a [Event],
    is_lossy: bool,
}

impl<'a> End<'a> {
    pub(crate) fn new(
        vm: &'a Vm,
        view: ViewId,
        own: &'a [Event],
        log: &'a [Event],
        is_lossy: bool,
    ) -> Self {
        Self { vm, view, own, log, is_lossy }
    }

    /// The state.
    pub fn vm(&self) -> &'a Vm {
        self.vm
    }

    /// The root model.
    ///
    /// # Panics
    /// If it is of another type.
    pub fn root<M: Model>(&self) -> &'a M {
        self.vm.root().expect("the root model is of this type")
    }

    /// The answer of the root model to a query; the argument is MessagePack.
    ///
    /// # Errors
    /// The root model does not have this query, or it fails.
    pub fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, String> {
        let answer = self.vm.query(teatime_vm::ModelId::ROOT, name, argument);
        answer.map_err(|error| format!("{name}: {error}"))
    }

    /// The id of the participant.
    pub fn view_id(&self) -> ViewId {
        self.view
    }

    /// All accepted events of the session, in the order of the reflector.
    pub fn events(&self) -> &'a [Event] {
        self.log
    }

    /// How many of these are on this topic.
    pub fn count(&self, scope: &str, event: &str) -> u64 {
        count(self.log, scope, event)
    }

    /// How many of these this participant has published.
    pub fn own_count(&self, scope: &str, event: &str) -> u64 {
        count(self.own, scope, event)
    }

    /// Whether a power cut has hit a reflector without durable storage. Then events may be missing.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }
}

impl std::fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").field("view_id", &self.view).finish_non_exhaustive()
    }
}
