//! Models in other languages, such as C: their table of functions is made at run time.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
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
    /// Calls the handler with this index. The argument is what the sender published; for joins and exits the
    /// [kind](ForeignHandler::kind) of the handler decides.
    ///
    /// # Errors
    /// Why the handler failed. The message must be the same on all participants.
    fn handle(
        &mut self,
        cx: &mut UntypedCx<'_>,
        handler: u16,
        argument: &Payload,
    ) -> Result<(), String>;

    /// Answers the query with this index. The argument is MessagePack. A query must change nothing.
    ///
    /// # Errors
    /// Why the query failed.
    fn query(&self, query: u16, argument: &[u8]) -> Result<Payload, String>;

    /// The whole state as one value of MessagePack. If it is a map, a sync test can name the field that
    /// differs.
    ///
    /// # Errors
    /// Why the state cannot be saved.
    fn save(&self) -> Result<Vec<u8>, String>;
}

/// Makes a model from its options (MessagePack).
pub type ForeignInit =
    dyn Fn(&mut UntypedCx<'_>, &[u8]) -> Result<Box<dyn ForeignObject>, String> + Send + Sync;

/// Makes a model from the bytes that [`ForeignObject::save`] returned.
pub type ForeignLoad = dyn Fn(&[u8]) -> Result<Box<dyn ForeignObject>, String> + Send + Sync;

/// A handler of a [`ForeignModel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignHandler {
    /// Its name in faults, and for calls by other models.
    pub name: String,
    /// The form in which it takes joins and exits: each by itself, or all that come together.
    pub kind: ArgumentKind,
}

/// A handler that is called once for each join and exit, with a [`ViewInfo`](crate::ViewInfo).
impl From<&str> for ForeignHandler {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), kind: ArgumentKind::ViewInfo }
    }
}

/// The form of an argument in the version hash of an app. A handler that takes single joins has the form that all
/// had before there were others.
fn form_of(kind: ArgumentKind) -> &'static str {
    match kind {
        ArgumentKind::ViewInfo => "any",
        ArgumentKind::ViewId => "any, or a view id",
        ArgumentKind::ViewIds => "any, or view ids",
        ArgumentKind::ViewInfos => "any, or views",
        ArgumentKind::Other => "any, or nothing",
    }
}

/// A type of models in another language.
pub struct ForeignModel {
    /// Names the model in snapshots. It must be unique within an app, and never change.
    pub id: String,
    /// Must change when the model behaves differently. Clients with different versions are never in one
    /// session.
    pub version: u32,
    /// What the model does, such as a hash of its sources. Clients with different code are never in one session. May be
    /// empty.
    pub code: String,
    /// The handlers. They are called by their index.
    pub handlers: Vec<ForeignHandler>,
    /// Names of the queries.
    pub queries: Vec<String>,
    /// Makes a new model.
    pub init: Box<ForeignInit>,
    /// Makes a model from its saved state.
    pub load: Box<ForeignLoad>,
}

impl fmt::Debug for ForeignModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, version, handlers, queries, .. } = self;
        f.debug_struct("ForeignModel")
            .field("id", id)
            .field("version", version)
            .field("handlers", handlers)
            .field("queries", queries)
            .finish_non_exhaustive()
    }
}

/// A foreign model in the arena.
struct Foreign {
    queries: Arc<[String]>,
    object: Box<dyn ForeignObject>,
}

/// The table of functions for this type of models.
pub(crate) fn definition(model: ForeignModel) -> Definition {
    let ForeignModel { id, version, code, handlers, queries, init, load } = model;
    let names: Arc<[String]> = queries.clone().into();
    let (made, loaded) = (names.clone(), names);
    let handler = |ForeignHandler { name, kind }| MethodInfo {
        name: Cow::Owned(name),
        argument: form_of(kind).into(),
        kind,
    };
    let query = |name: String| MethodInfo {
        name: name.into(),
        argument: "any".into(),
        kind: ArgumentKind::Other,
    };
    Definition {
        id,
        version,
        code,
        sources: "",
        fields: Vec::new(),
        handlers: handlers.into_iter().map(handler).collect(),
        queries: queries.into_iter().map(query).collect(),
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
        options: Box::new(canonical),
        named_options: Box::new(canonical),
        type_id: None,
    }
}

fn canonical(options: &[u8]) -> Result<Vec<u8>, String> {
    encode::canonical(options).map_err(|error| error.to_string())
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
        // Checked and made canonical, because bytes from elsewhere must not break the snapshot around them.
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
