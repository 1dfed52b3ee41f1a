//! Sessions: join, step, publish, subscribe, leave.

use std::ffi::c_void;
use std::time::Duration;

use parking_lot::Mutex;
use teatime::{ConnectionState, Driver, Handling, Receipt, StateHash, SubscriptionId};

use crate::boundary::boundary;
use crate::config::{Config, tea_config};
use crate::event::Batch;
use crate::handle::{Held, held};
use crate::ids::{tea_hash, tea_session_id, tea_view_id};
use crate::out::{Check, null};
use crate::payload::tea_payload;
use crate::shared::SharedSession;
use crate::status::{Failure, Result, of_disconnect, tea_status};
use crate::text::tea_str;
use crate::value::checked;
use crate::wake::{callback, tea_waker};

/// A session that has been joined, or is on the way to it. Free it with tea_session_free; that
/// leaves it.
///
/// Call tea_session_step often, and then pull with tea_session_poll what it has brought. Any thread
/// may call: calls on one session take turns. What a callback of a model calls on the session that
/// it belongs to is TEA_STATUS_REENTRANT, but for tea_session_fd, tea_session_set_waker, and
/// tea_session_free, which frees it when the step is over.
pub struct tea_session {
    _opaque: [u8; 0],
}

/// How a session stands with its reflector.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
pub enum tea_connection {
    /// It tries to reach the reflector for the first time.
    Connecting = 0,
    /// It has been let in and loads the session.
    CatchingUp = 1,
    /// The model runs, and a view can be built from it.
    Live = 2,
    /// The connection broke; the model stands still until it is back.
    Reconnecting = 3,
    /// It has left.
    Left = 4,
    /// It has given up: trying again would end the same way.
    Failed = 5,
}

impl From<ConnectionState> for tea_connection {
    fn from(state: ConnectionState) -> Self {
        match state {
            ConnectionState::Connecting => Self::Connecting,
            ConnectionState::CatchingUp => Self::CatchingUp,
            ConnectionState::Live => Self::Live,
            ConnectionState::Reconnecting => Self::Reconnecting,
            ConnectionState::Left => Self::Left,
            ConnectionState::Failed => Self::Failed,
        }
    }
}

/// When a subscriber gets its events.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_handling {
    /// Each of them, in order.
    Queued = 0,
    /// Only the newest since the last pull, after everything queued.
    OncePerFrame = 1,
}

/// A session, and what C has pulled of it.
pub(crate) struct Session {
    pub(crate) shared: SharedSession,
    /// Changed only in a turn of the session.
    pub(crate) batch: Mutex<Batch>,
}

held!(Session, tea_session, "tea_session");

/// Runs something with a session that nobody else uses meanwhile.
pub(crate) fn with<R>(
    session: *const tea_session,
    run: impl FnOnce(&mut Driver) -> Result<R>,
) -> Result<R> {
    Session::with(session, |session| session.shared.with(run))
}

/// Reads something of a session.
fn get<T>(
    session: *const tea_session,
    out: *mut T,
    name: &str,
    get: impl FnOnce(&mut Driver) -> T,
) -> tea_status {
    boundary(|| {
        let out = out.check(name)?;
        with(session, |driver| {
            out.set(get(driver));
            Ok(())
        })
    })
}

/// Starts to join a session through the reflector at this address, such as ws://127.0.0.1:9090 or
/// wss://example.org.
/// Returns at once: the first steps connect, catch up, and bring a TEA_EVENT_KIND_VIEW_READY. With a
/// password deriving the keys takes some 30 ms.
///
/// Fails with TEA_STATUS_BAD_ADDRESS, TEA_STATUS_BAD_CERTIFICATES or TEA_STATUS_IO. What goes wrong later comes as
/// TEA_EVENT_KIND_CONNECTION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_join(
    config: *const tea_config,
    reflector: tea_str,
    session: *mut *mut tea_session,
) -> tea_status {
    boundary(|| {
        let session = session.check("session")?;
        let reflector = reflector.get("reflector")?;
        let config = Config::with(config, Config::checked)?;
        let shared = SharedSession::join(config, reflector)?;
        session.set(Session { shared, batch: Mutex::default() }.hand_out()?);
        Ok(())
    })
}

/// Takes in what has arrived and simulates it, for at most about `budget_us` µs: a frame's share
/// where frames are drawn, 200,000 where nobody waits. Models written in C are called from here.
///
/// It never goes past a TEA_EVENT_KIND_VIEW_READY that was not pulled: whoever pulls it reads the model
/// as it stood then and misses nothing of what follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_step(session: *mut tea_session, budget_us: u64) -> tea_status {
    boundary(|| {
        Session::with(session, |session| {
            let budget = Duration::from_micros(budget_us);
            session.shared.step(budget, || session.batch.lock().clear())
        })
    })
}

/// Waits until a step is worthwhile, at most `at_most_us` µs. Calls of other threads go on
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_wait(
    session: *mut tea_session,
    at_most_us: u64,
) -> tea_status {
    boundary(|| {
        Session::with(session, |session| session.shared.wait(Duration::from_micros(at_most_us)))
    })
}

/// In how many µs a step is worthwhile even if nothing arrives: the timeout for the poll of an event
/// loop. UINT64_MAX stands for never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_next_due(
    session: *const tea_session,
    due_us: *mut u64,
) -> tea_status {
    get(session, due_us, "due_us", |driver| {
        let due = driver.next_due().map(|due| due.as_micros());
        due.map_or(u64::MAX, |due| u64::try_from(due).unwrap_or(u64::MAX))
    })
}

/// A file descriptor that is readable when a step is worthwhile: give it to poll, epoll, kqueue or
/// select, and do nothing else with it. It belongs to the session and ends with it.
///
/// Fails with TEA_STATUS_UNSUPPORTED on Windows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_fd(session: *const tea_session, fd: *mut i32) -> tea_status {
    boundary(|| {
        let fd = fd.check("fd")?;
        Session::with(session, |session| {
            fd.set(session.shared.wake.fd()?);
            Ok(())
        })
    })
}

/// Sets what is called, from a background thread, when a step is worthwhile; NULL for nothing. It
/// is also called once at once, for what has arrived before. When this returns, the one before is
/// not called any more: do not hold a lock that it takes. `user_data` is passed to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_set_waker(
    session: *mut tea_session,
    waker: tea_waker,
    user_data: *mut c_void,
) -> tea_status {
    boundary(|| {
        Session::with(session, |session| {
            session.shared.wake.set_callback(callback(waker, user_data));
            session.shared.wake.signal();
            Ok(())
        })
    })
}

/// Sends an event to the models of all participants, this one's included: it comes back with its
/// place in the order, and no model changes before. While the connection is broken it is kept and
/// sent later. `receipt` is for tea_session_is_applied; it may be NULL if nobody wants it.
///
/// Fails with TEA_STATUS_NOT_JOINED before the first connection, TEA_STATUS_OVER after the end,
/// TEA_STATUS_TOO_FAST if too much waits, TEA_STATUS_TOO_LARGE, or TEA_STATUS_BAD_FORMAT. Then
/// nothing was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_publish(
    session: *mut tea_session,
    scope: tea_str,
    event: tea_str,
    data: tea_payload,
    receipt: *mut u64,
) -> tea_status {
    boundary(|| {
        let receipt = receipt.check("receipt").ok();
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let data = data.to_whole_msgpack()?;
        let made = Session::with(session, |session| session.shared.publish(scope, event, &data))?;
        if let Some(receipt) = receipt {
            receipt.set(made.0);
        }
        Ok(())
    })
}

/// Sends an event to the subscriptions of this session object only; it never leaves the process. Fails
/// with TEA_STATUS_TOO_FAST if too many wait to be pulled already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_publish_to_views(
    session: *mut tea_session,
    scope: tea_str,
    event: tea_str,
    data: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(data)?;
        with(session, |driver| Ok(driver.publish_to_views(scope, event, payload)?))
    })
}

/// Whether the model has handled a published event: it has come back and was simulated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_is_applied(
    session: *const tea_session,
    receipt: u64,
    applied: *mut bool,
) -> tea_status {
    get(session, applied, "applied", |driver| driver.client().is_applied(Receipt(receipt)))
}

/// Listens to what models and this client publish; the text * stands for every scope or event. The
/// handling is a tea_handling. `subscription` becomes what its events are marked with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_subscribe(
    session: *mut tea_session,
    scope: tea_str,
    event: tea_str,
    handling: i32,
    subscription: *mut u64,
) -> tea_status {
    boundary(|| {
        let subscription = subscription.check("subscription")?;
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let handling = match handling {
            0 => Handling::Queued,
            1 => Handling::OncePerFrame,
            _ => {
                let message = format!("there is no handling {handling}");
                return Err(Failure::new(tea_status::InvalidArgument, message));
            }
        };
        with(session, |driver| {
            subscription.set(driver.subscribe(scope, event, handling).0);
            Ok(())
        })
    })
}

/// Ends a subscription; what waits for it is dropped. Does nothing if it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_unsubscribe(
    session: *mut tea_session,
    subscription: u64,
) -> tea_status {
    boundary(|| {
        with(session, |driver| {
            driver.unsubscribe(SubscriptionId(subscription));
            Ok(())
        })
    })
}

/// Asks for a vote of all participants on their state hash. The answers come as TEA_EVENT_KIND_STATE and
/// TEA_EVENT_KIND_VERDICT.
///
/// Fails with TEA_STATUS_NOT_JOINED while there is no connection, TEA_STATUS_OVER after the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_request_vote(session: *mut tea_session) -> tea_status {
    boundary(|| with(session, |driver| Ok(driver.request_vote()?)))
}

/// The hash of this client's state as it stands. It takes a snapshot: some 15 ms for 10,000 models.
/// To compare clients ask for a vote, which takes it at the same point everywhere.
///
/// Fails with TEA_STATUS_NOT_JOINED while there is no model, with TEA_STATUS_ENCODING if a model in
/// C cannot be saved.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_state_hash(
    session: *const tea_session,
    hash: *mut tea_hash,
) -> tea_status {
    boundary(|| {
        let hash = hash.check("hash")?;
        with(session, |driver| {
            let made = model(driver)?.hash();
            let StateHash(bytes) =
                made.map_err(|error| Failure::new(tea_status::Encoding, error))?;
            hash.set(tea_hash { bytes });
            Ok(())
        })
    })
}

/// The model, while there is one.
pub(crate) fn model(driver: &Driver) -> Result<&teatime::Vm> {
    driver.client().vm().ok_or_else(|| {
        Failure::new(tea_status::NotJoined, "there is no model: the session is not joined")
    })
}

/// The session time in µs up to which the model has been simulated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.client().now().as_micros())
}

/// The newest session time in µs that the reflector has told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_external_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.client().external_now().as_micros())
}

/// An estimate of the session time in µs at this moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_extrapolated_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.extrapolated_now().as_micros())
}

/// 64 random bits of this client, which no model sees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_random_u64(
    session: *mut tea_session,
    number: *mut u64,
) -> tea_status {
    get(session, number, "number", |driver| driver.random_u64())
}

/// Identity of the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_id_of(
    session: *const tea_session,
    id: *mut tea_session_id,
) -> tea_status {
    get(session, id, "id", |driver| tea_session_id { bytes: driver.client().session_id().0 })
}

/// Identity of this view.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_view_id(
    session: *const tea_session,
    id: *mut tea_view_id,
) -> tea_status {
    get(session, id, "id", |driver| tea_view_id { bytes: driver.client().view_id().0 })
}

/// How the session stands with its reflector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_connection(
    session: *const tea_session,
    state: *mut tea_connection,
) -> tea_status {
    get(session, state, "state", |driver| driver.client().connection_state().into())
}

/// Why the session has given up, if it has: returns that status, with its message. Otherwise it is
/// TEA_STATUS_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_failure(session: *const tea_session) -> tea_status {
    boundary(|| {
        with(session, |driver| match driver.client().failure() {
            Some(reason) => Err(Failure::new(of_disconnect(reason), reason)),
            None => Ok(()),
        })
    })
}

/// How far the catch-up is, from 0 to 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_progress(
    session: *const tea_session,
    progress: *mut f32,
) -> tea_status {
    get(session, progress, "progress", |driver| driver.client().progress())
}

/// Whether the model is up to date with the reflector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_synced(
    session: *const tea_session,
    synced: *mut bool,
) -> tea_status {
    get(session, synced, "synced", |driver| driver.client().is_synced())
}

/// Whether the root model has persisted something that the reflector has not stored yet: a later
/// version of the app would begin with what was stored before. The session asks for it by itself;
/// TEA_EVENT_KIND_PERSISTED and TEA_EVENT_KIND_NOT_PERSISTED tell what becomes of it. false while there
/// is no model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_unpersisted(
    session: *const tea_session,
    unpersisted: *mut bool,
) -> tea_status {
    get(session, unpersisted, "unpersisted", |driver| driver.client().has_unpersisted())
}

/// The newest version of the app that is used in this room, or has been, if it is newer than this one;
/// otherwise 0. TEA_EVENT_KIND_NEWER_VERSION tells when that changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_newer_version(
    session: *const tea_session,
    version: *mut u32,
) -> tea_status {
    get(session, version, "version", |driver| driver.client().newer_version().unwrap_or(0))
}

/// How many views there are, this one included.
///
/// Fails with TEA_STATUS_NOT_JOINED while there is no model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_participants(
    session: *const tea_session,
    count: *mut u32,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        with(session, |driver| {
            count.set(model(driver)?.view_count());
            Ok(())
        })
    })
}

/// The views that there are, in the order in which they came. `views` has room for `capacity` of
/// them; `count` becomes how many there are.
///
/// Fails with TEA_STATUS_NOT_JOINED while there is no model, with TEA_STATUS_BUFFER_TOO_SMALL if
/// the room does not suffice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_views(
    session: *const tea_session,
    views: *mut tea_view_id,
    capacity: usize,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        if views.is_null() {
            return Err(null("views"));
        }
        with(session, |driver| {
            let model = model(driver)?;
            let there = model.view_count() as usize;
            if there > capacity {
                let message = format!("{there} views need room");
                return Err(Failure::new(tea_status::BufferTooSmall, message));
            }
            for (at, view) in model.views().enumerate() {
                // SAFETY: the caller of every export promises that there is the room it says.
                unsafe { views.add(at).write(tea_view_id { bytes: view.0 }) };
            }
            count.set(there);
            Ok(())
        })
    })
}

/// Makes a new connection at once, for a program that knows that the line is dead before silence
/// tells, as when the computer has slept. Others see an exit only if that takes longer than the
/// reflector's rejoin limit. What is being published is sent anew: nothing is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_reconnect(session: *mut tea_session) -> tea_status {
    boundary(|| Session::with(session, |session| session.shared.reconnect()))
}

/// Leaves for good; the others see it at once. Does nothing the second time. The session object
/// stays until it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_leave(session: *mut tea_session) -> tea_status {
    boundary(|| Session::with(session, |session| session.shared.leave()))
}

/// Leaves a session and frees it, after everything published has been sent: up to half a second if
/// the line is dead. Where another thread is in a call of it, it goes when that returns; a
/// tea_session_wait returns at once. When this returns the waker is not called any more: do not hold
/// a lock that the waker takes. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_free(session: *mut tea_session) -> tea_status {
    boundary(|| {
        Session::with(session, |session| {
            // Here, not when the object goes: that may be later, if another thread uses it.
            session.shared.close();
            Ok(())
        })?;
        Session::free(session)
    })
}
