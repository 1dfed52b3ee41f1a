//! The state of a session, and how a turn changes it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::app::App;
use crate::arena::Arena;
use crate::fault::{Fault, FaultKind};
use crate::id::{ModelId, SessionId, ViewId};
use crate::limits::{MAX_CALL_DEPTH, MAX_EVENTS_PER_TURN, MAX_FAULTS, MAX_MODEL_ID};
use crate::model::{AccessError, CallError, HandlerError, Object, QueryError};
use crate::ordered::OrderedMap;
use crate::payload::Payload;
use crate::persisted::{PersistError, PersistedData};
use crate::random::Random;
use crate::time::Time;
use crate::topic::{Heard, Source, Topic};
use crate::topics::{Subscription, TopicId, Topics};
use crate::wheel::{Due, Wheel};

/// The state that all participants share, and a few fields that are local to this client.
pub(crate) struct State {
    pub(crate) app: App,
    pub(crate) session: SessionId,
    pub(crate) time: Time,
    pub(crate) seq: u64,
    pub(crate) next_model: u64,
    pub(crate) next_future: u64,
    pub(crate) next_subscription: u64,
    pub(crate) arena: Arena,
    pub(crate) topics: Topics,
    pub(crate) wheel: Wheel,
    pub(crate) random: Random,
    pub(crate) names: OrderedMap<String, ModelId>,
    pub(crate) views: OrderedMap<ViewId, Option<Arc<[u8]>>>,
    /// The persisted data: what the root model has persisted last, or what the session started with.
    pub(crate) persisted: Option<PersistedData>,
    /// The persisted data that `init` of the root model may ask for. `None` afterwards.
    pub(crate) inherited: Option<PersistedData>,
    /// Events that models have published in this turn. Empty between turns.
    queue: VecDeque<Queued>,
    pub(crate) sender: Option<ViewId>,
    /// The event that is being delivered. `None` between turns, and while a future message is run.
    pub(crate) heard: Option<Heard>,
    /// What the running handler answers to the handler that has called it. `None` between turns.
    pub(crate) answer: Option<Payload>,
    /// How deep calls of handlers by handlers are nested.
    call_depth: u32,
    /// Whether a handler has failed in this turn.
    pub(crate) failed: bool,
    /// Whether a handler is running.
    pub(crate) executing: bool,
    /// For the views of this client. Not part of the shared state.
    pub(crate) published: Vec<Published>,
    /// Not part of the shared state.
    pub(crate) faults: Vec<Fault>,
}

struct Queued {
    topics: [Option<TopicId>; 4],
    heard: Heard,
    payload: Payload,
}

/// An event that a model has published on a topic which this client [watches](crate::Vm::watch).
#[derive(Debug, Clone)]
pub struct Published {
    /// Scope of the topic.
    pub scope: Arc<str>,
    /// Event of the topic.
    pub event: Arc<str>,
    /// Who published it.
    pub source: Source,
    /// The payload.
    pub payload: Payload,
}

impl State {
    pub(crate) fn new(app: App, session: SessionId) -> Self {
        Self {
            app,
            session,
            time: Time::ZERO,
            seq: 0,
            next_model: ModelId::ROOT.0,
            next_future: 1,
            next_subscription: 1,
            arena: Arena::default(),
            topics: Topics::default(),
            wheel: Wheel::new(0),
            random: Random::new(&session),
            names: OrderedMap::new(),
            views: OrderedMap::new(),
            persisted: None,
            inherited: None,
            queue: VecDeque::new(),
            sender: None,
            heard: None,
            answer: None,
            call_depth: 0,
            failed: false,
            executing: false,
            published: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Skips one future message that is due by `until`: its turn passes without a call. Returns false if none
    /// is due.
    pub(crate) fn skip_future(&mut self, until: Time) -> bool {
        self.pass_future::<false>(until)
    }

    /// Runs the turn of one future message that is due by `until`. Returns false if none is due.
    #[inline]
    pub(crate) fn run_future(&mut self, until: Time) -> bool {
        self.pass_future::<true>(until)
    }

    #[inline]
    fn pass_future<const CALLS: bool>(&mut self, until: Time) -> bool {
        let Some((at, model)) = self.wheel.pop(until.as_micros()) else { return false };
        let Some(slot) = self.arena.get_mut(model) else { return true };
        let object = slot.object.take();
        let (due, payload) = self.wheel.take(&mut slot.futures, at);
        let Due { time, method, every, handle, .. } = due;
        self.time = Time::from_micros(time);
        if every > 0 {
            // Before the call, so that the handler can cancel it.
            let id = self.next_future;
            self.next_future += 1;
            let time = time.saturating_add(every);
            let next = Due { time, id, model, method, every, handle };
            self.wheel.insert(&mut slot.futures, next, payload.clone());
        }
        self.sender = None;
        match object {
            Some(object) if CALLS => self.run(object, model, method, &payload),
            Some(object) => self.put_back(model, object),
            None => {}
        }
        self.run_queue();
        self.topics.end_turn();
        true
    }

    /// Calls a handler of a model, unless the model does not exist or one of its handlers is running.
    #[inline]
    pub(crate) fn call(&mut self, model: ModelId, method: u16, payload: &Payload) {
        if let Some(object) = self.arena.get_mut(model).and_then(|slot| slot.object.take()) {
            self.run(object, model, method, payload);
        }
    }

    /// Calls a handler of a model that has been taken from its place, and puts it back.
    #[inline]
    fn run(&mut self, mut object: Box<dyn Object>, model: ModelId, method: u16, payload: &Payload) {
        let outer = std::mem::replace(&mut self.executing, true);
        let result = object.call(self, model, method, payload);
        self.executing = outer;
        self.put_back(model, object);
        if let Err(error) = result {
            self.handler_failed(model, method, error);
        }
    }

    /// Puts a model back into its slot, unless it was destroyed meanwhile.
    #[inline]
    pub(crate) fn put_back(&mut self, model: ModelId, object: Box<dyn Object>) {
        if let Some(slot) = self.arena.get_mut(model) {
            slot.object = Some(object);
        }
    }

    #[cold]
    fn handler_failed(&mut self, model: ModelId, method: u16, error: HandlerError) {
        // A payload that does not fit has changed nothing: the handler was not called.
        self.failed |= !matches!(error, HandlerError::Payload(_));
        let kind = match error {
            HandlerError::Payload(error) => FaultKind::Payload(error.to_string()),
            HandlerError::Panicked(message) => FaultKind::Panicked(message),
            HandlerError::Failed(message) => FaultKind::Failed(message),
        };
        self.fault(Some((model, Some(method))), kind);
    }

    #[cold]
    pub(crate) fn fault(&mut self, place: Option<(ModelId, Option<u16>)>, kind: FaultKind) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        let handler = place.and_then(|(model, method)| {
            let slot = self.arena.get(model)?;
            let definition = &self.app.0.definitions[usize::from(slot.definition)];
            let handler = method.and_then(|method| definition.handlers.get(usize::from(method)));
            let name = handler.map_or("init", |handler| &handler.name);
            Some(format!("{}.{name}", definition.id))
        });
        self.faults.push(Fault {
            time: self.time,
            seq: self.seq,
            model: place.map(|(model, _)| model),
            handler: handler.unwrap_or_default(),
            sender: self.sender,
            kind,
        });
    }

    /// Publishes to models and to the views of this client, on the topics that the event belongs to. Models receive it
    /// when the running handler has returned.
    pub(crate) fn publish(
        &mut self,
        from: ModelId,
        (scope, event): (&str, &str),
        topics: [Option<TopicId>; 4],
        payload: Payload,
    ) {
        let source = Source::Model(from);
        let heard = Heard::new(&topics, scope, event, source);
        if self.topics.is_watched(&topics) {
            let Topic { scope, event, .. } = heard.topic(&self.topics);
            self.published.push(Published { scope, event, source, payload: payload.clone() });
        }
        let topics = self.topics.with_subscriptions(topics);
        if topics.iter().any(Option::is_some) {
            self.queue.push_back(Queued { topics, heard, payload });
        }
    }

    /// Delivers what models have published, first in, first out, until the queue is empty.
    #[inline]
    pub(crate) fn run_queue(&mut self) {
        if !self.queue.is_empty() {
            self.deliver_queue();
        }
    }

    fn deliver_queue(&mut self) {
        let mut delivered = 0;
        while let Some(Queued { topics, heard, payload }) = self.queue.pop_front() {
            delivered += 1;
            if delivered > MAX_EVENTS_PER_TURN {
                self.queue.clear();
                self.fault(None, FaultKind::TooManyEvents(MAX_EVENTS_PER_TURN));
                break;
            }
            self.heard = Some(heard);
            for topic in topics.into_iter().flatten() {
                self.deliver(topic, &payload);
            }
        }
        self.heard = None;
    }

    /// Calls the handlers that were subscribed when delivery of the event started, and still are when their
    /// turn comes.
    fn deliver(&mut self, topic: TopicId, payload: &Payload) {
        let listeners = self.topics.get(topic).subscriptions.clone();
        for one in listeners.iter() {
            if self.still_listens(topic, &listeners, one) {
                self.call(one.model, one.method, payload);
            }
        }
    }

    #[inline]
    fn still_listens(
        &self,
        topic: TopicId,
        before: &Arc<Vec<Subscription>>,
        one: &Subscription,
    ) -> bool {
        let now = &self.topics.get(topic).subscriptions;
        Arc::ptr_eq(now, before) || now.contains(one)
    }

    /// Calls the handlers of a topic with the payload that `payload_for` gives for each. It skips a handler
    /// for which that is `None`.
    pub(crate) fn deliver_each(
        &mut self,
        scope: &str,
        event: &str,
        source: Source,
        payload_for: &mut dyn FnMut(&State, &Subscription) -> Option<Payload>,
    ) {
        let topics = self.topics.of_event(scope, event);
        if topics.iter().all(Option::is_none) {
            return;
        }
        let heard = Heard::new(&topics, scope, event, source);
        for topic in self.topics.with_subscriptions(topics).into_iter().flatten() {
            let listeners = self.topics.get(topic).subscriptions.clone();
            for one in listeners.iter() {
                if self.still_listens(topic, &listeners, one)
                    && let Some(payload) = payload_for(self, one)
                {
                    self.heard = Some(heard.clone());
                    self.call(one.model, one.method, &payload);
                    self.heard = None;
                    self.run_queue();
                }
            }
        }
    }

    /// Schedules a call of a model's handler. Returns its id, and its index in the wheel.
    #[inline(always)]
    pub(crate) fn schedule(
        &mut self,
        model: ModelId,
        method: u16,
        after: u64,
        every: u64,
        payload: Payload,
    ) -> (u64, u32) {
        let id = self.next_future;
        self.next_future += 1;
        let time = self.time.as_micros().saturating_add(after);
        let due = Due { time, id, model, method, every, handle: id };
        match self.arena.get_mut(model) {
            Some(slot) => (id, self.wheel.insert(&mut slot.futures, due, payload)),
            // The model was destroyed in this turn: nothing will be called.
            None => (id, u32::MAX),
        }
    }

    /// Makes a model from its encoded options.
    pub(crate) fn create(&mut self, definition: u16, options: &[u8]) -> Result<ModelId, String> {
        let id = ModelId(self.next_model);
        if id.0 + 1 >= MAX_MODEL_ID {
            return Err(format!("the session has made {MAX_MODEL_ID} models, the most it can"));
        }
        self.next_model += 1;
        self.arena.insert(id, definition);
        if id == ModelId::ROOT {
            // Before `init`, so that the models it makes can find the root model.
            self.names.insert(ROOT_NAME.to_owned(), id);
        }
        let app = self.app.clone();
        let outer = std::mem::replace(&mut self.executing, true);
        let made = (app.0.definitions[usize::from(definition)].init)(self, id, options);
        self.executing = outer;
        match made {
            Ok(object) => {
                self.put_back(id, object);
                Ok(id)
            }
            Err(why) => {
                self.destroy(id);
                Err(why)
            }
        }
    }

    /// Persists data of the root model.
    pub(crate) fn persist(
        &mut self,
        me: ModelId,
        data: impl FnOnce(&App) -> Result<PersistedData, PersistError>,
    ) -> Result<(), PersistError> {
        if me != ModelId::ROOT {
            return Err(PersistError::NotRoot);
        }
        let data = data(&self.app)?;
        // Equal data stays where it is: comparing the same allocation is fast.
        if self.persisted.as_ref() != Some(&data) {
            self.persisted = Some(data);
        }
        Ok(())
    }

    /// Calls a handler of another model, now, within the running handler. Returns what it answers.
    pub(crate) fn invoke(
        &mut self,
        model: ModelId,
        handler: &str,
        argument: &Payload,
    ) -> Result<Payload, CallError> {
        let slot = self.arena.get(model).ok_or(AccessError::Unknown(model))?;
        let definition = &self.app.0.definitions[usize::from(slot.definition)];
        let method = definition.handlers.iter().position(|one| one.name == handler);
        let method = method.and_then(|at| u16::try_from(at).ok());
        let method = method.ok_or_else(|| CallError::UnknownHandler(handler.to_owned()))?;
        if self.call_depth >= MAX_CALL_DEPTH {
            return Err(CallError::TooDeep(MAX_CALL_DEPTH));
        }
        let object = self.arena.get_mut(model).and_then(|slot| slot.object.take());
        let mut object = object.ok_or(AccessError::Running(model))?;
        let outer = self.answer.take();
        self.call_depth += 1;
        let result = object.call(self, model, method, argument);
        self.call_depth -= 1;
        let answer = std::mem::replace(&mut self.answer, outer);
        self.put_back(model, object);
        let error = match result {
            Ok(()) => return Ok(answer.unwrap_or(Payload::UNIT)),
            Err(HandlerError::Payload(error)) => return Err(CallError::Argument(error)),
            Err(error) => error,
        };
        let (HandlerError::Panicked(why) | HandlerError::Failed(why)) = &error else {
            unreachable!("errors of payloads have returned above");
        };
        let failed = CallError::Failed(why.clone());
        self.handler_failed(model, method, error);
        Err(failed)
    }

    /// Asks a query of a model.
    pub(crate) fn query(
        &self,
        model: ModelId,
        name: &str,
        argument: &[u8],
    ) -> Result<Payload, QueryError> {
        let slot = self.arena.get(model).ok_or(QueryError::UnknownModel(model))?;
        slot.object.as_ref().ok_or(QueryError::Running(model))?.query(name, argument)
    }

    /// Runs the `restored` hook of all models.
    pub(crate) fn restored(&mut self) {
        let ids: Vec<_> = self.arena.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(object) = self.arena.get_mut(id).and_then(|slot| slot.object.as_mut()) {
                object.restored();
            }
        }
    }

    /// Removes a model with its subscriptions, its future messages and its names.
    pub(crate) fn destroy(&mut self, id: ModelId) -> bool {
        let Some(mut slot) = self.arena.remove(id) else { return false };
        for topic in slot.topics {
            self.topics.unsubscribe(topic, id, None);
        }
        let futures: Vec<_> = self.wheel.of_model(slot.futures).collect();
        for at in futures {
            self.wheel.take(&mut slot.futures, at);
        }
        self.names.retain(|_, named| *named != id);
        true
    }
}

/// The well-known name of the root model.
pub(crate) const ROOT_NAME: &str = "modelRoot";
