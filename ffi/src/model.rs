//! Models in C: a table of functions.

use std::ffi::c_void;
use std::sync::Arc;

use teatime::{ArgumentKind, ForeignHandler, ForeignModel, ForeignObject, Payload, UntypedCx};

use crate::cx::{enter, tea_cx};
use crate::handle::Held;
use crate::out::null;
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};
use crate::value::{Value, append_payload, tea_value};

/// The form in which a handler takes joins and exits.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_handler_kind {
    /// One call for each participant: an array of its id (16 bytes) and its view data (bytes or nil).
    View = 0,
    /// One call for each participant: its id (16 bytes).
    ViewId = 1,
    /// One call for all that join or exit together: an array of what TEA_HANDLER_KIND_VIEW gives. It comes after the
    /// calls of handlers that take each participant alone.
    Views = 2,
    /// One call for all that join or exit together: an array of their ids.
    ViewIds = 3,
}

/// A model written in C: a table of functions that the virtual machine calls. Set the whole table to zero first, then size
/// to sizeof(tea_model).
///
/// All participants must compute the same state, bit for bit. So the functions of a model must follow these rules; the
/// sync test, tea_sync_test, finds most violations:
/// - Read the arguments only: no clock, no random numbers except those of the context, no global variables, no files, no
///   addresses of objects, no uninitialised bytes, no order that depends on hashed pointers.
/// - Of math.h, use sqrt only; use the tea_math functions for the rest.
/// - Put everything that affects later behaviour into the state that save writes.
/// - Do not call tea_session functions and do not wait.
/// - Return: no longjmp, no exception.
///
/// The thread that steps, queries or frees a session calls them, one at a time for each session.
#[repr(C)]
#[derive(Debug)]
pub struct tea_model {
    /// sizeof(tea_model): tells the library which header the program was compiled with.
    pub size: usize,
    /// The name of the model in snapshots. It is unique within an app and never changes.
    pub id: tea_str,
    /// The version of the model's behaviour. Change it with the behaviour: clients with different versions are in
    /// different sessions.
    pub version: u32,
    /// What the model does, such as a hash of its sources that the build makes. Clients with different code are in
    /// different sessions. May be empty: then only the version says what the model does.
    pub code: tea_str,
    /// The tea_format of the payloads that the functions get. They may return payloads in either format.
    pub format: i32,
    /// The names of the handlers. A handler is called by its index. NULL if handler_count is 0.
    pub handlers: *const tea_str,
    /// The number of handlers, at most 65,535.
    pub handler_count: usize,
    /// The tea_handler_kind of each handler. NULL if all are TEA_HANDLER_KIND_VIEW. It matters for joins and exits only.
    pub handler_kinds: *const i32,
    /// The names of the queries. A query is asked by its index. NULL if query_count is 0.
    pub queries: *const tea_str,
    /// The number of queries, at most 65,535.
    pub query_count: usize,
    /// Passed to init and load. All models of this type share it; they must not change it.
    pub user_data: *mut c_void,
    /// Makes a new model: subscribes, schedules, and returns its state. NULL means that it failed.
    pub init: Option<
        unsafe extern "C" fn(
            cx: *mut tea_cx,
            options: tea_payload,
            user_data: *mut c_void,
        ) -> *mut c_void,
    >,
    /// Handles an event or a future message. The payload of a join or an exit follows from the tea_handler_kind of the
    /// handler. In payloads that Rust models publish, structs are arrays. Any result but 0 is a
    /// fault, the same for all participants.
    pub handle: Option<
        unsafe extern "C" fn(
            model: *mut c_void,
            cx: *mut tea_cx,
            handler: u16,
            argument: tea_payload,
        ) -> i32,
    >,
    /// Puts the whole state into a value. Use a map, so that tea_sync_test can name the field that differs. Equal states
    /// must give equal values, and load must restore all of it. Any result but 0 is a failure. Avoid failures: without a
    /// saved state, participants can neither vote nor join.
    pub save: Option<unsafe extern "C" fn(model: *const c_void, state: *mut tea_value) -> i32>,
    /// Makes a model from the value that save has put. NULL means that it failed. It gets no context, because the virtual
    /// machine restores subscriptions and future messages.
    pub load:
        Option<unsafe extern "C" fn(state: tea_payload, user_data: *mut c_void) -> *mut c_void>,
    /// Answers a query by putting a value. It must not change the model. Any result but 0 is a failure. NULL if
    /// query_count is 0.
    pub query: Option<
        unsafe extern "C" fn(
            model: *const c_void,
            query: u16,
            argument: tea_payload,
            answer: *mut tea_value,
        ) -> i32,
    >,
    /// Frees the state that init or load made. NULL if nothing needs to be freed.
    pub free: Option<unsafe extern "C" fn(model: *mut c_void)>,
}

/// The functions of a checked table.
struct Table {
    format: tea_format,
    user_data: *mut c_void,
    init: unsafe extern "C" fn(*mut tea_cx, tea_payload, *mut c_void) -> *mut c_void,
    handle: unsafe extern "C" fn(*mut c_void, *mut tea_cx, u16, tea_payload) -> i32,
    save: unsafe extern "C" fn(*const c_void, *mut tea_value) -> i32,
    load: unsafe extern "C" fn(tea_payload, *mut c_void) -> *mut c_void,
    query: Option<unsafe extern "C" fn(*const c_void, u16, tea_payload, *mut tea_value) -> i32>,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: the documentation of `tea_model` demands functions and shared user data that any thread may
// use.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// A model: its state, and the functions that know it.
struct Object {
    table: Arc<Table>,
    model: *mut c_void,
}

// SAFETY: as for `Table`; one thread at a time uses a model.
unsafe impl Send for Object {}

/// Reads a table of functions.
pub(crate) fn foreign_model(model: *const tea_model) -> Result<ForeignModel> {
    if model.is_null() {
        return Err(null("model"));
    }
    // SAFETY: the caller of every export promises valid pointers. The size comes first in every
    // version of the table, and is read alone before the rest.
    let size = unsafe { (&raw const (*model).size).read() };
    if size != size_of::<tea_model>() {
        let message = format!("tea_model.size is {size}, expected {}", size_of::<tea_model>());
        return Err(Failure::new(tea_status::InvalidArgument, message));
    }
    // SAFETY: as above.
    let model = unsafe { &*model };
    let handlers = names(model.handlers, model.handler_count, "handlers")?;
    let handlers = with_kinds(handlers, model.handler_kinds)?;
    let queries = names(model.queries, model.query_count, "queries")?;
    if model.query.is_none() && !queries.is_empty() {
        return Err(null("query"));
    }
    let table = Arc::new(Table {
        format: format_of(model.format)?,
        user_data: model.user_data,
        init: model.init.ok_or_else(|| null("init"))?,
        handle: model.handle.ok_or_else(|| null("handle"))?,
        save: model.save.ok_or_else(|| null("save"))?,
        load: model.load.ok_or_else(|| null("load"))?,
        query: model.query,
        free: model.free,
    });
    let (making, loading) = (table.clone(), table);
    Ok(ForeignModel {
        id: model.id.get("id")?.to_owned(),
        version: model.version,
        code: model.code.get("code")?.to_owned(),
        handlers,
        queries,
        init: Box::new(move |cx, options| making.init(cx, options)),
        load: Box::new(move |state| loading.load(state)),
    })
}

fn names(first: *const tea_str, count: usize, what: &str) -> Result<Vec<String>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if first.is_null() {
        return Err(null(what));
    }
    if count > usize::from(u16::MAX) {
        return Err(too_long(what));
    }
    // SAFETY: the caller of every export promises that its pointers are valid.
    let names = unsafe { std::slice::from_raw_parts(first, count) };
    names.iter().map(|name| name.get(what).map(str::to_owned)).collect()
}

fn with_kinds(names: Vec<String>, first: *const i32) -> Result<Vec<ForeignHandler>> {
    let kind = |at: usize| {
        if first.is_null() {
            return Ok(ArgumentKind::ViewInfo);
        }
        // SAFETY: the caller of every export promises that its pointers are valid; here for each handler.
        match unsafe { first.add(at).read() } {
            0 => Ok(ArgumentKind::ViewInfo),
            1 => Ok(ArgumentKind::ViewId),
            2 => Ok(ArgumentKind::ViewInfos),
            3 => Ok(ArgumentKind::ViewIds),
            other => {
                let message = format!("{other} is not a tea_handler_kind");
                Err(Failure::new(tea_status::InvalidArgument, message))
            }
        }
    };
    let handler = |(at, name)| kind(at).map(|kind| ForeignHandler { name, kind });
    names.into_iter().enumerate().map(handler).collect()
}

impl Table {
    fn init(
        self: &Arc<Self>,
        cx: &mut UntypedCx<'_>,
        options: &[u8],
    ) -> std::result::Result<Box<dyn ForeignObject>, String> {
        let model = self.with_data(&Payload::from_msgpack(options), |options| {
            // SAFETY: called as the documentation of `tea_model` says.
            enter(cx, |cx| unsafe { (self.init)(cx, options, self.user_data) })
        })?;
        self.object(model, "init")
    }

    fn load(self: &Arc<Self>, state: &[u8]) -> std::result::Result<Box<dyn ForeignObject>, String> {
        let model = self.with_data(&Payload::from_msgpack(state), |state| {
            // SAFETY: called as the documentation of `tea_model` says.
            unsafe { (self.load)(state, self.user_data) }
        })?;
        self.object(model, "load")
    }

    fn object(
        self: &Arc<Self>,
        model: *mut c_void,
        made_by: &str,
    ) -> std::result::Result<Box<dyn ForeignObject>, String> {
        if model.is_null() {
            return Err(format!("{made_by} returned NULL"));
        }
        Ok(Box::new(Object { table: self.clone(), model }))
    }

    /// Runs something with a payload in the format of the model, checked and in its canonical form. So the model gets
    /// the same bytes from every sender, and before and after a snapshot.
    fn with_data<R>(
        &self,
        payload: &Payload,
        run: impl FnOnce(tea_payload) -> R,
    ) -> std::result::Result<R, String> {
        let bytes = payload.to_msgpack().map_err(|error| error.to_string())?;
        let bytes = teatime::canonical(&bytes).map_err(|error| error.to_string())?;
        match self.format {
            tea_format::Msgpack => Ok(run(tea_payload::msgpack(&bytes))),
            tea_format::Json => {
                let mut json = Vec::new();
                append_payload(&mut json, &Payload::from_msgpack(&bytes), tea_format::Json)
                    .map_err(|failure| failure.message)?;
                let format = tea_format::Json as i32;
                Ok(run(tea_payload { format, ..tea_payload::msgpack(&json) }))
            }
        }
    }
}

/// Lets C put a value together, and takes it.
pub(crate) fn collect(
    what: &str,
    put: impl FnOnce(*mut tea_value) -> i32,
) -> std::result::Result<Vec<u8>, String> {
    let value = Value::empty().hand_out().map_err(|failure| failure.message)?;
    let result = put(value);
    let bytes = Value::with(value, Value::finish);
    // If C has freed it, nothing is left to free, and `bytes` says so.
    let _ = Value::free(value);
    match result {
        0 => bytes.map_err(|failure| failure.message),
        code => Err(format!("{what} returned {code}")),
    }
}

impl ForeignObject for Object {
    fn handle(
        &mut self,
        cx: &mut UntypedCx<'_>,
        handler: u16,
        argument: &Payload,
    ) -> std::result::Result<(), String> {
        let Self { table, model } = self;
        let result = table.with_data(argument, |argument| {
            // SAFETY: called as the documentation of `tea_model` says.
            enter(cx, |cx| unsafe { (table.handle)(*model, cx, handler, argument) })
        })?;
        if result == 0 { Ok(()) } else { Err(format!("the handler returned {result}")) }
    }

    fn query(&self, query: u16, argument: &[u8]) -> std::result::Result<Payload, String> {
        let Some(ask) = self.table.query else { return Err("the model has no queries".into()) };
        let answer = self.table.with_data(&Payload::from_msgpack(argument), |argument| {
            // SAFETY: called as the documentation of `tea_model` says.
            collect("the query", |answer| unsafe { ask(self.model, query, argument, answer) })
        })??;
        Ok(Payload::from_msgpack(&answer))
    }

    fn save(&self) -> std::result::Result<Vec<u8>, String> {
        // SAFETY: called as the documentation of `tea_model` says.
        collect("save", |state| unsafe { (self.table.save)(self.model, state) })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(free) = self.table.free {
            // SAFETY: called as the documentation of `tea_model` says; the model is not used again.
            unsafe { free(self.model) }
        }
    }
}
