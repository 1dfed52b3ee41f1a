//! A participant, as an action of a simulation sees it.

use serde::Serialize;
use teatime_vm::{Model, TypedTopic, ViewId, Vm};

use crate::event::count;
use crate::participant::Participant;
use crate::plan::Plan;

/// A participant, as its user sees it.
pub struct User<'a> {
    one: &'a mut Participant,
    world: u64,
    plan: &'a Plan,
    /// A planted bug: now and then an accepted event is not sent.
    swallows: bool,
}

impl<'a> User<'a> {
    pub(crate) fn new(
        one: &'a mut Participant,
        world: u64,
        plan: &'a Plan,
        swallows: bool,
    ) -> Self {
        Self { one, world, plan, swallows }
    }

    /// Publishes an event to the models, as a view does. Nothing happens before the join, and while too much waits
    /// to be sent. An event that no client may ever publish ends the run.
    pub fn publish(&mut self, scope: &str, event: &str, data: &(impl Serialize + ?Sized)) {
        match teatime_vm::to_bytes(data) {
            Ok(data) => drop(self.publish_encoded(scope, event, &data)),
            Err(error) => self.one.refuse(format!("{scope}:{event} cannot be encoded: {error}")),
        }
    }

    /// Like [`publish`](Self::publish), to a topic that carries values of this type.
    pub fn publish_topic<T: Serialize>(&mut self, topic: &TypedTopic<T>, data: &T) {
        self.publish(topic.scope(), topic.event(), data);
    }

    /// Publishes MessagePack. Returns whether the client accepted it.
    pub fn publish_encoded(&mut self, scope: &str, event: &str, data: &[u8]) -> bool {
        let swallows = self.swallows && self.one.chance(50);
        self.one.publish(self.world, (scope, event), data, swallows)
    }

    /// The participant's model. `None` before it has loaded.
    pub fn vm(&self) -> Option<&Vm> {
        self.one.vm()
    }

    /// The root model, if it has loaded and is of this type.
    pub fn root<M: Model>(&self) -> Option<&M> {
        self.vm()?.root()
    }

    /// The id of the participant.
    pub fn view_id(&self) -> ViewId {
        self.one.view_id()
    }

    /// How many events of this user on this topic were accepted.
    pub fn count(&self, scope: &str, event: &str) -> u64 {
        count(self.one.published(), scope, event)
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        self.plan
    }
}

impl std::fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("view_id", &self.view_id()).finish_non_exhaustive()
    }
}
