//! Models written in C: a table of functions.

use std::ffi::c_void;
use std::sync::Arc;

use teatime::{ForeignModel, ForeignObject, Payload, UntypedCx};

use crate::cx::{enter, tea_cx};
use crate::handle::Held;
use crate::out::null;
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};
use crate::value::{Value, append_payload, tea_value};

/// A model written in C: a table of functions that the virtual machine calls. Set it all to zero
/// first, then size to sizeof(tea_model).
///
/// All participants must compute the same, bit for bit. So a model's functions must not look at
/// anything but their arguments: no clock, no random numbers but the context's, no global
/// variables, no files, no addresses of objects, no uninitialised bytes, no functions of math.h
/// but sqrt, no order that comes from hashing pointers. They must not call tea_session functions,
/// must not wait, and must return: no longjmp, no exception. Whatever changes later behaviour
/// belongs into what save writes. tea_sync_test finds most of what is wrong.
///
/// They are called by whatever thread steps a session or asks something of it, the last time when
/// it is freed; one at a time for each session.
#[repr(C)]
pub struct tea_model {
    /// sizeof(tea_model): tells the library which header the program was compiled with.
    pub size: usize,
    /// Names the model in snapshots; unique within an app, and never changed.
    pub id: tea_str,
    /// Changes with the model's behaviour: another version never mixes with this one.
    pub version: u32,
    /// The tea_format in which the functions get their data. What they give may be in either.
    pub format: i32,
    /// Names of the handlers; a handler is called by its index. NULL if there are none.
    pub handlers: *const tea_str,
    /// How many handlers there are, at most 65535.
    pub handler_count: usize,
    /// Names of the queries; a query is asked by its index. NULL if there are none.
    pub queries: *const tea_str,
    /// How many queries there are, at most 65535.
    pub query_count: usize,
    /// Passed to init and load: what all models of this type share and never change.
    pub user_data: *mut c_void,
    /// Makes a new model: subscribes, schedules, returns its state. NULL if it cannot.
    pub init: Option<
        unsafe extern "C" fn(
            cx: *mut tea_cx,
            options: tea_payload,
            user_data: *mut c_void,
        ) -> *mut c_void,
    >,
    /// Handles an event or a future message. Joins and exits come as an array of the view's id
    /// (16 bytes) and its view data (bytes or nil); what Rust models publish comes with structs as
    /// arrays. Anything but 0 is a fault, the same for all participants.
    pub handle: Option<
        unsafe extern "C" fn(
            model: *mut c_void,
            cx: *mut tea_cx,
            handler: u16,
            argument: tea_payload,
        ) -> i32,
    >,
    /// Puts the whole state into a value; a map lets tea_sync_test name what differs. Equal states
    /// must give equal values, and load must get back all of it. Anything but 0 is a failure: then
    /// nobody can vote or join any more, so better do not fail.
    pub save: Option<unsafe extern "C" fn(model: *const c_void, state: *mut tea_value) -> i32>,
    /// Makes a model of what save has put. NULL if it cannot. There is no context: subscriptions
    /// and future messages are restored by themselves.
    pub load:
        Option<unsafe extern "C" fn(state: tea_payload, user_data: *mut c_void) -> *mut c_void>,
    /// Answers a query by putting a value; must change nothing. Anything but 0 is a failure. NULL
    /// if there are no queries.
    pub query: Option<
        unsafe extern "C" fn(
            model: *const c_void,
            query: u16,
            argument: tea_payload,
            answer: *mut tea_value,
        ) -> i32,
    >,
    /// Frees what init or load made. NULL if there is nothing to free.
    pub free: Option<unsafe extern "C" fn(model: *mut c_void)>,
}

/// The functions of a table that was checked.
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

// SAFETY: the documentation of `tea_model` demands that its functions and what all models of a type
// share may be used by any thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// One model, as its functions know it.
struct Object {
    table: Arc<Table>,
    model: *mut c_void,
}

// SAFETY: as for `Table`; a model is used by one thread at a time.
unsafe impl Send for Object {}

/// Reads a table of functions.
pub(crate) fn foreign_model(model: *const tea_model) -> Result<ForeignModel> {
    if model.is_null() {
        return Err(null("model"));
    }
    // SAFETY: the caller of every export promises that its pointers are valid. The size comes
    // first in every version of the table and is read alone before the rest.
    let size = unsafe { (&raw const (*model).size).read() };
    if size != size_of::<tea_model>() {
        let message = format!("tea_model.size is {size}, it must be {}", size_of::<tea_model>());
        return Err(Failure::new(tea_status::InvalidArgument, message));
    }
    // SAFETY: as above.
    let model = unsafe { &*model };
    let handlers = names(model.handlers, model.handler_count, "handlers")?;
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

impl Table {
    fn init(
        self: &Arc<Self>,
        cx: &mut UntypedCx<'_>,
        options: &[u8],
    ) -> std::result::Result<Box<dyn ForeignObject>, String> {
        let model = self.with_data(&Payload::from_msgpack(options), |options| {
            // SAFETY: the documentation of `tea_model` says how it is called.
            enter(cx, |cx| unsafe { (self.init)(cx, options, self.user_data) })
        })?;
        self.object(model, "init")
    }

    fn load(self: &Arc<Self>, state: &[u8]) -> std::result::Result<Box<dyn ForeignObject>, String> {
        let model = self.with_data(&Payload::from_msgpack(state), |state| {
            // SAFETY: the documentation of `tea_model` says how it is called.
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

    /// Runs something with a payload in the format that the model wants, checked and in its
    /// canonical form: whoever has sent it, and the same before and after a snapshot.
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

/// Lets C put a value, and takes it.
pub(crate) fn collect(
    what: &str,
    put: impl FnOnce(*mut tea_value) -> i32,
) -> std::result::Result<Vec<u8>, String> {
    let value = Value::empty().hand_out().map_err(|failure| failure.message)?;
    let result = put(value);
    let bytes = Value::with(value, Value::finish);
    // If C has freed it there is nothing left to free, and `bytes` says so.
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
            // SAFETY: the documentation of `tea_model` says how it is called.
            enter(cx, |cx| unsafe { (table.handle)(*model, cx, handler, argument) })
        })?;
        if result == 0 { Ok(()) } else { Err(format!("the handler returned {result}")) }
    }

    fn query(&self, query: u16, argument: &[u8]) -> std::result::Result<Payload, String> {
        let Some(ask) = self.table.query else { return Err("there are no queries".into()) };
        let answer = self.table.with_data(&Payload::from_msgpack(argument), |argument| {
            // SAFETY: the documentation of `tea_model` says how it is called.
            collect("the query", |answer| unsafe { ask(self.model, query, argument, answer) })
        })??;
        Ok(Payload::from_msgpack(&answer))
    }

    fn save(&self) -> std::result::Result<Vec<u8>, String> {
        // SAFETY: the documentation of `tea_model` says how it is called.
        collect("save", |state| unsafe { (self.table.save)(self.model, state) })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(free) = self.table.free {
            // SAFETY: the documentation of `tea_model` says how it is called; nobody uses the model
            // any more.
            unsafe { free(self.model) }
        }
    }
}
