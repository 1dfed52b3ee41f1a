//! A participant, as an action of a simulation sees it.

use serde::Serialize;
use teatime_session::PublishError;
use teatime_vm::{Model, ViewId, Vm};

use crate::event::{Event, count};
use crate::participant::Participant;
use crate::plan::Plan;

/// A participant, as its user sees it.
pub struct User<'a> {
    one: &'a mut Participant,
    world: u64,
    plan: &'a Plan,
    /// Now and then an accepted event is not sent: a planted bug.
    swallows: bool,
}

impl<'a> User<'a> {
    pub(crate) fn new(one: &'a mut Participant, world: u64, plan: &'a Plan) -> Self {
        Self { one, world, plan, swallows: false }
    }

    /// The same, but now and then an accepted event is not sent.
    pub(crate) fn swallowing(self, swallows: bool) -> Self {
        Self { swallows, ..self }
    }

    /// Publishes an event to the models, as a view does. Nothing happens before the join, and while too much waits
    /// to be sent. An event that no client may ever publish ends the run.
    pub fn publish(&mut self, scope: &str, event: &str, data: &(impl Serialize + ?Sized)) {
        match teatime_vm::to_bytes(data) {
            Ok(data) => drop(self.publish_encoded(scope, event, &data)),
            Err(error) => self.refuse(format!("{scope}:{event} cannot be encoded: {error}")),
        }
    }

    /// Publishes MessagePack. Returns whether the client accepted it.
    pub fn publish_encoded(&mut self, scope: &str, event: &str, data: &[u8]) -> bool {
        let now = self.one.clock(self.world);
        let swallows = self.swallows && self.one.chance(50);
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

    /// The participant's model. `None` before it has loaded.
    pub fn vm(&self) -> Option<&Vm> {
        self.one.client.vm()
    }

    /// The root model, if it has loaded and is of this type.
    pub fn root<M: Model>(&self) -> Option<&M> {
        self.vm()?.root()
    }

    /// The id of the participant.
    pub fn view_id(&self) -> ViewId {
        self.one.client.view_id()
    }

    /// How many events of this user on this topic were accepted.
    pub fn count(&self, scope: &str, event: &str) -> u64 {
        count(&self.one.published, scope, event)
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    fn refuse(&mut self, what: String) {
        self.one.refused.get_or_insert(what);
    }
}

impl std::fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("view_id", &self.view_id()).finish_non_exhaustive()
    }
}
