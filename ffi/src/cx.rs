//! The context of a running handler, for models in C.

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

/// The context of a running init or handler of a model. It is valid on the same thread until the callback returns, but
/// not while another model's init runs inside that callback. Any other use fails with TEA_STATUS_NOT_IN_MODEL.
#[derive(Debug)]
pub struct tea_cx {
    _opaque: [u8; 0],
}

/// The id of the root model, the same in every session.
pub const TEA_ROOT_MODEL: u64 = 1;

/// A context in use. C knows it by its number, so the library detects contexts that are over.
#[derive(Clone, Copy)]
struct Frame {
    number: usize,
    cx: *mut UntypedCx<'static>,
}

thread_local! {
    static CURRENT: Cell<Frame> = const { Cell::new(Frame { number: 0, cx: null_mut() }) };
}

/// Numbers the contexts of all threads, so the library also detects contexts of other threads.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Ends a frame, however its callback ends.
struct Restore(Frame);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lends a context to C for the time of a callback.
pub(crate) fn enter<R>(cx: &mut UntypedCx<'_>, run: impl FnOnce(*mut tea_cx) -> R) -> R {
    // 0 is not a context; on 32 bits the counter wraps.
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
        let message = "this tea_cx does not belong to the running callback";
        return Err(Failure::new(tea_status::NotInModel, message));
    };
    // Meanwhile no frame is current: what it calls must not use this context.
    let _restore = Restore(CURRENT.replace(Frame { number: 0, cx: null_mut() }));
    // SAFETY: `enter` borrows it until the callback returns. No other code uses it meanwhile: this thread cannot
    // reach its frame because of the line above, and other threads cannot because frames are thread-local.
    run(unsafe { current.as_mut() })
}

/// Subscribes a handler of this model, by its index, to a topic. The text * matches every scope or event. For joins and
/// exits use tea_cx_subscribe_presence. Subscribing a handler to the same topic twice changes nothing, and all
/// participants report a fault.
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

/// Subscribes two handlers of this model, by their indices, to the joins and the exits of participants.
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

/// Ends a subscription of a handler. Does nothing if it is not subscribed.
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

/// Publishes an event. Models get it when this handler has returned, in the order of publishing, and before anything else
/// happens at this session time. Views get it with their next step. Joins and exits cannot be published: trying to is a
/// fault, which all participants report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_publish(
    cx: *mut tea_cx,
    scope: tea_str,
    event: tea_str,
    payload: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(payload)?;
        with(cx, |cx| {
            cx.publish(scope, event, payload);
            Ok(())
        })
    })
}

/// Schedules a call of a handler of this model after `after_us` µs of session time, and if `every_us` is not 0, every
/// `every_us` µs after that. If `after_us` is 0, the call comes in its own turn after this one, at the same session
/// time. `future` becomes an id for tea_cx_cancel. The model may store the id in its state. `future` may be NULL.
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

/// Cancels a future message of this model. A repeating one ends for good.
///
/// Fails with TEA_STATUS_NOT_FOUND if its last call has run, or if it was cancelled before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_cancel(cx: *mut tea_cx, future: u64) -> tea_status {
    boundary(|| {
        if with(cx, |cx| Ok(cx.cancel(future)))? {
            return Ok(());
        }
        Err(Failure::new(tea_status::NotFound, format!("no future message {future}")))
    })
}

/// Cancels all future messages to one handler of this model, repeating ones included. `count` becomes their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_cancel_all(
    cx: *mut tea_cx,
    handler: u16,
    count: *mut u64,
) -> tea_status {
    get(cx, count, "count", |cx| cx.cancel_all(handler))
}

/// The session time of this turn, in µs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_now(cx: *const tea_cx, now_us: *mut u64) -> tea_status {
    get(cx, now_us, "now_us", |cx| cx.now().as_micros())
}

/// The id of the model whose callback runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_me(cx: *const tea_cx, model: *mut u64) -> tea_status {
    get(cx, model, "model", |cx| cx.me().0)
}

/// The id of the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_session_id(
    cx: *const tea_cx,
    id: *mut tea_session_id,
) -> tea_status {
    get(cx, id, "id", |cx| tea_session_id { bytes: cx.session_id().0 })
}

/// The participant who sent the event of this turn. The reflector stamps it, so no client can send as another. Events
/// that models publish in the same turn have the same sender.
///
/// Fails with TEA_STATUS_NOT_FOUND in future messages, joins and exits, which have no sender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_sender(cx: *const tea_cx, sender: *mut tea_view_id) -> tea_status {
    boundary(|| {
        let sender = sender.check("sender")?;
        let found = with(cx, |cx| Ok(cx.sender()))?;
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::NotFound, "future messages, joins and exits have no sender")
        })?;
        sender.set(tea_view_id { bytes: found.0 });
        Ok(())
    })
}

/// The number of participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_view_count(cx: *const tea_cx, count: *mut u32) -> tea_status {
    get(cx, count, "count", |cx| cx.view_count())
}

/// 64 random bits, the same for all participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random_u64(cx: *mut tea_cx, number: *mut u64) -> tea_status {
    get(cx, number, "number", |cx| cx.random_u64())
}

/// A random number of 53 bits, at least 0 and less than 1, the same for all participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random(cx: *mut tea_cx, number: *mut f64) -> tea_status {
    get(cx, number, "number", |cx| cx.random())
}

/// A random number below a limit, each equally likely, the same for all participants. It is 0 if the limit is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random_below(
    cx: *mut tea_cx,
    limit: u64,
    number: *mut u64,
) -> tea_status {
    get(cx, number, "number", |cx| cx.random_below(limit))
}

/// Makes a model of the app, by the id of its type. Its init runs within this call. `created` becomes the id of the new
/// model.
///
/// Fails with TEA_STATUS_CREATE_FAILED if the app does not have this type, or if its init failed.
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

/// Destroys a model with its subscriptions, future messages and names.
///
/// Fails with TEA_STATUS_UNKNOWN_MODEL if it does not exist, or if it is the root model, which cannot be destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_destroy(cx: *mut tea_cx, model: u64) -> tea_status {
    boundary(|| {
        if with(cx, |cx| Ok(cx.destroy(ModelId(model))))? {
            return Ok(());
        }
        let message = format!("model {model} does not exist, or is the root model");
        Err(Failure::new(tea_status::UnknownModel, message))
    })
}

/// Asks a query of another model, in C or in Rust. The caller frees the answer with tea_value_free. A model whose handler
/// runs cannot be queried. In the answers of Rust models, structs are maps.
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
        // The bits of a NaN that a model has computed differ between platforms.
        let payload = checked(tea_payload::msgpack(&named))?;
        answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}

/// Gives a model a name, by which all models and views can find it.
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

/// The id of the model with a name.
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
            Failure::new(tea_status::NotFound, format!("no model has the name {name:?}"))
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
