//! What a model is to the virtual machine.

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
use crate::payload::{Data, Payload, PayloadError};
use crate::presence::ViewInfo;
use crate::state::State;

/// The state of a model: what `#[model]` derives from a struct.
pub trait ModelState: Serialize + DeserializeOwned + Send + 'static {
    /// Names the model in snapshots; unique within an app, and never changed.
    const ID: &'static str;
    /// Changes with the model's behaviour: another version never mixes with this one.
    const VERSION: u32;
    /// Names and types of the fields.
    const FIELDS: &'static [(&'static str, &'static str)];
}

/// A model: what `#[handlers]` makes of an `impl` block.
pub trait Model: ModelState + Sized {
    /// What a new model is given.
    type Options: Data;

    /// Makes a new model.
    fn init(cx: &mut Cx<'_, Self>, options: &Self::Options) -> Self;
    /// The handlers.
    fn handlers() -> &'static [MethodInfo];
    /// The queries.
    fn queries() -> &'static [MethodInfo];
    /// The index of the handler whose fn item has this type.
    fn handler_index(method: TypeId) -> Option<u16>;
    /// Calls a handler.
    fn dispatch(
        &mut self,
        cx: &mut Cx<'_, Self>,
        handler: u16,
        payload: &Payload,
    ) -> Result<(), PayloadError>;
    /// Answers a query; the argument is MessagePack.
    fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, QueryError>;
    /// Called after a restore.
    fn restored(&mut self);
}

/// A handler or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodInfo {
    /// Its name.
    pub name: Cow<'static, str>,
    /// The type of its argument, as it is written.
    pub argument: Cow<'static, str>,
    /// Which form of a join or an exit it takes.
    pub kind: ArgumentKind,
}

/// Which form of a join or an exit a handler takes; this follows from the type of its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// `ViewId`: called once for each.
    ViewId,
    /// `ViewInfo`: called once for each.
    ViewInfo,
    /// `Vec<ViewId>`: called once for all of a batch.
    ViewIds,
    /// `Vec<ViewInfo>`: called once for all of a batch.
    ViewInfos,
    /// Any other type or none: called once for each, without argument.
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

/// A method of a model with the shape of a handler. `Shape` tells how it takes its argument and is
/// always inferred.
pub trait Handler<M, Shape>: Copy + 'static {
    /// What the handler is called with.
    type Argument: Data;
}

/// The shape of a handler without argument.
pub struct NoArgument;
/// The shape of a handler that takes its argument by value.
pub struct ByValue<A>(PhantomData<A>);
/// The shape of a handler that takes its argument by reference.
pub struct ByReference<A>(PhantomData<A>);

impl<M, F: Fn(&mut M, &mut Cx<'_, M>) + Copy + 'static> Handler<M, NoArgument> for F {
    type Argument = ();
}

impl<M, A: Data, F: Fn(&mut M, &mut Cx<'_, M>, A) + Copy + 'static> Handler<M, ByValue<A>> for F {
    type Argument = A;
}

impl<M, A: Data, F: Fn(&mut M, &mut Cx<'_, M>, &A) + Copy + 'static> Handler<M, ByReference<A>>
    for F
{
    type Argument = A;
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no such model (any more).
    #[error("there is no model {0}")]
    UnknownModel(ModelId),
    /// The model has no query of this name.
    #[error("there is no query {0:?}")]
    UnknownQuery(String),
    /// The argument is not what the query takes.
    #[error("the argument of the query: {0}")]
    Argument(#[from] PayloadError),
    /// The query panicked.
    #[error("the query panicked: {0}")]
    Panicked(String),
    /// The query of a model in another language says that it failed.
    #[error("the query failed: {0}")]
    Failed(String),
}

/// How a handler ended if it did not end well.
pub(crate) enum HandlerError {
    Payload(PayloadError),
    Panicked(String),
    Failed(String),
}

/// A model in the arena. The virtual machine reaches models only through this, so they may as well
/// come with a table of methods that was made at run time.
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
