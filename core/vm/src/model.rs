//! The traits of models: what the virtual machine needs of them.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cx::Cx;
use crate::encode::{self, EncodeError};
use crate::fault::panic_message;
use crate::id::{Handle, ModelId, ViewId};
use crate::payload::{Payload, PayloadError, Value};
use crate::presence::ViewInfo;
use crate::state::State;

/// The state of a model. `#[model]` implements it for a struct.
pub trait ModelState: Serialize + DeserializeOwned + Send + 'static {
    /// Names the model in snapshots. It must be unique within an app, and never change.
    const ID: &'static str;
    /// Must change when the model behaves differently and [`CODE`](Self::CODE) does not show it. Clients with different
    /// versions are never in one session.
    const VERSION: u32;
    /// What the model does: a fingerprint of its sources, or what the author has declared. Clients with different code are
    /// never in one session.
    const CODE: &'static str;
    /// The fingerprint of its sources, also if [`CODE`](Self::CODE) is something else. Empty if it is not known.
    const SOURCES: &'static str = "";
    /// Names and types of the fields.
    const FIELDS: &'static [(&'static str, &'static str)];
}

/// A model. `#[handlers]` implements it from an `impl` block.
pub trait Model: ModelState + Sized {
    /// What `init` takes to make a new model.
    type Options: Value;

    /// Makes a new model.
    fn init(cx: &mut Cx<'_, Self>, options: &Self::Options) -> Self;
    /// The handlers.
    fn handlers() -> &'static [MethodInfo];
    /// The queries.
    fn queries() -> &'static [MethodInfo];
    /// The index of the handler whose fn item has this type.
    fn handler_index(method: TypeId) -> Option<u16>;
    /// Calls the handler with this index.
    ///
    /// # Errors
    /// If the payload is not what the handler takes. The handler was then not called.
    fn dispatch(
        &mut self,
        cx: &mut Cx<'_, Self>,
        handler: u16,
        payload: &Payload,
    ) -> Result<(), PayloadError>;
    /// Answers the query with this name. The argument is MessagePack.
    ///
    /// # Errors
    /// [`QueryError`].
    fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, QueryError>;
    /// Called after a restore.
    fn restored(&mut self);
}

/// A handler or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodInfo {
    /// Name of the method.
    pub name: Cow<'static, str>,
    /// Type of its argument, as written in the source.
    pub argument: Cow<'static, str>,
    /// The form in which it takes a join or an exit.
    pub kind: ArgumentKind,
}

/// The form in which a handler takes a join or an exit. It follows from the type of its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// `ViewId`: called once for each view.
    ViewId,
    /// `ViewInfo`: called once for each view.
    ViewInfo,
    /// `Vec<ViewId>`: called once for all views of a batch.
    ViewIds,
    /// `Vec<ViewInfo>`: called once for all views of a batch.
    ViewInfos,
    /// Any other type, or no argument: called once for each view, without argument.
    Other,
}

impl ArgumentKind {
    /// The kind of an argument of type `T`.
    pub fn of<T: 'static>() -> Self {
        let kinds = [
            (TypeId::of::<ViewId>(), Self::ViewId),
            (TypeId::of::<ViewInfo>(), Self::ViewInfo),
            (TypeId::of::<Vec<ViewId>>(), Self::ViewIds),
            (TypeId::of::<Vec<ViewInfo>>(), Self::ViewInfos),
        ];
        let this = TypeId::of::<T>();
        kinds.into_iter().find(|(id, _)| *id == this).map_or(Self::Other, |(_, kind)| kind)
    }
}

/// A method of a model with the shape of a handler. `Shape` says how it takes its argument; the compiler always
/// infers it.
pub trait Handler<M, Shape>: Copy + 'static {
    /// The argument of the handler.
    type Argument: Value;
}

/// The shape of a handler without argument.
#[derive(Debug)]
pub struct NoArgument;
/// The shape of a handler that takes its argument by value.
#[derive(Debug)]
pub struct ByValue<A>(PhantomData<A>);
/// The shape of a handler that takes its argument by reference.
#[derive(Debug)]
pub struct ByReference<A>(PhantomData<A>);

impl<M, F: Fn(&mut M, &mut Cx<'_, M>) + Copy + 'static> Handler<M, NoArgument> for F {
    type Argument = ();
}

impl<M, A: Value, F: Fn(&mut M, &mut Cx<'_, M>, A) + Copy + 'static> Handler<M, ByValue<A>> for F {
    type Argument = A;
}

impl<M, A: Value, F: Fn(&mut M, &mut Cx<'_, M>, &A) + Copy + 'static> Handler<M, ByReference<A>>
    for F
{
    type Argument = A;
}

/// Why a handler cannot reach another model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The model does not exist: it never did, or was destroyed.
    #[error("model {0} does not exist")]
    Unknown(ModelId),
    /// The handle is for another type of models.
    #[error("model {0} is of another type than its handle")]
    OtherType(ModelId),
    /// A handler of the model is running, or its `init`: the handler that asks, or one that led to it. Publish an
    /// event or schedule a future message instead.
    #[error("a handler of model {0} is running: publish an event to it instead")]
    Running(ModelId),
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The model does not exist: it never did, or was destroyed.
    #[error("model {0} does not exist")]
    UnknownModel(ModelId),
    /// A handler of the model is running, or its `init`.
    #[error("a handler of model {0} is running")]
    Running(ModelId),
    /// The model has no query of this name.
    #[error("the model has no query {0:?}")]
    UnknownQuery(String),
    /// The argument is not what the query takes.
    #[error("invalid argument of the query: {0}")]
    Argument(#[from] PayloadError),
    /// The query panicked.
    #[error("the query panicked: {0}")]
    Panicked(String),
    /// The query of a model in another language failed, with this message.
    #[error("the query failed: {0}")]
    Failed(String),
}

/// Why a call of a handler of another model failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The model does not exist, or one of its handlers is running.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The model has no handler of this name.
    #[error("the model has no handler {0:?}")]
    UnknownHandler(String),
    /// The argument is not what the handler takes. The handler was not called.
    #[error("invalid argument of the handler: {0}")]
    Argument(#[from] PayloadError),
    /// Handlers call handlers too deep. The handler was not called.
    #[error("calls of handlers are nested deeper than {0}")]
    TooDeep(u32),
    /// The handler failed, with this message. That is a fault, so the whole turn will be undone.
    #[error("the handler failed: {0}")]
    Failed(String),
}

/// Why a handler failed.
pub(crate) enum HandlerError {
    Payload(PayloadError),
    Panicked(String),
    Failed(String),
}

/// A model in the arena. The virtual machine reaches models only through this trait, so it does not matter
/// whether they are Rust types.
pub(crate) trait Object: Send {
    fn call(
        &mut self,
        state: &mut State,
        id: ModelId,
        method: u16,
        payload: &Payload,
    ) -> Result<(), HandlerError>;
    fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, QueryError>;
    fn append(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError>;
    fn restored(&mut self);
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<M: Model> Object for M {
    fn call(
        &mut self,
        state: &mut State,
        id: ModelId,
        method: u16,
        payload: &Payload,
    ) -> Result<(), HandlerError> {
        let mut cx = Cx::new(state, Handle::new(id));
        match catch_unwind(AssertUnwindSafe(|| self.dispatch(&mut cx, method, payload))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(HandlerError::Payload(error)),
            Err(panic) => Err(HandlerError::Panicked(panic_message(&*panic))),
        }
    }

    fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, QueryError> {
        catch_unwind(AssertUnwindSafe(|| Model::query(self, name, argument)))
            .unwrap_or_else(|panic| Err(QueryError::Panicked(panic_message(&*panic))))
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode::append(bytes, self)
    }

    fn restored(&mut self) {
        Model::restored(self);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
