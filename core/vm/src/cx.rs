//! What a model can do in its handlers.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::encode;
use crate::fault::FaultKind;
use crate::id::{Handle, ModelId, Scope, SessionId, ViewId};
use crate::model::{Handler, Model};
use crate::payload::{self, Data, Payload};
use crate::persisted::{self, PersistError, Persisted};
use crate::state::State;
use crate::time::{Duration, Time};
use crate::untyped::UntypedCx;

/// The context of a running handler: the only door between a model and everything else.
pub struct Cx<'a, M> {
    pub(crate) untyped: UntypedCx<'a>,
    model: PhantomData<fn() -> M>,
}

/// Names a future message, to cancel it. It may be kept in a model and survives snapshots.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct FutureHandle {
    id: u64,
    /// Where it is in this process's table, if it was put there in this process. No model can see
    /// it, and no snapshot contains it.
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

impl std::fmt::Debug for FutureHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "F{}", self.id)
    }
}

/// Something that only a model may do, outside of all handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this may only be done in a handler of a model")]
pub struct NotInModel;

/// A well-known name that another model has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{model} is known as {name:?} already")]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// Who has it.
    pub model: ModelId,
}

impl<'a, M> Cx<'a, M> {
    pub(crate) fn new(state: &'a mut State, me: Handle<M>) -> Self {
        Self { untyped: UntypedCx { state, me: me.id() }, model: PhantomData }
    }
}

impl<M: Model> Cx<'_, M> {
    /// Whether a handler of a model runs: always, where there is a context. For code that does not
    /// know what calls it, as behind a C interface.
    pub fn model_only(&self) -> Result<(), NotInModel> {
        if self.untyped.state.executing { Ok(()) } else { Err(NotInModel) }
    }

    /// The time of this turn.
    pub fn now(&self) -> Time {
        self.untyped.now()
    }

    /// The model whose handler runs.
    pub fn me(&self) -> Handle<M> {
        Handle::new(self.untyped.me)
    }

    /// Identity of the session.
    pub fn session_id(&self) -> SessionId {
        self.untyped.session_id()
    }

    /// The scope in which joins and exits are told.
    pub fn session_scope(&self) -> Scope {
        self.session_id().into()
    }

    /// Who sent the event of this turn, as the reflector stamped it: nobody can pretend to be
    /// somebody else. It stays through the events that models send each other in consequence.
    /// Nobody in future messages, joins and exits.
    pub fn sender(&self) -> Option<ViewId> {
        self.untyped.sender()
    }

    /// How many views there are.
    pub fn view_count(&self) -> u32 {
        self.untyped.view_count()
    }

    /// The views that there are, in the order in which they came.
    pub fn views(&self) -> impl Iterator<Item = ViewId> {
        self.untyped.views()
    }

    /// Calls a handler of this model at every event of a topic; `*` stands for every scope or
    /// event. Handlers of generic topics run before those of specific ones, and those of one topic
    /// in the order in which they subscribed.
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

    /// Publishes an event: to models when this handler has returned, in the order of publishing
    /// and before anything else happens at this instant; to views with their next step.
    pub fn publish<T: Data>(&mut self, scope: impl Into<Scope>, event: &str, data: T) {
        self.untyped.publish(scope, event, Payload::new(data));
    }

    /// Begins to schedule a future message: `cx.future(span).call(Self::handler, argument)`. With
    /// no span it comes in a turn of its own after this one, at the same time.
    pub fn future(&mut self, after: Duration) -> Schedule<'_, M> {
        Schedule { cx: self.again(), after: after.as_micros(), every: 0 }
    }

    /// The same for a message that comes again and again, first after `every`. A span of nothing
    /// counts as 1 µs.
    pub fn every(&mut self, every: Duration) -> Schedule<'_, M> {
        let every = every.as_micros().max(1);
        Schedule { cx: self.again(), after: every, every }
    }

    /// Cancels a future message of this model, a repeating one for good; false if it has come for
    /// the last time, or has been cancelled.
    pub fn cancel(&mut self, future: FutureHandle) -> bool {
        self.untyped.cancel_at(future.id, future.hint)
    }

    /// Cancels all future messages to one handler of this model, repeating ones included. Returns
    /// how many.
    pub fn cancel_all<S, H: Handler<M, S>>(&mut self, handler: H) -> u64 {
        self.method(handler).map_or(0, |method| self.untyped.cancel_all(method))
    }

    /// Makes another model; its `init` runs at once. Nothing if that panicked, or if the app did
    /// not declare the model.
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

    /// Destroys a model with everything that belongs to it: subscriptions, future messages, names.
    /// False if it was not there. The root model cannot be destroyed.
    pub fn destroy<N>(&mut self, model: Handle<N>) -> bool {
        self.untyped.destroy(model.id())
    }

    /// Another model, to read it. Nothing if it is not there, is of another type, or one of its
    /// handlers runs.
    pub fn get<N: Model>(&self, model: Handle<N>) -> Option<&N> {
        self.untyped.state.arena.get(model.id())?.object.as_ref()?.as_any().downcast_ref()
    }

    /// Runs something with another model and its own context. Nothing in the same cases as
    /// [`get`](Self::get).
    pub fn update<N: Model, R>(
        &mut self,
        model: Handle<N>,
        run: impl FnOnce(&mut N, &mut Cx<'_, N>) -> R,
    ) -> Option<R> {
        self.get(model)?;
        let state = &mut *self.untyped.state;
        let mut object = state.arena.get_mut(model.id())?.object.take()?;
        let result = object.as_any_mut().downcast_mut().map(|other| {
            let mut cx = Cx::new(state, model);
            let run = std::panic::AssertUnwindSafe(|| run(other, &mut cx));
            std::panic::catch_unwind(run)
        });
        // Even if it panicked: a model must not disappear.
        state.put_back(model.id(), object);
        match result? {
            Ok(result) => Some(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The root model's handle.
    pub fn root<N: Model>(&self) -> Handle<N> {
        Handle::new(ModelId::ROOT)
    }

    /// Makes a model known by a name to all models and views.
    pub fn set_well_known<N>(&mut self, name: &str, model: Handle<N>) -> Result<(), NameTaken> {
        self.untyped.set_well_known(name, model.id())
    }

    /// The model that is known by a name.
    pub fn well_known<N: Model>(&self, name: &str) -> Option<Handle<N>> {
        let id = self.untyped.well_known(name)?;
        let state = &self.untyped.state;
        let definition = state.arena.get(id)?.definition;
        (state.app.definition_of::<N>() == Some(definition)).then(|| Handle::new(id))
    }

    /// Persists data, in the place of what was persisted before: the session of a later version of the app begins with
    /// it. Only the root model may do so, with the type that the app has declared by
    /// [`AppBuilder::persists`](crate::AppBuilder::persists), and no more than
    /// [`MAX_PERSISTED`](crate::limits::MAX_PERSISTED) bytes. It is part of the state, and undone with a turn that
    /// fails.
    ///
    /// All participants vote on it, and the reflector keeps it, within seconds. If everybody leaves before,
    /// this session loses nothing; but should the next version of the app start before somebody comes back
    /// to this session, it starts from what was persisted before that.
    ///
    /// # Errors
    /// Why not; then what was persisted before stays.
    pub fn persist<T: Persisted>(&mut self, saved: &T) -> Result<(), PersistError> {
        let UntypedCx { state, me } = &mut self.untyped;
        state.persist(*me, |app| match &app.0.persistence {
            Some(declared) if declared.type_id == Some(TypeId::of::<T>()) => {
                persisted::write(saved)
            }
            _ => Err(PersistError::NotDeclared),
        })
    }

    /// What this version of the app, or one before, has persisted in a room of this name and password: migrated to
    /// `T`, which must be the type that the app has declared. Only in the `init` of the root model, when the
    /// session begins; everywhere else there is nothing.
    ///
    /// # Panics
    /// If the app has not declared this type: then no session may begin, for it would begin without what was persisted,
    /// and persist that.
    pub fn persisted<T: Persisted>(&self) -> Option<T> {
        let UntypedCx { state, me } = &self.untyped;
        let declared = state.app.0.persistence.as_ref().and_then(|declared| declared.type_id);
        assert!(
            declared == Some(TypeId::of::<T>()),
            "{} is not what the app has declared that it persists",
            type_name::<T>()
        );
        let inherited = state.inherited.as_ref().filter(|_| *me == ModelId::ROOT)?;
        Some(payload::decode(&inherited.bytes).expect("it was read when it was migrated"))
    }

    /// A random number in 0..1 with 53 bits, the same for all participants.
    pub fn random(&mut self) -> f64 {
        self.untyped.random()
    }

    /// 64 random bits, the same for all participants.
    pub fn random_u64(&mut self) -> u64 {
        self.untyped.random_u64()
    }

    /// A random number below `limit`, each equally likely, the same for all participants; 0 for a
    /// limit of 0.
    pub fn random_below(&mut self, limit: u64) -> u64 {
        self.untyped.random_below(limit)
    }

    /// A random number from `low` to `high` inclusive, each equally likely; `low` if `high` is
    /// less.
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

/// A future message that lacks its handler.
pub struct Schedule<'a, M> {
    cx: Cx<'a, M>,
    after: u64,
    every: u64,
}

impl<M: Model> Schedule<'_, M> {
    /// Calls this handler of the model with this argument.
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
