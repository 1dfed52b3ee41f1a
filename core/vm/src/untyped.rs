//! The context of a handler without the type of its model. [`Cx`](crate::Cx) wraps it, and models in other
//! languages use it directly.

use std::fmt;
use std::sync::Arc;

use crate::cx::{NameTakenError, NotInModelError};
use crate::fault::FaultKind;
use crate::id::{ModelId, Scope, SessionId, ViewId};
use crate::model::{CallError, QueryError};
use crate::payload::Payload;
use crate::persisted::{self, PersistError};
use crate::presence::{USER_ENTER, USER_EXIT, VIEW_EXIT, VIEW_JOIN};
use crate::state::State;
use crate::time::{Duration, Time};
use crate::topic::Topic;
use crate::topics::Subscription;

/// The context of a running handler, with handlers named by their index and models by their id.
pub struct UntypedCx<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) me: ModelId,
}

impl fmt::Debug for UntypedCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntypedCx")
            .field("me", &self.me)
            .field("time", &self.state.time)
            .field("sender", &self.state.sender)
            .finish_non_exhaustive()
    }
}

impl UntypedCx<'_> {
    /// The time of this turn.
    pub fn now(&self) -> Time {
        self.state.time
    }

    /// The model whose handler runs.
    pub fn me(&self) -> ModelId {
        self.me
    }

    /// Id of the session.
    pub fn session_id(&self) -> SessionId {
        self.state.session
    }

    /// The view that sent the event of this turn; see [`Cx::sender`](crate::Cx::sender).
    pub fn sender(&self) -> Option<ViewId> {
        self.state.sender
    }

    /// The topic of the event that the running handler hears; see [`Cx::topic`](crate::Cx::topic).
    pub fn topic(&self) -> Option<Topic> {
        self.state.heard.as_ref().map(|heard| heard.topic(&self.state.topics))
    }

    /// The number of views in the session.
    pub fn view_count(&self) -> u32 {
        u32::try_from(self.state.views.len()).unwrap_or(u32::MAX)
    }

    /// The views in the session, in the order in which they joined.
    pub fn views(&self) -> impl Iterator<Item = ViewId> {
        self.state.views.keys().copied()
    }

    /// Calls a handler of this model at each event of a topic; see
    /// [`Cx::subscribe`](crate::Cx::subscribe). Returns false if the model has no such handler.
    pub fn subscribe(&mut self, scope: impl Into<Scope>, event: &str, handler: u16) -> bool {
        if !self.has_handler(handler) {
            return false;
        }
        let scope = scope.into();
        let event = self.canonical(&scope, event);
        let order = self.state.next_subscription;
        self.state.next_subscription += 1;
        let new = Subscription { order, model: self.me, method: handler };
        match self.state.topics.subscribe(scope.as_ref(), event, new) {
            Some(topic) => {
                if let Some(slot) = self.state.arena.get_mut(self.me) {
                    slot.topics.push(topic);
                }
            }
            None => {
                let topic = format!("{}/{event}", scope.as_ref());
                self.fault(Some(handler), FaultKind::SubscribedTwice(topic));
            }
        }
        true
    }

    /// Ends a subscription of one handler.
    pub fn unsubscribe(&mut self, scope: impl Into<Scope>, event: &str, handler: u16) {
        let scope = scope.into();
        let event = self.canonical(&scope, event);
        if let Some(topic) = self.state.topics.find(scope.as_ref(), event) {
            self.state.topics.unsubscribe(topic, self.me, Some(handler));
            let left = &self.state.topics.get(topic).subscriptions;
            if left.iter().all(|one| one.model != self.me)
                && let Some(slot) = self.state.arena.get_mut(self.me)
            {
                slot.topics.retain(|own| *own != topic);
            }
        }
    }

    /// Ends all subscriptions of this model.
    pub fn unsubscribe_all(&mut self) {
        if let Some(slot) = self.state.arena.get_mut(self.me) {
            for topic in std::mem::take(&mut slot.topics) {
                self.state.topics.unsubscribe(topic, self.me, None);
            }
        }
    }

    /// Publishes an event; see [`Cx::publish`](crate::Cx::publish).
    pub fn publish(&mut self, scope: impl Into<Scope>, event: &str, payload: Payload) {
        self.publish_with(scope, event, || payload);
    }

    /// As [`publish`](Self::publish). The payload is made only if a model or a view of this client hears it.
    pub(crate) fn publish_with(
        &mut self,
        scope: impl Into<Scope>,
        event: &str,
        payload: impl FnOnce() -> Payload,
    ) {
        let scope = scope.into();
        if self.is_presence(&scope, event) {
            let topic = format!("{}/{event}", scope.as_ref());
            self.fault(None, FaultKind::ReservedTopic(topic));
            return;
        }
        let topics = self.state.topics.of_event(scope.as_ref(), event);
        if topics.iter().any(Option::is_some) {
            self.state.publish(self.me, (scope.as_ref(), event), topics, payload());
        }
    }

    /// Schedules a future message to this model: after the span `after`, then again after each span `every`
    /// unless that is zero. Returns its id, or `None` if the model has no such handler.
    pub fn future(
        &mut self,
        after: Duration,
        every: Duration,
        handler: u16,
        payload: Payload,
    ) -> Option<u64> {
        let (after, every) = (after.as_micros(), every.as_micros());
        self.has_handler(handler)
            .then(|| self.state.schedule(self.me, handler, after, every, payload).0)
    }

    /// Cancels a future message of this model by its id; see [`Cx::cancel`](crate::Cx::cancel).
    pub fn cancel(&mut self, future: u64) -> bool {
        self.cancel_at(future, u32::MAX)
    }

    #[inline]
    pub(crate) fn cancel_at(&mut self, future: u64, hint: u32) -> bool {
        let Some(slot) = self.state.arena.get_mut(self.me) else { return false };
        let found = self.state.wheel.find(slot.futures, self.me, future, hint);
        found.map(|at| self.state.wheel.take(&mut slot.futures, at)).is_some()
    }

    /// Cancels all future messages to one handler of this model, repeating ones included. Returns their
    /// number.
    pub fn cancel_all(&mut self, handler: u16) -> u64 {
        let Some(slot) = self.state.arena.get_mut(self.me) else { return 0 };
        let wheel = &mut self.state.wheel;
        let mut found: Vec<_> = wheel.of_model(slot.futures).collect();
        found.retain(|at| wheel.method(*at) == handler);
        for at in &found {
            wheel.take(&mut slot.futures, *at);
        }
        found.len() as u64
    }

    /// Makes a model of the type with this id from its options (MessagePack). Its `init` runs immediately.
    ///
    /// # Errors
    /// Why `init` failed, or that the app has no such type.
    pub fn create(&mut self, model: &str, options: &[u8]) -> Result<ModelId, String> {
        let definitions = &self.state.app.0.definitions;
        let at = definitions.iter().position(|definition| definition.id == model);
        let at = at.and_then(|at| u16::try_from(at).ok());
        let definition = at.ok_or_else(|| format!("the app has no model {model:?}"))?;
        self.state.create(definition, options)
    }

    /// Destroys a model; see [`Cx::destroy`](crate::Cx::destroy).
    pub fn destroy(&mut self, model: ModelId) -> bool {
        model != ModelId::ROOT && self.state.destroy(model)
    }

    /// Calls a handler of another model by its name, within the running handler; see
    /// [`Cx::call`](crate::Cx::call).
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(
        &mut self,
        model: ModelId,
        handler: &str,
        argument: &Payload,
    ) -> Result<Payload, CallError> {
        self.state.invoke(model, handler, argument)
    }

    /// Answers to the handler that has called this one; see [`Cx::answer`](crate::Cx::answer).
    pub fn answer(&mut self, payload: Payload) {
        self.state.answer = Some(payload);
    }

    /// Asks a query of another model.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(
        &self,
        model: ModelId,
        name: &str,
        argument: &[u8],
    ) -> Result<Payload, QueryError> {
        self.state.query(model, name, argument)
    }

    /// Gives a model a well-known name; see [`Cx::set_well_known`](crate::Cx::set_well_known).
    ///
    /// # Errors
    /// [`NameTakenError`] if another model has the name.
    pub fn set_well_known(&mut self, name: &str, model: ModelId) -> Result<(), NameTakenError> {
        match self.state.names.get(name) {
            Some(other) if *other != model => {
                Err(NameTakenError { name: name.to_owned(), model: *other })
            }
            _ => {
                if self.state.arena.get(model).is_some() {
                    self.state.names.insert(name.to_owned(), model);
                }
                Ok(())
            }
        }
    }

    /// The model with this well-known name.
    pub fn well_known(&self, name: &str) -> Option<ModelId> {
        self.state.names.get(name).copied()
    }

    /// Persists a value of MessagePack in the layout that the app has declared; see
    /// [`Cx::persist`](crate::Cx::persist).
    ///
    /// # Errors
    /// Why the data cannot be persisted. The data persisted before then stays.
    pub fn persist(&mut self, msgpack: &[u8]) -> Result<(), PersistError> {
        self.state.persist(self.me, |app| match &app.0.persistence {
            Some(declared) if declared.type_id.is_none() => {
                persisted::write_encoded(declared.version, msgpack)
            }
            _ => Err(PersistError::NotDeclared),
        })
    }

    /// The persisted data as MessagePack, migrated to the layout that this version of the app has declared;
    /// see [`Cx::persisted`](crate::Cx::persisted).
    ///
    /// # Errors
    /// [`PersistError::NotDeclared`]. The session should then not start, because it would start without its
    /// data.
    pub fn persisted(&self) -> Result<Option<Arc<[u8]>>, PersistError> {
        let declared = self.state.app.0.persistence.as_ref();
        if declared.is_none_or(|declared| declared.type_id.is_some()) {
            return Err(PersistError::NotDeclared);
        }
        let inherited = self.state.inherited.as_ref().filter(|_| self.me == ModelId::ROOT);
        Ok(inherited.map(|data| data.bytes.clone()))
    }

    /// 64 random bits, the same on all participants.
    #[inline]
    pub fn random_u64(&mut self) -> u64 {
        self.state.random.next_u64()
    }

    /// A random number in 0..1 with 53 bits, the same on all participants.
    pub fn random(&mut self) -> f64 {
        self.state.random.next_f64()
    }

    /// A random number below `limit`, uniformly distributed, the same on all participants. 0 for a limit of
    /// 0.
    pub fn random_below(&mut self, limit: u64) -> u64 {
        self.state.random.below(limit)
    }

    /// A random number from `low` to `high` inclusive, uniformly distributed, the same on all participants.
    /// `low` if `high` is less.
    pub fn random_range(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let span = high.wrapping_sub(low) as u64;
        let offset = match span.checked_add(1) {
            Some(limit) => self.random_below(limit),
            None => self.random_u64(),
        };
        low.wrapping_add(offset as i64)
    }

    /// Fails unless a handler of a model runs; see [`Cx::model_only`](crate::Cx::model_only).
    ///
    /// # Errors
    /// [`NotInModelError`].
    pub fn model_only(&self) -> Result<(), NotInModelError> {
        if self.state.executing { Ok(()) } else { Err(NotInModelError) }
    }

    /// Whether this model has a handler with this index.
    pub fn has_handler(&self, handler: u16) -> bool {
        let definition = self.state.arena.get(self.me).map(|slot| usize::from(slot.definition));
        definition.is_some_and(|at| {
            usize::from(handler) < self.state.app.0.definitions[at].handlers.len()
        })
    }

    pub(crate) fn fault(&mut self, handler: Option<u16>, kind: FaultKind) {
        self.state.fault(Some((self.me, handler)), kind);
    }

    fn in_session_scope(&self, scope: &Scope) -> bool {
        scope.as_ref() == Scope::from(self.state.session).as_ref()
    }

    fn is_presence(&self, scope: &Scope, event: &str) -> bool {
        [VIEW_JOIN, VIEW_EXIT, USER_ENTER, USER_EXIT].contains(&event)
            && self.in_session_scope(scope)
    }

    /// Joins and exits have two names each. This is the name under which they are published.
    fn canonical<'e>(&self, scope: &Scope, event: &'e str) -> &'e str {
        match event {
            USER_ENTER if self.in_session_scope(scope) => VIEW_JOIN,
            USER_EXIT if self.in_session_scope(scope) => VIEW_EXIT,
            other => other,
        }
    }
}
