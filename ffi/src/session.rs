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
use crate::presence::Fetched;
use crate::shared::SharedSession;
use crate::status::{Failure, Result, of_disconnect, tea_status};
use crate::text::tea_str;
use crate::value::checked;
use crate::wake::{callback, tea_waker};

/// A session that has joined, or is about to. Free it with tea_session_free, which also leaves it.
///
/// Call tea_session_step often, and after each step poll the events with tea_session_poll. Any thread may call;
/// calls on one session take turns. A model's callback must not use its own session: such calls fail with
/// TEA_STATUS_REENTRANT. Three functions are allowed there: tea_session_fd, tea_session_set_waker, and
/// tea_session_free, which frees the session when the step is over.
#[derive(Debug)]
pub struct tea_session {
    _opaque: [u8; 0],
}

/// The state of the connection between a session and its reflector.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
pub enum tea_connection {
    /// The session tries to reach the reflector for the first time.
    Connecting = 0,
    /// The reflector has let the session in, and it loads its state.
    CatchingUp = 1,
    /// The model runs. A view can be built from it.
    Live = 2,
    /// The connection broke. The model stands still until there is another.
    Reconnecting = 3,
    /// The session has left.
    Left = 4,
    /// The session has given up, because another attempt would fail the same way.
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

/// Which of its events a subscriber gets.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_handling {
    /// All, in order.
    Queued = 0,
    /// The newest since the last poll, after all queued events.
    OncePerFrame = 1,
}

/// A session, and the events that C has polled from it.
pub(crate) struct Session {
    pub(crate) shared: SharedSession,
    /// Changed only in a turn of the session.
    pub(crate) batch: Mutex<Batch>,
    /// Changed only in a turn of the session.
    pub(crate) fetched: Fetched,
}

held!(Session, tea_session, "tea_session");

/// Runs something with a session, in this thread's turn.
pub(crate) fn with<R>(
    session: *const tea_session,
    run: impl FnOnce(&mut Driver) -> Result<R>,
) -> Result<R> {
    Session::with(session, |session| session.shared.with(run))
}

/// Reads a value of a session.
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
/// wss://example.org. Returns at once: the first steps connect, catch up, and lead to
/// TEA_EVENT_KIND_VIEW_READY. If there is a password, deriving the keys takes about 30 ms. The config may be changed
/// or freed afterwards. The caller frees the session with tea_session_free.
///
/// Fails with TEA_STATUS_BAD_ADDRESS, TEA_STATUS_BAD_CERTIFICATES or TEA_STATUS_IO, or with the status of what is
/// wrong with the config. Later errors arrive as TEA_EVENT_KIND_CONNECTION.
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
        let (batch, fetched) = (Mutex::default(), Mutex::default());
        session.set(Session { shared, batch, fetched }.hand_out()?);
        Ok(())
    })
}

/// Takes in what has arrived and simulates it, for about `budget_us` µs of real time at most. Use a part of the frame
/// time in a program that draws frames, and 200,000 in one that does not. Models written in C are called from here.
///
/// A step stops at a TEA_EVENT_KIND_VIEW_READY until it is polled. So the view reads the model as it stood then,
/// and misses none of the events that follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_step(session: *mut tea_session, budget_us: u64) -> tea_status {
    boundary(|| {
        Session::with(session, |session| {
            let budget = Duration::from_micros(budget_us);
            session.shared.step(budget, || session.batch.lock().clear())
        })
    })
}

/// Waits until a step has work to do, for `at_most_us` µs of real time at most. Other threads can use the session
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

/// The real time in µs after which the next step has work to do even if nothing arrives: the timeout for an event
/// loop. UINT64_MAX means never.
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

/// A file descriptor that is readable when a step has work to do. Pass it to poll, epoll, kqueue or select; do not
/// read or close it. It belongs to the session and ends with it.
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

/// Sets the function that a background thread calls when a step has work to do; NULL for none. This call also calls
/// it once immediately. `user_data` is passed to it. After this call returns, the previous waker is not called
/// again. So do not hold a lock here that the previous waker takes.
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

/// Sends an event to the models of all participants, this one included. The event comes back with its place in the
/// order, and no model changes before that. While the connection is broken, the event waits and is sent later.
/// `receipt` is for tea_session_is_applied and may be NULL. The payload is copied.
///
/// Fails with TEA_STATUS_NOT_JOINED before the first connection, TEA_STATUS_OVER after the end, TEA_STATUS_TOO_FAST
/// if too many events wait, TEA_STATUS_TOO_LARGE, or TEA_STATUS_BAD_FORMAT. After a failure nothing was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_publish(
    session: *mut tea_session,
    scope: tea_str,
    event: tea_str,
    payload: tea_payload,
    receipt: *mut u64,
) -> tea_status {
    boundary(|| {
        let receipt = receipt.check("receipt").ok();
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = payload.to_whole_msgpack()?;
        let made =
            Session::with(session, |session| session.shared.publish(scope, event, &payload))?;
        if let Some(receipt) = receipt {
            receipt.set(made.0);
        }
        Ok(())
    })
}

/// Sends an event to the subscriptions of this session object. It does not leave the process.
///
/// Fails with TEA_STATUS_TOO_FAST if too many events wait to be polled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_publish_to_views(
    session: *mut tea_session,
    scope: tea_str,
    event: tea_str,
    payload: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(payload)?;
        with(session, |driver| Ok(driver.publish_to_views(scope, event, payload)?))
    })
}

/// Whether the model has handled a published event: it has come back and has been simulated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_is_applied(
    session: *const tea_session,
    receipt: u64,
    applied: *mut bool,
) -> tea_status {
    get(session, applied, "applied", |driver| driver.is_applied(Receipt(receipt)))
}

/// Subscribes to what models, and tea_session_publish_to_views, publish. The text * matches every scope or event.
/// `handling` is a tea_handling. Writes the id that the events of this subscription carry to `subscription`.
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
                let message = format!("{handling} is not a tea_handling");
                return Err(Failure::new(tea_status::InvalidArgument, message));
            }
        };
        with(session, |driver| {
            subscription.set(driver.subscribe(scope, event, handling).0);
            Ok(())
        })
    })
}

/// Ends a subscription and drops its waiting events. Does nothing if it has ended already.
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

/// Asks all participants to vote on their state hash. The answers arrive as TEA_EVENT_KIND_STATE and
/// TEA_EVENT_KIND_VERDICT.
///
/// Fails with TEA_STATUS_NOT_JOINED without a connection, TEA_STATUS_OVER after the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_request_vote(session: *mut tea_session) -> tea_status {
    boundary(|| with(session, |driver| Ok(driver.request_vote()?)))
}

/// The hash of this client's state as it stands now. This takes a snapshot: about 15 ms for 10,000 models. To compare
/// clients, request a vote instead: it hashes all of them at the same point.
///
/// Fails with TEA_STATUS_NOT_JOINED before there is a model, and with TEA_STATUS_ENCODING if a model in C cannot be
/// saved.
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
    driver.vm().ok_or_else(|| {
        Failure::new(tea_status::NotJoined, "no model yet: the session has not joined")
    })
}

/// The session time in µs up to which the model has been simulated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.now().as_micros())
}

/// The newest session time in µs that the reflector has sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_external_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.external_now().as_micros())
}

/// An estimate of the session time now, in µs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_extrapolated_now(
    session: *const tea_session,
    now_us: *mut u64,
) -> tea_status {
    get(session, now_us, "now_us", |driver| driver.extrapolated_now().as_micros())
}

/// 64 random bits of this client. They are not part of the replicated random stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_random_u64(
    session: *mut tea_session,
    number: *mut u64,
) -> tea_status {
    get(session, number, "number", |driver| driver.random_u64())
}

/// The id of the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_id_of(
    session: *const tea_session,
    id: *mut tea_session_id,
) -> tea_status {
    get(session, id, "id", |driver| tea_session_id { bytes: driver.session_id().0 })
}

/// The id of this view.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_view_id(
    session: *const tea_session,
    id: *mut tea_view_id,
) -> tea_status {
    get(session, id, "id", |driver| tea_view_id { bytes: driver.view_id().0 })
}

/// The state of the connection to the reflector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_connection(
    session: *const tea_session,
    state: *mut tea_connection,
) -> tea_status {
    get(session, state, "state", |driver| driver.connection_state().into())
}

/// Why the session has given up: returns that status, and tea_last_error its message. TEA_STATUS_OK if it has not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_failure(session: *const tea_session) -> tea_status {
    boundary(|| {
        with(session, |driver| match driver.failure() {
            Some(reason) => Err(Failure::new(of_disconnect(reason), reason)),
            None => Ok(()),
        })
    })
}

/// The progress of the catch-up, from 0 to 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_progress(
    session: *const tea_session,
    progress: *mut f32,
) -> tea_status {
    get(session, progress, "progress", |driver| driver.progress())
}

/// Whether the model is up to date with the reflector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_is_synced(
    session: *const tea_session,
    synced: *mut bool,
) -> tea_status {
    get(session, synced, "synced", |driver| driver.is_synced())
}

/// Whether the root model has persisted data that the reflector has not stored yet. Until it has, a later version of
/// the app would begin with what was stored before. The session requests storing by itself;
/// TEA_EVENT_KIND_PERSISTED and TEA_EVENT_KIND_NOT_PERSISTED report the result. false before there is a model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_has_unpersisted(
    session: *const tea_session,
    unpersisted: *mut bool,
) -> tea_status {
    get(session, unpersisted, "unpersisted", |driver| driver.has_unpersisted())
}

/// The newest version of the app that is or was in this room, if it is newer than this one; otherwise 0.
/// TEA_EVENT_KIND_NEWER_VERSION reports each change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_newer_version(
    session: *const tea_session,
    version: *mut u32,
) -> tea_status {
    get(session, version, "version", |driver| driver.newer_version().unwrap_or(0))
}

/// The number of participants, this one included.
///
/// Fails with TEA_STATUS_NOT_JOINED before there is a model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_participant_count(
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

/// The ids of all participants, in the order in which they joined. `views` has room for `capacity` ids. Writes their
/// number to `count`.
///
/// Fails with TEA_STATUS_NOT_JOINED before there is a model, and with TEA_STATUS_BUFFER_TOO_SMALL if `capacity` is
/// less than the number of participants.
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
                let message = format!("{there} participants do not fit into {capacity} places");
                return Err(Failure::new(tea_status::BufferTooSmall, message));
            }
            for (at, view) in model.views().enumerate() {
                // SAFETY: the caller of every export promises room for `capacity` ids.
                unsafe { views.add(at).write(tea_view_id { bytes: view.0 }) };
            }
            count.set(there);
            Ok(())
        })
    })
}

/// The app goes to the background, where the system may freeze it at any moment: the other participants see this one exit
/// after `milliseconds`, an hour at most by default, whether the program still runs then or not. The message leaves on
/// another thread, within milliseconds; without a working connection the reflector's rejoin limit counts. A connection that
/// ends meanwhile is not made again: when the app is back it must call tea_session_reconnect(), even if the connection
/// still stands. If that comes in time, the others notice nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_leave_after(
    session: *mut tea_session,
    milliseconds: u32,
) -> tea_status {
    let pause = Duration::from_millis(milliseconds.into());
    boundary(|| Session::with(session, |session| session.shared.leave_after(pause)))
}

/// Drops the connection and makes a new one now. Call it when the program knows that the connection is dead, for
/// example after the computer has slept. Other participants see an exit only if the new connection takes longer than
/// the reflector's rejoin limit. Published events that have not come back are sent again: none is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_reconnect(session: *mut tea_session) -> tea_status {
    boundary(|| Session::with(session, |session| session.shared.reconnect()))
}

/// Leaves for good. The other participants see the exit immediately. Does nothing the second time. The session object
/// stays valid until it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_leave(session: *mut tea_session) -> tea_status {
    boundary(|| Session::with(session, |session| session.shared.leave()))
}

/// Leaves a session and frees it. Waits until everything published has been sent, for half a second at most. If
/// another thread is in a call on the session, the session is freed when that call returns; a tea_session_wait
/// returns at once. After this call returns, the waker is not called again. So do not hold a lock here that the
/// waker takes. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_free(session: *mut tea_session) -> tea_status {
    boundary(|| {
        Session::with(session, |session| {
            // Not when the object is dropped: that may be later, if another thread uses it.
            session.shared.close();
            Ok(())
        })?;
        Session::free(session)
    })
}
