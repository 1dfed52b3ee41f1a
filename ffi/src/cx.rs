//! The context of a running handler, for models written in C.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use teatime::{Duration, ModelId, UntypedCx};

use crate::boundary::boundary;
use crate::handle::Held;
use crate::ids::{tea_session_id, tea_view_id};
use crate::out::{Check, Slot, null};
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;
use crate::value::{Value, append_payload, checked, tea_value};

/// What a model can do in its init and its handlers: valid on the same thread until the callback
/// returns, and not while another model's init runs that it has caused.
pub struct tea_cx {
    _opaque: [u8; 0],
}

/// The root model's id: every session has it.
pub const TEA_ROOT_MODEL: u64 = 1;

/// A context in use: C knows it by its number, so that one that is over is told from it.
#[derive(Clone, Copy)]
struct Frame {
    number: usize,
    cx: *mut UntypedCx<'static>,
}

thread_local! {
    static CURRENT: Cell<Frame> = const { Cell::new(Frame { number: 0, cx: null_mut() }) };
}

/// Numbers contexts, of all threads: one of another thread is told from this one's too.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Ends a frame however its callback ends.
struct Restore(Frame);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lends a context to C for the time of a callback.
pub(crate) fn enter<R>(cx: &mut UntypedCx<'_>, run: impl FnOnce(*mut tea_cx) -> R) -> R {
    // 0 is no context; on 32 bits it comes round.
    let number = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
    let cx = std::ptr::from_mut(cx).cast();
    let _restore = Restore(CURRENT.replace(Frame { number, cx }));
    run(without_provenance_mut(number))
}

/// Runs something with the context that C names.
pub(crate) fn with<R>(
    cx: *const tea_cx,
    run: impl FnOnce(&mut UntypedCx<'_>) -> Result<R>,
) -> Result<R> {
    if cx.is_null() {
        return Err(null("cx"));
    }
    let frame = CURRENT.get();
    let found = NonNull::new(frame.cx).filter(|_| frame.number == cx.addr());
    let Some(mut current) = found else {
        let message = "this context is not that of the callback that runs";
        return Err(Failure::new(tea_status::NotInModel, message));
    };
    // While this is used no frame is current: what it calls may not come back through it.
    let _restore = Restore(CURRENT.replace(Frame { number: 0, cx: null_mut() }));
    // SAFETY: `enter` borrows it until the callback returns, nobody else uses it meanwhile: its
    // frame is out of reach, for this thread by the line above and for others by being local.
    run(unsafe { current.as_mut() })
}

/// Calls a handler of this model, by its index, at every event of a topic. The text * stands for
/// every scope or event. For joins and exits there is tea_cx_subscribe_presence. Subscribing one
/// handler to one topic twice changes nothing, and is a fault that all participants are told.
///
/// Fails with TEA_STATUS_UNKNOWN_HANDLER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_subscribe(
    cx: *mut tea_cx,
    scope: tea_str,
    event: tea_str,
    handler: u16,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        with(
            cx,
            |cx| if cx.subscribe(scope, event, handler) { Ok(()) } else { no_handler(handler) },
        )
    })
}

/// Calls handlers of this model, by their indices, when a view joins and when it exits.
///
/// Fails with TEA_STATUS_UNKNOWN_HANDLER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_subscribe_presence(
    cx: *mut tea_cx,
    join_handler: u16,
    exit_handler: u16,
) -> tea_status {
    boundary(|| {
        with(cx, |cx| {
            for handler in [join_handler, exit_handler] {
                if !cx.has_handler(handler) {
                    return no_handler(handler);
                }
            }
            let scope = cx.session_id();
            cx.subscribe(scope, teatime::VIEW_JOIN, join_handler);
            cx.subscribe(scope, teatime::VIEW_EXIT, exit_handler);
            Ok(())
        })
    })
}

fn no_handler<T>(handler: u16) -> Result<T> {
    let message = format!("the model has no handler {handler}");
    Err(Failure::new(tea_status::UnknownHandler, message))
}

/// Ends a subscription of one handler; does nothing if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_unsubscribe(
    cx: *mut tea_cx,
    scope: tea_str,
    event: tea_str,
    handler: u16,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        with(cx, |cx| {
            cx.unsubscribe(scope, event, handler);
            Ok(())
        })
    })
}

/// Ends all subscriptions of this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_unsubscribe_all(cx: *mut tea_cx) -> tea_status {
    boundary(|| {
        with(cx, |cx| {
            cx.unsubscribe_all();
            Ok(())
        })
    })
}

/// Publishes an event: to models when this handler has returned, in the order of publishing and
/// before anything else happens at this instant; to views with their next step. Nobody can publish
/// joins and exits: that is a fault which all participants are told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_publish(
    cx: *mut tea_cx,
    scope: tea_str,
    event: tea_str,
    data: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(data)?;
        with(cx, |cx| {
            cx.publish(scope, event, payload);
            Ok(())
        })
    })
}

/// Schedules a call of a handler of this model: after a span of session time in µs, and then again
/// and again every so many µs if that is not 0. With no span it comes in a turn of its own after
/// this one, at the same time. `future` becomes an id by which it can be cancelled; it may be kept
/// in the model's state, and it may be NULL if nobody wants it.
///
/// Fails with TEA_STATUS_UNKNOWN_HANDLER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_future(
    cx: *mut tea_cx,
    after_us: u64,
    every_us: u64,
    handler: u16,
    argument: tea_payload,
    future: *mut u64,
) -> tea_status {
    boundary(|| {
        let future = future.check("future").ok();
        let payload = checked(argument)?;
        let (after, every) = (Duration::from_micros(after_us), Duration::from_micros(every_us));
        let id = with(cx, |cx| match cx.future(after, every, handler, payload) {
            Some(id) => Ok(id),
            None => no_handler(handler),
        })?;
        if let Some(future) = future {
            future.set(id);
        }
        Ok(())
    })
}

/// Cancels a future message of this model, a repeating one for good.
///
/// Fails with TEA_STATUS_NOT_FOUND if it has come for the last time, or was cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_cancel(cx: *mut tea_cx, future: u64) -> tea_status {
    boundary(|| {
        if with(cx, |cx| Ok(cx.cancel(future)))? {
            return Ok(());
        }
        Err(Failure::new(tea_status::NotFound, format!("there is no future message {future}")))
    })
}

/// Cancels all future messages to one handler of this model, repeating ones included. `count`
/// becomes how many there were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_cancel_all(
    cx: *mut tea_cx,
    handler: u16,
    count: *mut u64,
) -> tea_status {
    get(cx, count, "count", |cx| cx.cancel_all(handler))
}

/// The session time of this turn in µs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_now(cx: *const tea_cx, now_us: *mut u64) -> tea_status {
    get(cx, now_us, "now_us", |cx| cx.now().as_micros())
}

/// The model whose handler runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_me(cx: *const tea_cx, model: *mut u64) -> tea_status {
    get(cx, model, "model", |cx| cx.me().0)
}

/// Identity of the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_session_id(
    cx: *const tea_cx,
    id: *mut tea_session_id,
) -> tea_status {
    get(cx, id, "id", |cx| tea_session_id { bytes: cx.session_id().0 })
}

/// Who sent the event of this turn, as the reflector stamped it: nobody can pretend to be somebody
/// else. It stays through the events that models send each other in consequence.
///
/// Fails with TEA_STATUS_NOT_FOUND in future messages, joins and exits: nobody sent them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_sender(cx: *const tea_cx, sender: *mut tea_view_id) -> tea_status {
    boundary(|| {
        let sender = sender.check("sender")?;
        let found = with(cx, |cx| Ok(cx.sender()))?;
        let found = found.ok_or_else(|| Failure::new(tea_status::NotFound, "nobody sent this"))?;
        sender.set(tea_view_id { bytes: found.0 });
        Ok(())
    })
}

/// How many views there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_view_count(cx: *const tea_cx, count: *mut u32) -> tea_status {
    get(cx, count, "count", |cx| cx.view_count())
}

/// 64 random bits, the same for all participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random_u64(cx: *mut tea_cx, number: *mut u64) -> tea_status {
    get(cx, number, "number", |cx| cx.random_u64())
}

/// A random number from 0 to below 1 with 53 bits, the same for all participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random(cx: *mut tea_cx, number: *mut f64) -> tea_status {
    get(cx, number, "number", |cx| cx.random())
}

/// A random number below a limit, each equally likely, the same for all participants; 0 for a limit
/// of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random_below(
    cx: *mut tea_cx,
    limit: u64,
    number: *mut u64,
) -> tea_status {
    get(cx, number, "number", |cx| cx.random_below(limit))
}

/// Makes another model of the app by the id of its type; its init runs at once. `created` becomes
/// the id of the new model.
///
/// Fails with TEA_STATUS_CREATE_FAILED if the app has no such type, or if its init failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_create(
    cx: *mut tea_cx,
    model: tea_str,
    options: tea_payload,
    created: *mut u64,
) -> tea_status {
    boundary(|| {
        let created = created.check("created")?;
        let model = model.get("model")?;
        let options = options.to_msgpack()?;
        let made = with(cx, |cx| Ok(cx.create(model, &options)))?;
        let id = made.map_err(|why| Failure::new(tea_status::CreateFailed, why))?;
        created.set(id.0);
        Ok(())
    })
}

/// Destroys a model with everything that belongs to it: subscriptions, future messages, names. The
/// root model cannot be destroyed.
///
/// Fails with TEA_STATUS_UNKNOWN_MODEL if it is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_destroy(cx: *mut tea_cx, model: u64) -> tea_status {
    boundary(|| {
        if with(cx, |cx| Ok(cx.destroy(ModelId(model))))? {
            return Ok(());
        }
        let message = format!("there is no model {model} that can be destroyed");
        Err(Failure::new(tea_status::UnknownModel, message))
    })
}

/// Asks a query of another model, in C or in Rust. Free the answer with tea_value_free. A model
/// whose handler runs has no answer. In MessagePack structs of Rust models are maps.
///
/// Fails with TEA_STATUS_UNKNOWN_MODEL, TEA_STATUS_UNKNOWN_QUERY, TEA_STATUS_QUERY_ARGUMENT or
/// TEA_STATUS_QUERY_FAILED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_query(
    cx: *const tea_cx,
    model: u64,
    query: tea_str,
    argument: tea_payload,
    format: i32,
    answer: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let answer = answer.check("answer")?;
        let (query, format) = (query.get("query")?, format_of(format)?);
        let argument = argument.to_msgpack()?;
        let payload = with(cx, |cx| Ok(cx.query(ModelId(model), query, &argument)?))?;
        let mut named = Vec::new();
        append_payload(&mut named, &payload, tea_format::Msgpack)?;
        // A NaN that a model has computed has other bits on other platforms.
        let payload = checked(tea_payload::msgpack(&named))?;
        answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}

/// Makes a model known by a name to all models and views.
///
/// Fails with TEA_STATUS_NAME_TAKEN if another model has the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_set_well_known(
    cx: *mut tea_cx,
    name: tea_str,
    model: u64,
) -> tea_status {
    boundary(|| {
        let name = name.get("name")?;
        let set = with(cx, |cx| Ok(cx.set_well_known(name, ModelId(model))))?;
        set.map_err(|error| Failure::new(tea_status::NameTaken, error))
    })
}

/// The model that is known by a name.
///
/// Fails with TEA_STATUS_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_well_known(
    cx: *const tea_cx,
    name: tea_str,
    model: *mut u64,
) -> tea_status {
    boundary(|| {
        let model = model.check("model")?;
        let name = name.get("name")?;
        let found = with(cx, |cx| Ok(cx.well_known(name)))?;
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::NotFound, format!("no model is known as {name:?}"))
        })?;
        model.set(found.0);
        Ok(())
    })
}

fn get<T>(
    cx: *const tea_cx,
    out: *mut T,
    name: &str,
    get: impl FnOnce(&mut UntypedCx<'_>) -> T,
) -> tea_status {
    boundary(|| {
        let out: Slot<T> = out.check(name)?;
        out.set(with(cx, |cx| Ok(get(cx)))?);
        Ok(())
    })
}
