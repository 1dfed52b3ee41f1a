//! Events: what a session tells, pulled in batches.

use std::ops::Range;

use teatime::{Delivery, Handling, NotPersisted, SessionEvent};

use crate::boundary::boundary;
use crate::handle::Held;
use crate::ids::{tea_hash, tea_view_id};
use crate::out::{Check, null};
use crate::payload::{format_of, tea_format, tea_payload};
use crate::session::{Session, tea_connection, tea_session};
use crate::status::{of_disconnect, tea_status};
use crate::text::tea_str;
use crate::value::append_payload;

/// What an event tells. Later versions may add more: skip what you do not know.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_event_kind {
    /// Somebody published on a topic that you subscribed to: subscription, scope, event, data. If
    /// the data cannot be expressed in the format that you asked for it is nil, and status and
    /// message say so.
    Published = 1,
    /// The connection changed its state: connection; if it got worse, status and message say why.
    Connection = 2,
    /// Build your view from the model as it stands now, before the next step.
    ViewReady = 3,
    /// The model is gone: what you know of it is stale until the next TEA_EVENT_KIND_VIEW_READY.
    ViewLost = 4,
    /// The model caught up with the reflector (flag), or fell behind (not flag).
    Synced = 5,
    /// The hash of this client's state at the point of a vote: seq, time_us, hash.
    State = 6,
    /// How a vote ended: seq, agreed, of; the majority's hash if flag. With a password a foreign
    /// hash is known only in a sealed form, then there is none.
    Verdict = 7,
    /// A handler failed, on every participant alike, and its turn was undone: seq, time_us, model (0 if it was in none),
    /// sender if flag, message.
    Fault = 8,
    /// The reflector asks senders to pause (flag), or lets them go on (not flag).
    Held = 9,
    /// This client's state was not the right one, and has been replaced: seq and time_us of the vote that
    /// found it, the wrong state's hash. If flag there is a file of evidence, and message is its path; if
    /// it could not be written status and message say why. See tea_config_set_evidence_dir.
    Diverged = 10,
    /// What the root model has persisted is stored: seq of the vote that it was part of. See
    /// tea_cx_persist.
    Persisted = 11,
    /// A newer version of the app is used in this room, or has been: version. It has a session of its
    /// own, which began with what was persisted by then; what is done here does not get there. message
    /// tells the user to update.
    NewerVersion = 12,
    /// What the root model has persisted is not stored: a later version of the app would begin with what
    /// was stored before. If the reflector cannot store it status is TEA_STATUS_NOT_STORED, and it
    /// tries again, unless what it has stored is damaged; otherwise newer versions have persisted. message says so to people. It comes once,
    /// and again after something else was stored.
    NotPersisted = 13,
}

/// An event. Which members mean something depends on the kind; the others are zero or empty. Texts
/// and data live until the next step, poll or free of the session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_event {
    /// What it tells.
    pub kind: tea_event_kind,
    /// Why, if something went wrong.
    pub status: tea_status,
    /// How the session stands with its reflector.
    pub connection: tea_connection,
    /// Yes or no.
    pub flag: bool,
    /// What tea_session_subscribe gave.
    pub subscription: u64,
    /// Scope of the topic.
    pub scope: tea_str,
    /// Event of the topic.
    pub event: tea_str,
    /// What was published.
    pub data: tea_payload,
    /// For people.
    pub message: tea_str,
    /// Sequence number.
    pub seq: u64,
    /// Session time in µs.
    pub time_us: u64,
    /// Id of the model.
    pub model: u64,
    /// Who sent the event that led to it.
    pub sender: tea_view_id,
    /// Hash of the state.
    pub hash: tea_hash,
    /// How many agreed.
    pub agreed: u32,
    /// How many were asked.
    pub of: u32,
    /// The version of an app.
    pub version: u32,
}

impl tea_event {
    fn new(kind: tea_event_kind) -> Self {
        Self {
            kind,
            status: tea_status::Ok,
            connection: tea_connection::Connecting,
            flag: false,
            subscription: 0,
            scope: tea_str::EMPTY,
            event: tea_str::EMPTY,
            data: tea_payload::msgpack(&[]),
            message: tea_str::EMPTY,
            seq: 0,
            time_us: 0,
            model: 0,
            sender: tea_view_id { bytes: [0; 16] },
            hash: tea_hash { bytes: [0; 32] },
            agreed: 0,
            of: 0,
            version: 0,
        }
    }
}

/// What the pulled events point to.
#[derive(Default)]
pub(crate) struct Batch {
    /// Keep the topics' names alive.
    deliveries: Vec<Delivery>,
    /// Data and messages, one after the other.
    bytes: Vec<u8>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.deliveries.clear();
        self.bytes.clear();
    }

    fn message(&mut self, message: impl std::fmt::Display) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend(message.to_string().bytes());
        start..self.bytes.len()
    }
}

/// Pulls what has happened, oldest first: what concerns the session, then what was published and
/// subscribed to. Writes at most `capacity` events; `count` becomes how many. If that is
/// `capacity`, more may wait. Data comes in the tea_format that is wanted.
///
/// Subscribe before the first step, or when TEA_EVENT_KIND_VIEW_READY is pulled. While 1024
/// events wait that concern the session, or 65,536 that were published, the model stands still; then so
/// much gathers that the client gives up its connection, with TEA_STATUS_TOO_SLOW.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_poll(
    session: *mut tea_session,
    format: i32,
    events: *mut tea_event,
    capacity: usize,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        if events.is_null() {
            return Err(null("events"));
        }
        let format = format_of(format)?;
        let mut wake = false;
        Session::with(session, |session| {
            session.shared.with(|driver| {
                let batch = &mut *session.batch.lock();
                batch.clear();
                // Where the bytes of each event begin and end: they move while more come.
                let mut spans = Vec::new();
                while spans.len() < capacity
                    && let Some(told) = driver.poll_event()
                {
                    wake |= matches!(told, SessionEvent::ViewReady);
                    let (event, message) = of_session(batch, told);
                    // SAFETY: the caller of every export promises that there is the room it says.
                    unsafe { events.add(spans.len()).write(event) };
                    spans.push(message);
                }
                let session_events = spans.len();
                for handling in [Handling::Queued, Handling::OncePerFrame] {
                    while spans.len() < capacity
                        && let Some(delivery) = driver.poll_delivery(handling)
                    {
                        let (event, bytes) = published(batch, delivery, format);
                        // SAFETY: as above.
                        unsafe { events.add(spans.len()).write(event) };
                        spans.push(bytes);
                    }
                }
                for (at, span) in spans.iter().enumerate() {
                    let bytes = &batch.bytes[span.clone()];
                    // SAFETY: as above, and it was written above.
                    let event = unsafe { &mut *events.add(at) };
                    if at < session_events || event.status != tea_status::Ok {
                        event.message = tea_str { ptr: bytes.as_ptr().cast(), len: bytes.len() };
                    } else {
                        event.data =
                            tea_payload { format: format as i32, ..tea_payload::msgpack(bytes) };
                    }
                }
                count.set(spans.len());
                Ok(())
            })?;
            if wake {
                // The model may go on now, and another thread may be the one that steps.
                session.shared.wake.signal();
            }
            Ok(())
        })
    })
}

fn published(
    batch: &mut Batch,
    delivery: Delivery,
    format: tea_format,
) -> (tea_event, Range<usize>) {
    let mut event = tea_event::new(tea_event_kind::Published);
    event.subscription = delivery.subscription.0;
    event.scope = (&*delivery.scope).into();
    event.event = (&*delivery.event).into();
    let start = batch.bytes.len();
    let appended = append_payload(&mut batch.bytes, &delivery.payload, format);
    batch.deliveries.push(delivery);
    match appended {
        Ok(()) => (event, start..batch.bytes.len()),
        Err(failure) => {
            batch.bytes.truncate(start);
            event.status = failure.status;
            (event, batch.message(failure.message))
        }
    }
}

fn of_session(batch: &mut Batch, told: SessionEvent) -> (tea_event, Range<usize>) {
    let mut message = 0..0;
    let event = match told {
        SessionEvent::Connection(state, reason) => {
            let mut event = tea_event::new(tea_event_kind::Connection);
            event.connection = state.into();
            if let Some(reason) = reason {
                event.status = of_disconnect(&reason);
                message = batch.message(reason);
            }
            event
        }
        SessionEvent::ViewReady => tea_event::new(tea_event_kind::ViewReady),
        SessionEvent::ViewLost => tea_event::new(tea_event_kind::ViewLost),
        SessionEvent::Synced(synced) => {
            tea_event { flag: synced, ..tea_event::new(tea_event_kind::Synced) }
        }
        SessionEvent::State { seq, time, hash } => tea_event {
            seq,
            time_us: time.as_micros(),
            hash: tea_hash { bytes: hash.0 },
            ..tea_event::new(tea_event_kind::State)
        },
        SessionEvent::Verdict { seq, hash, agreed, of } => tea_event {
            seq,
            flag: hash.is_some(),
            hash: tea_hash { bytes: hash.map_or([0; 32], |hash| hash.0) },
            agreed,
            of,
            ..tea_event::new(tea_event_kind::Verdict)
        },
        SessionEvent::Fault(fault) => {
            message = batch.message(&fault);
            tea_event {
                status: tea_status::Fault,
                seq: fault.seq,
                time_us: fault.time.as_micros(),
                model: fault.model.map_or(0, |model| model.0),
                flag: fault.sender.is_some(),
                sender: tea_view_id { bytes: fault.sender.map_or([0; 16], |sender| sender.0) },
                ..tea_event::new(tea_event_kind::Fault)
            }
        }
        SessionEvent::Held(held) => {
            tea_event { flag: held, ..tea_event::new(tea_event_kind::Held) }
        }
        SessionEvent::Diverged(divergence) => {
            let mut event = tea_event {
                seq: divergence.seq,
                time_us: divergence.time.as_micros(),
                hash: tea_hash { bytes: divergence.hash.0 },
                ..tea_event::new(tea_event_kind::Diverged)
            };
            match divergence.file {
                Some(Ok(path)) => {
                    event.flag = true;
                    message = batch.message(path.display());
                }
                Some(Err(why)) => {
                    event.status = tea_status::Io;
                    message = batch.message(why);
                }
                None => {}
            }
            event
        }
        SessionEvent::Persisted { seq } => {
            tea_event { seq, ..tea_event::new(tea_event_kind::Persisted) }
        }
        SessionEvent::NewerVersion(newer) => {
            message = batch.message(newer);
            tea_event { version: newer.newer, ..tea_event::new(tea_event_kind::NewerVersion) }
        }
        SessionEvent::NotPersisted(why) => {
            message = batch.message(&why);
            let status = match why {
                NotPersisted::NotStored(_) => tea_status::NotStored,
                _ => tea_status::Ok,
            };
            tea_event { status, ..tea_event::new(tea_event_kind::NotPersisted) }
        }
        // What this version of the library does not know it does not make.
        other => {
            message = batch.message(format_args!("{other:?}"));
            tea_event::new(tea_event_kind::Fault)
        }
    };
    (event, message)
}
