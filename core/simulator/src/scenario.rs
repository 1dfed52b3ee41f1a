//! What is played: an app, and what its users do.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use teatime_session::PublishError;
use teatime_vm::persisted::PersistedData;
use teatime_vm::{App, Fault, Model, Payload, ViewId, Vm};

use super::participant::Participant;
use super::plan::{Bug, Plan};

/// An app and its users. [`Simulation`](crate::Simulation) is one that is made of closures, and what most
/// tests want. What is called here is called in the order of virtual time, from one thread for each run.
pub trait Scenario: Sync {
    /// The app.
    fn app(&self) -> &App;

    /// The root model's options, as MessagePack.
    fn options(&self, plan: &Plan) -> Vec<u8>;

    /// What a participant brings along, as MessagePack.
    fn view_data(&self, _dice: &mut Dice) -> Option<Vec<u8>> {
        None
    }

    /// The name of one of the sessions.
    fn room(&self, number: usize) -> &str {
        if number == 0 { "a room" } else { "another room" }
    }

    /// What an older version of the app has persisted in each of the sessions' rooms before a run begins.
    fn begins_with(&self) -> Option<&PersistedData> {
        None
    }

    /// A run begins.
    fn begin(&self) {}

    /// A user does something.
    ///
    /// # Errors
    /// What went wrong: it ends the run.
    fn act(&self, dice: &mut Dice, user: &mut User<'_>) -> Result<(), String>;

    /// A user sends what makes a handler fail: see [`What::Panics`](crate::What::Panics).
    fn poison(&self, _dice: u64, _user: &mut User<'_>) {}

    /// A liar sends what nobody hears.
    fn gossip(&self, _user: &mut User<'_>) {}

    /// Runs a step in which the model is to compute something wrong, and says whether it did: see
    /// [`What::Diverges`](crate::What::Diverges).
    fn corrupt(&self, step: &mut dyn FnMut()) -> bool {
        step();
        false
    }

    /// Whether handlers may fail without a word: what their panics print is left out.
    fn is_quiet(&self) -> bool {
        false
    }

    /// Whether a handler may fail in this way.
    fn allows(&self, _fault: &Fault) -> bool {
        false
    }

    /// After how many inputs a participant is compared with a twin that was restored from its snapshot, and
    /// a new twin made; with none there is no such twin.
    fn sync_distance(&self) -> Option<u64> {
        Some(1)
    }

    /// Everybody is there and agrees: asked for each of those who are left.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, _end: &End<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// Random numbers that follow from a seed.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The numbers of some occurrence of a run, whatever happens in the others.
    pub(crate) fn of(seed: u64, kind: u64, number: u64) -> Self {
        let mut key = [0; 32];
        for (at, part) in [seed, kind, number].into_iter().enumerate() {
            key[8 * at..8 * at + 8].copy_from_slice(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below this one; 0, if there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit.max(1)
    }

    /// True once in so many times.
    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64);
        from.get(usize::try_from(at).unwrap_or(0)).expect("there is something to pick from")
    }
}

/// A participant, as who uses it sees it.
pub struct User<'a> {
    one: &'a mut Participant,
    world: u64,
    plan: &'a Plan,
}

/// What a user has published, and was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who.
    pub sender: ViewId,
    /// Scope of the topic.
    pub scope: Arc<str>,
    /// Event of the topic.
    pub event: Arc<str>,
    /// MessagePack.
    pub payload: Vec<u8>,
    /// When, in virtual µs.
    pub(crate) at_us: u64,
    /// Whether some model had subscribed to the topic then.
    pub(crate) is_heard: bool,
}

impl<'a> User<'a> {
    pub(crate) fn new(one: &'a mut Participant, world: u64, plan: &'a Plan) -> Self {
        Self { one, world, plan }
    }

    /// Sends an event to the models, as a view does. While the session has not been joined, or too much
    /// waits to be sent, nothing happens; what may never be sent ends the run.
    pub fn publish(&mut self, scope: &str, event: &str, data: &(impl Serialize + ?Sized)) {
        match teatime_vm::to_bytes(data) {
            Ok(data) => drop(self.publish_encoded(scope, event, &data)),
            Err(error) => self.refuse(format!("{scope}:{event} cannot be encoded: {error}")),
        }
    }

    /// The same with MessagePack. Says whether it was accepted.
    pub fn publish_encoded(&mut self, scope: &str, event: &str, data: &[u8]) -> bool {
        let now = self.one.clock(self.world);
        let swallows = self.plan.bug == Some(Bug::SwallowsPublish) && self.one.chance(50);
        if !swallows || self.one.last_receipt.is_none() {
            match self.one.client.publish_encoded(now, scope, event, data) {
                Ok(receipt) => self.one.last_receipt = Some(receipt),
                Err(PublishError::NotJoined | PublishError::TooFast | PublishError::Over) => {
                    return false;
                }
                Err(error) => {
                    self.refuse(format!("{scope}:{event} cannot be published: {error}"));
                    return false;
                }
            }
        }
        let event = Event {
            sender: self.one.client.view_id(),
            scope: scope.into(),
            event: event.into(),
            payload: data.to_vec(),
            at_us: self.world,
            is_heard: self.vm().is_some_and(|vm| vm.is_heard(scope, event)),
        };
        self.one.published.push(event);
        true
    }

    /// What the participant has as its model by now; there may be none for a while.
    pub fn vm(&self) -> Option<&Vm> {
        self.one.client.vm()
    }

    /// The root model, if there is one of this type.
    pub fn root<M: Model>(&self) -> Option<&M> {
        self.vm()?.root()
    }

    /// Who this is.
    pub fn view_id(&self) -> ViewId {
        self.one.client.view_id()
    }

    /// How many events on this topic were accepted from this user.
    pub fn count(&self, scope: &str, event: &str) -> u64 {
        count(&self.one.published, scope, event)
    }

    /// What is played.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    fn refuse(&mut self, what: String) {
        self.one.refused.get_or_insert(what);
    }
}

/// What one of those who are left at the end of a run has. All of them have the same state.
pub struct End<'a> {
    pub(crate) vm: &'a Vm,
    pub(crate) view: ViewId,
    pub(crate) own: &'a [Event],
    pub(crate) log: &'a [Event],
    pub(crate) is_lossy: bool,
}

impl<'a> End<'a> {
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
    /// What is wrong with the question.
    pub fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, String> {
        let answer = self.vm.query(teatime_vm::ModelId::ROOT, name, argument);
        answer.map_err(|error| format!("{name}: {error}"))
    }

    /// Who this is.
    pub fn view_id(&self) -> ViewId {
        self.view
    }

    /// Everything that was accepted in this session from anybody, in the order that the reflector gave it.
    pub fn events(&self) -> &'a [Event] {
        self.log
    }

    /// How many of these are on this topic.
    pub fn count(&self, scope: &str, event: &str) -> u64 {
        count(self.log, scope, event)
    }

    /// How many of these this participant has sent.
    pub fn own_count(&self, scope: &str, event: &str) -> u64 {
        count(self.own, scope, event)
    }

    /// Whether a power cut has hit a reflector that does not store durably: then events may be missing.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }
}

impl Event {
    /// What was sent.
    ///
    /// # Errors
    /// Why it is no such thing.
    pub fn data<T: serde::de::DeserializeOwned + Clone + 'static>(&self) -> Result<T, String> {
        Payload::from_msgpack(&self.payload).get().map_err(|error| error.to_string())
    }
}

fn count(events: &[Event], scope: &str, event: &str) -> u64 {
    let is = |one: &&Event| &*one.scope == scope && &*one.event == event;
    events.iter().filter(is).count() as u64
}
