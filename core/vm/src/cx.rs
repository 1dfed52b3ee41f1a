//! The context of a handler: what a model can do in it.

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::encode;
use crate::fault::FaultKind;
use crate::id::{Handle, ModelId, Scope, SessionId, ViewId};
use crate::model::{AccessError, CallError, Handler, Model};
use crate::payload::{self, Payload, Value};
use crate::persisted::{self, PersistError, Persisted};
use crate::state::State;
use crate::time::{Duration, Time};
use crate::topic::Topic;
use crate::typed_topic::TypedTopic;
use crate::untyped::UntypedCx;

/// The context of a running handler. A model reaches everything outside itself only through it.
pub struct Cx<'a, M> {
    pub(crate) untyped: UntypedCx<'a>,
    model: PhantomData<fn() -> M>,
}

/// Names a future message, to cancel it. A model may hold it in its state; it survives snapshots.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct FutureHandle {
    id: u64,
    /// Index in the table of this process, if this process scheduled the message. It is invisible to models
    /// and not in snapshots.
    #[serde(skip, default = "no_hint")]
    hint: u32,
}

fn no_hint() -> u32 {
    u32::MAX
}

impl PartialEq for FutureHandle {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for FutureHandle {}

impl fmt::Debug for FutureHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.id)
    }
}

/// Code that belongs in a handler of a model ran outside of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only a handler of a model may do this")]
pub struct NotInModelError;

/// A well-known name that another model already has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the well-known name {name:?} already belongs to model {model}")]
pub struct NameTakenError {
    /// The name.
    pub name: String,
    /// The model that has it.
    pub model: ModelId,
}

impl<M> fmt::Debug for Cx<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cx").field(&self.untyped).finish()
    }
}

impl<'a, M> Cx<'a, M> {
    pub(crate) fn new(state: &'a mut State, me: Handle<M>) -> Self {
        Self { untyped: UntypedCx { state, me: me.id() }, model: PhantomData }
    }
}

impl<M: Model> Cx<'_, M> {
    /// Fails unless a handler of a model runs. A caller who holds a context is inside a handler, so here it
    /// never fails. It is for code that cannot know its caller, such as code behind a C interface.
    ///
    /// # Errors
    /// [`NotInModelError`].
    pub fn model_only(&self) -> Result<(), NotInModelError> {
        self.untyped.model_only()
    }

    /// The time of this turn.
    pub fn now(&self) -> Time {
        self.untyped.now()
    }

    /// The model whose handler runs.
    pub fn me(&self) -> Handle<M> {
        Handle::new(self.untyped.me)
    }

    /// Id of the session.
    pub fn session_id(&self) -> SessionId {
        self.untyped.session_id()
    }

    /// The scope in which joins and exits are published.
    pub fn session_scope(&self) -> Scope {
        self.session_id().into()
    }

    /// The view that sent the event of this turn, as the reflector stamped it: a client cannot claim to be
    /// another view.
    ///
    /// Events that models send each other in the same turn have the same sender. `None` in turns of future
    /// messages, joins and exits.
    pub fn sender(&self) -> Option<ViewId> {
        self.untyped.sender()
    }

    /// The topic of the event that the running handler hears. It is never a pattern, so a handler that
    /// subscribed with `*` learns here what it hears.
    ///
    /// - What this handler publishes is delivered after it has returned, each event with its own topic.
    /// - Code that the handler runs itself has the same topic: a closure of [`update`](Self::update), the `init`
    ///   of a model that it [creates](Self::create).
    /// - Joins and exits have the event [`VIEW_JOIN`](crate::VIEW_JOIN) or [`VIEW_EXIT`](crate::VIEW_EXIT), also
    ///   for a handler that subscribed to their other names.
    /// - `None` in future messages, and in the `init` of the root model.
    pub fn topic(&self) -> Option<Topic> {
        self.untyped.topic()
    }

    /// The number of views in the session.
    pub fn view_count(&self) -> u32 {
        self.untyped.view_count()
    }

    /// The views in the session, in the order in which they joined.
    pub fn views(&self) -> impl Iterator<Item = ViewId> {
        self.untyped.views()
    }

    /// Calls a handler of this model at each event of a topic. `*` stands for every scope or event.
    ///
    /// Handlers of topics with `*` run before handlers of the exact topic. Handlers of one topic run in the
    /// order in which they subscribed.
    pub fn subscribe<S, H: Handler<M, S>>(
        &mut self,
        scope: impl Into<Scope>,
        event: &str,
        handler: H,
    ) {
        if let Some(method) = self.method(handler) {
            self.untyped.subscribe(scope, event, method);
        }
    }

    /// Like [`subscribe`](Self::subscribe). The handler takes what the topic carries.
    pub fn subscribe_topic<S, H: Handler<M, S>>(
        &mut self,
        topic: &TypedTopic<H::Argument>,
        handler: H,
    ) {
        self.subscribe(topic.scope(), topic.event(), handler);
    }

    /// Ends a subscription of one handler.
    pub fn unsubscribe<S, H: Handler<M, S>>(
        &mut self,
        scope: impl Into<Scope>,
        event: &str,
        handler: H,
    ) {
        if let Some(method) = self.method(handler) {
            self.untyped.unsubscribe(scope, event, method);
        }
    }

    /// Ends all subscriptions of this model.
    pub fn unsubscribe_all(&mut self) {
        self.untyped.unsubscribe_all();
    }

    /// Publishes an event.
    ///
    /// - Models receive it when this handler has returned, in the order of publishing, before anything else
    ///   happens at this instant.
    /// - Views of this client receive it with their next step.
    pub fn publish<T: Value>(&mut self, scope: impl Into<Scope>, event: &str, value: T) {
        self.untyped.publish_with(scope, event, || Payload::new(value));
    }

    /// Like [`publish`](Self::publish), to a topic that carries values of this type.
    pub fn publish_topic<T: Value>(&mut self, topic: &TypedTopic<T>, value: T) {
        self.publish(topic.scope(), topic.event(), value);
    }

    /// Schedules a future message: `cx.future(span).call(Self::handler, argument)`. With a span of zero it
    /// comes in a turn of its own after this one, at the same time.
    pub fn future(&mut self, after: Duration) -> Schedule<'_, M> {
        Schedule { cx: self.again(), after: after.as_micros(), every: 0 }
    }

    /// Schedules a future message that repeats: `cx.every(span).call(Self::handler, argument)`. It first
    /// comes after one span. A span of zero counts as 1 µs.
    pub fn every(&mut self, every: Duration) -> Schedule<'_, M> {
        let every = every.as_micros().max(1);
        Schedule { cx: self.again(), after: every, every }
    }

    /// Cancels a future message of this model. A repeating one ends. Returns false if the message has
    /// already come, or was cancelled before.
    pub fn cancel(&mut self, future: FutureHandle) -> bool {
        self.untyped.cancel_at(future.id, future.hint)
    }

    /// Cancels all future messages to one handler of this model, repeating ones included. Returns their
    /// number.
    pub fn cancel_all<S, H: Handler<M, S>>(&mut self, handler: H) -> u64 {
        self.method(handler).map_or(0, |method| self.untyped.cancel_all(method))
    }

    /// Makes another model. Its `init` runs immediately. Returns `None`, and reports a fault, if `init`
    /// panicked or the app does not declare the model.
    pub fn create<N: Model>(&mut self, options: &N::Options) -> Option<Handle<N>> {
        let Some(definition) = self.untyped.state.app.definition_of::<N>() else {
            self.fault(None, FaultKind::UnknownHandler(type_name::<N>()));
            return None;
        };
        let made = encode::to_bytes(options)
            .map_err(|error| error.to_string())
            .and_then(|options| self.untyped.state.create(definition, &options));
        match made {
            Ok(id) => Some(Handle::new(id)),
            Err(why) => {
                self.fault(None, FaultKind::Panicked(why));
                None
            }
        }
    }

    /// Destroys a model with its subscriptions, future messages and names. Returns false if it does not
    /// exist, or is the root model, which cannot be destroyed.
    pub fn destroy<N>(&mut self, model: Handle<N>) -> bool {
        self.untyped.destroy(model.id())
    }

    /// Another model, to read it.
    ///
    /// # Errors
    /// [`AccessError`]: the model does not exist, is of another type, or one of its handlers is running.
    pub fn get<N: Model>(&self, model: Handle<N>) -> Result<&N, AccessError> {
        let (id, state) = (model.id(), &self.untyped.state);
        let slot = state.arena.get(id).ok_or(AccessError::Unknown(id))?;
        if state.app.0.definitions[usize::from(slot.definition)].type_id != Some(TypeId::of::<N>())
        {
            return Err(AccessError::OtherType(id));
        }
        let object = slot.object.as_ref().ok_or(AccessError::Running(id))?;
        object.as_any().downcast_ref().ok_or(AccessError::OtherType(id))
    }

    /// Runs a closure with another model and its own context, now, within this handler.
    ///
    /// Meanwhile this model cannot be reached: if the code of the other model updates this one, that fails with
    /// [`AccessError::Running`]. Publish an event instead: it comes after this handler has returned.
    ///
    /// # Errors
    /// The same as of [`get`](Self::get). The closure was not run then.
    pub fn update<N: Model, R>(
        &mut self,
        model: Handle<N>,
        run: impl FnOnce(&mut N, &mut Cx<'_, N>) -> R,
    ) -> Result<R, AccessError> {
        self.get(model)?;
        let (id, state) = (model.id(), &mut *self.untyped.state);
        let object = state.arena.get_mut(id).and_then(|slot| slot.object.take());
        let mut object = object.ok_or(AccessError::Running(id))?;
        let result = object.as_any_mut().downcast_mut().map(|other| {
            let mut cx = Cx::new(state, model);
            let run = std::panic::AssertUnwindSafe(|| run(other, &mut cx));
            std::panic::catch_unwind(run)
        });
        // Also after a panic: a model must not disappear.
        state.put_back(id, object);
        match result.ok_or(AccessError::OtherType(id))? {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Calls a handler of another model by its name, now, within this handler, and returns what the handler
    /// [answers](Self::answer). So models in Rust and in other languages call each other. Between models in
    /// Rust, [`update`](Self::update) is simpler.
    ///
    /// # Errors
    /// [`CallError`]. If the other handler fails, that is a fault, and the whole turn is undone, whatever the
    /// caller does with the error.
    pub fn call(
        &mut self,
        model: ModelId,
        handler: &str,
        argument: impl Value,
    ) -> Result<Payload, CallError> {
        self.untyped.call(model, handler, &Payload::new(argument))
    }

    /// Answers to the handler that has [called](Self::call) this one. Without an answer it gets `()`. Answers to
    /// events and future messages go nowhere.
    pub fn answer(&mut self, value: impl Value) {
        self.untyped.answer(Payload::new(value));
    }

    /// The root model's handle.
    pub fn root<N: Model>(&self) -> Handle<N> {
        Handle::new(ModelId::ROOT)
    }

    /// Gives a model a well-known name, by which all models and views find it.
    ///
    /// # Errors
    /// [`NameTakenError`] if another model has the name.
    pub fn set_well_known<N>(
        &mut self,
        name: &str,
        model: Handle<N>,
    ) -> Result<(), NameTakenError> {
        self.untyped.set_well_known(name, model.id())
    }

    /// The model with this well-known name. `None` if it does not exist or is of another type.
    pub fn well_known<N: Model>(&self, name: &str) -> Option<Handle<N>> {
        let id = self.untyped.well_known(name)?;
        let state = &self.untyped.state;
        let definition = state.arena.get(id)?.definition;
        (state.app.definition_of::<N>() == Some(definition)).then(|| Handle::new(id))
    }

    /// Persists data for later versions of the app: their sessions start with it. It replaces the data
    /// persisted before.
    ///
    /// Only the root model may persist, only the type that the app has declared by
    /// [`AppBuilder::persists`](crate::AppBuilder::persists), and at most
    /// [`MAX_PERSISTED`](crate::limits::MAX_PERSISTED) bytes. The data is part of the state; undoing a failed
    /// turn undoes it too.
    ///
    /// Within seconds the participants vote on the data, and the reflector stores it. If all participants
    /// leave earlier, this session still has the data. But a new version of the app that starts before a
    /// participant returns to this session starts from the data persisted before.
    ///
    /// # Errors
    /// Why the data cannot be persisted. The data persisted before then stays.
    pub fn persist<T: Persisted>(&mut self, saved: &T) -> Result<(), PersistError> {
        let UntypedCx { state, me } = &mut self.untyped;
        state.persist(*me, |app| match &app.0.persistence {
            Some(declared) if declared.type_id == Some(TypeId::of::<T>()) => {
                persisted::write(saved)
            }
            _ => Err(PersistError::NotDeclared),
        })
    }

    /// The data that this or an earlier version of the app has persisted in the room, migrated to `T`.
    ///
    /// Ask for it in the `init` of the root model, when the session starts. Anywhere else the result is
    /// `None`.
    ///
    /// # Panics
    /// If `T` is not the type that the app has declared. The session then does not start, because it would
    /// start without its data and overwrite it later.
    pub fn persisted<T: Persisted>(&self) -> Option<T> {
        let UntypedCx { state, me } = &self.untyped;
        let declared = state.app.0.persistence.as_ref().and_then(|declared| declared.type_id);
        assert!(
            declared == Some(TypeId::of::<T>()),
            "{} is not the type that the app has declared to persist",
            type_name::<T>()
        );
        let inherited = state.inherited.as_ref().filter(|_| *me == ModelId::ROOT)?;
        Some(payload::decode(&inherited.bytes).expect("the migration has read it before"))
    }

    /// A random number in 0..1 with 53 bits, the same on all participants.
    pub fn random(&mut self) -> f64 {
        self.untyped.random()
    }

    /// 64 random bits, the same on all participants.
    pub fn random_u64(&mut self) -> u64 {
        self.untyped.random_u64()
    }

    /// A random number below `limit`, uniformly distributed, the same on all participants. 0 for a limit of
    /// 0.
    pub fn random_below(&mut self, limit: u64) -> u64 {
        self.untyped.random_below(limit)
    }

    /// A random number from `low` to `high` inclusive, uniformly distributed, the same on all participants.
    /// `low` if `high` is less.
    pub fn random_range(&mut self, low: i64, high: i64) -> i64 {
        self.untyped.random_range(low, high)
    }

    #[inline]
    fn method<S, H: Handler<M, S>>(&mut self, _: H) -> Option<u16> {
        let method = M::handler_index(TypeId::of::<H>());
        if method.is_none() {
            self.fault(None, FaultKind::UnknownHandler(type_name::<H>()));
        }
        method
    }

    fn fault(&mut self, method: Option<u16>, kind: FaultKind) {
        self.untyped.fault(method, kind);
    }

    fn again(&mut self) -> Cx<'_, M> {
        let me = self.me();
        Cx::new(self.untyped.state, me)
    }
}

/// A future message that has no handler yet: finish it with [`call`](Self::call).
#[must_use = "the message is scheduled by `call`"]
pub struct Schedule<'a, M> {
    cx: Cx<'a, M>,
    after: u64,
    every: u64,
}

impl<M> fmt::Debug for Schedule<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("after", &Duration::from_micros(self.after))
            .field("every", &Duration::from_micros(self.every))
            .finish_non_exhaustive()
    }
}

impl<M: Model> Schedule<'_, M> {
    /// Schedules the message: it calls this handler of the model with this argument.
    #[inline]
    pub fn call<S, H: Handler<M, S>>(mut self, handler: H, argument: H::Argument) -> FutureHandle {
        let Some(method) = self.cx.method(handler) else {
            return FutureHandle { id: 0, hint: no_hint() };
        };
        let Self { cx, after, every } = self;
        let payload = Payload::new(argument);
        let UntypedCx { state, me } = cx.untyped;
        let (id, hint) = state.schedule(me, method, after, every, payload);
        FutureHandle { id, hint }
    }
}
