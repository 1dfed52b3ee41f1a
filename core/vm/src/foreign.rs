//! Models that are no Rust types: their table of functions is made at run time, as for a model
//! written in C.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::app::Definition;
use crate::encode::{self, EncodeError};
use crate::fault::panic_message;
use crate::id::ModelId;
use crate::model::{ArgumentKind, HandlerError, MethodInfo, Object, QueryError};
use crate::payload::Payload;
use crate::snapshot::FieldError;
use crate::state::State;
use crate::untyped::UntypedCx;

/// One model of a [`ForeignModel`].
pub trait ForeignObject: Send {
    /// Calls a handler, named by its index. Arguments are whatever the sender published; those of
    /// joins and exits are a [`ViewInfo`](crate::ViewInfo). What it says when it fails must be the
    /// same for all participants.
    fn handle(
        &mut self,
        cx: &mut UntypedCx<'_>,
        handler: u16,
        argument: &Payload,
    ) -> Result<(), String>;

    /// Answers a query, named by its index; the argument is MessagePack. It must change nothing.
    fn query(&self, query: u16, argument: &[u8]) -> Result<Payload, String>;

    /// The whole state as one value of MessagePack. With a map in it a sync test can name what
    /// differs.
    fn save(&self) -> Result<Vec<u8>, String>;
}

/// Makes a model from its options (MessagePack).
pub type ForeignInit =
    dyn Fn(&mut UntypedCx<'_>, &[u8]) -> Result<Box<dyn ForeignObject>, String> + Send + Sync;

/// Makes a model from what [`ForeignObject::save`] gave.
pub type ForeignLoad = dyn Fn(&[u8]) -> Result<Box<dyn ForeignObject>, String> + Send + Sync;

/// A type of models that is made at run time.
pub struct ForeignModel {
    /// Names the model in snapshots; unique within an app, and never changed.
    pub id: String,
    /// Changes with the model's behaviour: another version never mixes with this one.
    pub version: u32,
    /// Names of the handlers.
    pub handlers: Vec<String>,
    /// Names of the queries.
    pub queries: Vec<String>,
    /// Makes a new model.
    pub init: Box<ForeignInit>,
    /// Makes a model from its saved state.
    pub load: Box<ForeignLoad>,
}

/// A foreign model in the arena.
struct Foreign {
    queries: Arc<[String]>,
    object: Box<dyn ForeignObject>,
}

/// The table that the virtual machine knows this model by.
pub(crate) fn definition(model: ForeignModel) -> Definition {
    let ForeignModel { id, version, handlers, queries, init, load } = model;
    let names: Arc<[String]> = queries.clone().into();
    let (made, loaded) = (names.clone(), names);
    let method = |name: String| MethodInfo {
        name: name.into(),
        argument: "any".into(),
        kind: ArgumentKind::ViewInfo,
    };
    Definition {
        id,
        version,
        fields: Vec::new(),
        handlers: handlers.into_iter().map(method).collect(),
        queries: queries.into_iter().map(method).collect(),
        init: Box::new(move |state, id, options| {
            let mut cx = UntypedCx { state, me: id };
            let init = catch_unwind(AssertUnwindSafe(|| init(&mut cx, options)));
            let object = init.map_err(|panic| panic_message(&*panic)).flatten()?;
            Ok(Box::new(Foreign { queries: made.clone(), object }))
        }),
        read: Box::new(move |bytes| {
            let wrong = |why: String| FieldError { field: "state".into(), why };
            let saved = encode::split_value(bytes).map_err(|error| wrong(error.to_string()))?;
            let load = catch_unwind(AssertUnwindSafe(|| load(saved)));
            let object = load.map_err(|panic| panic_message(&*panic)).flatten().map_err(wrong)?;
            Ok(Box::new(Foreign { queries: loaded.clone(), object }))
        }),
        options: Box::new(|options| encode::canonical(options).map_err(|error| error.to_string())),
        type_id: None,
    }
}

impl Object for Foreign {
    fn call(
        &mut self,
        state: &mut State,
        id: ModelId,
        method: u16,
        payload: &Payload,
    ) -> Result<(), HandlerError> {
        let mut cx = UntypedCx { state, me: id };
        let call = || self.object.handle(&mut cx, method, payload);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => result.map_err(HandlerError::Failed),
            Err(panic) => Err(HandlerError::Panicked(panic_message(&*panic))),
        }
    }

    fn query(&self, name: &str, argument: &[u8]) -> Result<Payload, QueryError> {
        let at = self.queries.iter().position(|query| query == name);
        let at = at.and_then(|at| u16::try_from(at).ok());
        let at = at.ok_or_else(|| QueryError::UnknownQuery(name.to_owned()))?;
        match catch_unwind(AssertUnwindSafe(|| self.object.query(at, argument))) {
            Ok(answer) => answer.map_err(QueryError::Failed),
            Err(panic) => Err(QueryError::Panicked(panic_message(&*panic))),
        }
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        let saved = catch_unwind(AssertUnwindSafe(|| self.object.save()));
        let saved = saved.map_err(|panic| panic_message(&*panic)).flatten();
        let saved = saved.map_err(EncodeError::new)?;
        // What comes from elsewhere is checked and made canonical: it must not break the frame of
        // the snapshot around it.
        bytes.extend(encode::canonical(&saved)?);
        Ok(())
    }

    fn restored(&mut self) {}

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
