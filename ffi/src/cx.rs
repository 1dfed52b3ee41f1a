//! The context of a running handler, for models in C.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use teatime::{Duration, NotInModelError, Source, UntypedCx};

use crate::boundary::boundary;
use crate::ids::{tea_session_id, tea_view_id};
use crate::out::{Check, Slot, null};
use crate::payload::tea_payload;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;
use crate::value::checked;

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

/// The topic of the event that the running handler hears. The texts are valid until the callback returns. They are never
/// *, so a handler that subscribed to * learns here what it hears. `model` becomes the model that published the event, or
/// 0 if a participant did, who is the sender, or if it is a join or an exit. `model` may be NULL.
///
/// What the handler publishes comes with its own topic, after the handler has returned. In the init of a model that the
/// handler makes, the topic is the same. Joins and exits have the session id as scope, and view-join or view-exit as event.
///
/// Fails with TEA_STATUS_NOT_FOUND in future messages and in the init of the root model, which hear no event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_topic(
    cx: *const tea_cx,
    scope: *mut tea_str,
    event: *mut tea_str,
    model: *mut u64,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.check("scope")?, event.check("event")?);
        let topic = with(cx, |cx| Ok(cx.topic()))?;
        let topic =
            topic.ok_or_else(|| Failure::new(tea_status::NotFound, "this is not an event"))?;
        // The virtual machine holds both texts until the handler has returned.
        scope.set((&*topic.scope).into());
        event.set((&*topic.event).into());
        if let Ok(model) = model.check("model") {
            model.set(published_by(topic.source));
        }
        Ok(())
    })
}

/// The model that published an event, as C gets it.
pub(crate) fn published_by(source: Source) -> u64 {
    match source {
        Source::Model(model) => model.0,
        Source::View(_) | Source::Reflector => 0,
    }
}

/// The number of participants.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_view_count(cx: *const tea_cx, count: *mut u32) -> tea_status {
    get(cx, count, "count", |cx| cx.view_count())
}

/// The participants, in the order in which they joined: their ids to `views`, and their number to `count`.
///
/// Fails with TEA_STATUS_BUFFER_TOO_SMALL if there are more than `capacity`: see tea_cx_view_count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_views(
    cx: *const tea_cx,
    views: *mut tea_view_id,
    capacity: usize,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        if views.is_null() {
            return Err(null("views"));
        }
        with(cx, |cx| {
            let there = cx.view_count() as usize;
            if there > capacity {
                let message = format!("{there} participants do not fit into {capacity} places");
                return Err(Failure::new(tea_status::BufferTooSmall, message));
            }
            for (at, view) in cx.views().enumerate() {
                // SAFETY: the caller of every export promises room for `capacity` ids.
                unsafe { views.add(at).write(tea_view_id { bytes: view.0 }) };
            }
            count.set(there);
            Ok(())
        })
    })
}

/// Succeeds if this context belongs to the callback of a model that runs: for code that cannot know its caller.
///
/// Fails with TEA_STATUS_NOT_IN_MODEL, also if `cx` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_model_only(cx: *const tea_cx) -> tea_status {
    boundary(|| {
        let outside = |error: &dyn std::fmt::Display| Failure::new(tea_status::NotInModel, error);
        if cx.is_null() {
            return Err(outside(&NotInModelError));
        }
        with(cx, |cx| cx.model_only().map_err(|error| outside(&error)))
    })
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

/// A random number from `low` to `high` inclusive, each equally likely, the same for all participants. It is `low` if
/// `high` is less.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_random_range(
    cx: *mut tea_cx,
    low: i64,
    high: i64,
    number: *mut i64,
) -> tea_status {
    get(cx, number, "number", |cx| cx.random_range(low, high))
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
