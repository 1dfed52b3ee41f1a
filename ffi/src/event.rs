//! Events of a session, polled in batches.

use std::ops::Range;

use teatime::{
    ConnectionState, Delivery, DisconnectReason, Divergence, Fault, Handling, NotPersisted,
    SessionEvent,
};

use crate::boundary::boundary;
use crate::cx::published_by;
use crate::handle::Held;
use crate::ids::{tea_hash, tea_view_id};
use crate::out::{Check, null};
use crate::payload::{format_of, tea_format, tea_payload};
use crate::session::{Session, tea_connection, tea_session};
use crate::status::{of_disconnect, tea_status};
use crate::text::tea_str;
use crate::value::append_payload;

/// The kind of an event. Later versions may add kinds: skip those that you do not know.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_event_kind {
    /// A model or a participant published on a topic that this session subscribed to: subscription, scope, event,
    /// payload, model (0 if this participant published to its own views). Scope and event are never *. If the format
    /// that the caller asked for cannot express the payload, the payload is nil, and status and message say why.
    Published = 1,
    /// The connection changed its state: connection. If it got worse, status and message say why.
    Connection = 2,
    /// Build the view from the model as it stands now, before the next step.
    ViewReady = 3,
    /// The model is gone. What the view shows is stale until the next TEA_EVENT_KIND_VIEW_READY.
    ViewLost = 4,
    /// The model caught up with the reflector (flag), or fell behind (not flag).
    Synced = 5,
    /// The hash of this client's state at the point of a vote: seq, time_us, hash.
    State = 6,
    /// How a vote ended: seq, agreed, of; the majority's hash if flag. If this client was not in the majority it
    /// may not know the majority's hash; then flag is false.
    Verdict = 7,
    /// A handler failed, on every participant alike, and its turn was undone: seq, time_us, model (0 if not in a
    /// model), sender if flag, message.
    Fault = 8,
    /// The reflector asks senders to pause (flag), or lets them go on (not flag).
    Held = 9,
    /// This client's state was wrong and has been replaced: seq and time_us of the vote that found it, hash of the
    /// wrong state. If flag, message is the path of a file of evidence. If the file could not be written, status
    /// and message say why. See tea_config_set_evidence_dir.
    Diverged = 10,
    /// The reflector has stored the data that the root model persisted: seq of the vote that it was part of. See
    /// tea_cx_persist.
    Persisted = 11,
    /// A newer version of the app is, or was, in this room: version. It has its own session, which began with the
    /// data persisted by then. What users do in this session does not reach it. message tells the user to update.
    NewerVersion = 12,
    /// The data that the root model persisted is not stored. A later version of the app would begin with what was
    /// stored before. message explains it to the user. There are two reasons:
    /// - The reflector cannot store it: status is TEA_STATUS_NOT_STORED. The reflector tries again, unless the data
    ///   that it has stored is damaged.
    /// - The room is full of what other versions, or builds, of the app have persisted: status is TEA_STATUS_OK.
    ///
    /// The event comes once, and again after other data was stored.
    NotPersisted = 13,
    /// The fate of some published events is unknown, and they are not sent again: seq is their number. The reflector has
    /// forgotten this participant, and a snapshot covers what it accepted. message explains it to the user.
    Unconfirmed = 14,
    /// Two programs compute different things from the same events, so participants see different things: seq of the vote
    /// that found it. message explains it to the user, and names both builds and the file of evidence. The session goes
    /// on. It comes once, and again after all have agreed.
    Disagreement = 15,
    /// The order of events is not what participants have seen or sealed: the reflector, or a participant, does not say the
    /// truth. event is the name of what is wrong: REPEATED, DROPPED, REORDERED, FORKED, INVENTED, EXPELLED if
    /// this client is said to have left, REWOUND if events are gone that this client has seen, because the reflector crashed or
    /// its operator went back, or CLOCK if the session's time jumped ahead between two connections. seq is the message that
    /// shows it. flag says whether sender is the participant that it is about. message explains it to the user. The
    /// session goes on. It comes once for each kind and participant.
    Alarm = 16,
    /// Nothing has happened in this room before, and its name is also used with another password, or without one. The
    /// user may have mistyped the password; message says so. It comes once.
    OtherPassword = 17,
    /// Other participants show something else of themselves: see tea_session_presences. It comes once until it is polled,
    /// however much has changed.
    PresencesChanged = 18,
}

/// An event. The kind says which members have a meaning; the others are zero or empty. Texts and the payload are
/// valid until the next step, poll or free of the session.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_event {
    /// The kind.
    pub kind: tea_event_kind,
    /// What went wrong, or TEA_STATUS_OK.
    pub status: tea_status,
    /// The state of the connection.
    pub connection: tea_connection,
    /// Yes or no; the kind says of what.
    pub flag: bool,
    /// The id that tea_session_subscribe returned.
    pub subscription: u64,
    /// Scope of the topic.
    pub scope: tea_str,
    /// Event of the topic, or the name of an alarm.
    pub event: tea_str,
    /// The published payload.
    pub payload: tea_payload,
    /// A message for people.
    pub message: tea_str,
    /// Sequence number.
    pub seq: u64,
    /// Session time in µs.
    pub time_us: u64,
    /// Id of the model.
    pub model: u64,
    /// The participant whose event led to it, or whom it is about.
    pub sender: tea_view_id,
    /// Hash of the state.
    pub hash: tea_hash,
    /// The number of participants that agreed.
    pub agreed: u32,
    /// The number of participants that were asked.
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
            payload: tea_payload::msgpack(&[]),
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

/// The bytes that polled events point to.
#[derive(Default)]
pub(crate) struct Batch {
    /// They keep the names of topics alive.
    deliveries: Vec<Delivery>,
    /// Payloads and messages, one after the other.
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

/// Polls events, oldest first: those of the session, then the published events that this session subscribed to.
/// Writes at most `capacity` events to `events`, and their number to `count`. If `count` is `capacity`, more may
/// wait. Payloads are in `format`, a tea_format.
///
/// Subscribe before the first step, or when TEA_EVENT_KIND_VIEW_READY is polled. While 1,024 events of the session
/// or 65,536 published events wait, the model stands still. If that goes on, the client falls behind and gives up
/// its connection, with TEA_STATUS_TOO_SLOW.
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
                // Where the bytes of each event begin and end. The buffer moves while it grows.
                let mut spans = Vec::new();
                while spans.len() < capacity
                    && let Some(told) = driver.poll_event()
                {
                    wake |= matches!(told, SessionEvent::ViewReady);
                    let Some((event, message)) = of_session(batch, told) else { continue };
                    // SAFETY: the caller of every export promises room for `capacity` events.
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
                        event.payload =
                            tea_payload { format: format as i32, ..tea_payload::msgpack(bytes) };
                    }
                }
                count.set(spans.len());
                Ok(())
            })?;
            if wake {
                // The model may go on now, and another thread may be the one that steps the session.
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
    event.model = published_by(delivery.source);
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

/// An event of the session for C, and where its message stands in the batch. `None` for events that C programs do not get.
fn of_session(batch: &mut Batch, told: SessionEvent) -> Option<(tea_event, Range<usize>)> {
    use tea_event_kind as kind;
    let new = tea_event::new;
    Some(match told {
        SessionEvent::Connection(state, reason) => of_connection(batch, state, reason),
        SessionEvent::ViewReady => (new(kind::ViewReady), NO_MESSAGE),
        SessionEvent::ViewLost => (new(kind::ViewLost), NO_MESSAGE),
        SessionEvent::Synced(flag) => (tea_event { flag, ..new(kind::Synced) }, NO_MESSAGE),
        SessionEvent::Held(flag) => (tea_event { flag, ..new(kind::Held) }, NO_MESSAGE),
        SessionEvent::State { seq, time, hash } => {
            let hash = tea_hash { bytes: hash.0 };
            (tea_event { seq, time_us: time.as_micros(), hash, ..new(kind::State) }, NO_MESSAGE)
        }
        SessionEvent::Verdict { seq, hash, agreed, of } => {
            let flag = hash.is_some();
            let hash = tea_hash { bytes: hash.map_or([0; 32], |hash| hash.0) };
            (tea_event { seq, flag, hash, agreed, of, ..new(kind::Verdict) }, NO_MESSAGE)
        }
        SessionEvent::Fault(fault) => of_fault(batch, &fault),
        SessionEvent::Diverged(divergence) => of_divergence(batch, &divergence),
        SessionEvent::Persisted { seq } => (tea_event { seq, ..new(kind::Persisted) }, NO_MESSAGE),
        SessionEvent::NewerVersion(newer) => {
            let event = tea_event { version: newer.newer, ..new(kind::NewerVersion) };
            (event, batch.message(newer))
        }
        SessionEvent::PresencesChanged => (new(kind::PresencesChanged), NO_MESSAGE),
        SessionEvent::OtherPassword(hint) => (new(kind::OtherPassword), batch.message(hint)),
        SessionEvent::NotPersisted(why) => {
            let status = match why {
                NotPersisted::NotStored(_) => tea_status::NotStored,
                NotPersisted::RoomFull => tea_status::Ok,
            };
            (tea_event { status, ..new(kind::NotPersisted) }, batch.message(why))
        }
        SessionEvent::Unconfirmed(sends) => {
            let event = tea_event { seq: sends.count, ..new(kind::Unconfirmed) };
            (event, batch.message(sends))
        }
        SessionEvent::Disagreement(found) => {
            (tea_event { seq: found.seq, ..new(kind::Disagreement) }, batch.message(found))
        }
        SessionEvent::Alarm(alarm) => {
            let event = tea_event {
                seq: alarm.seq,
                event: alarm.kind.name().into(),
                flag: alarm.participant.is_some(),
                sender: tea_view_id { bytes: alarm.participant.map_or([0; 16], |view| view.0) },
                ..new(kind::Alarm)
            };
            (event, batch.message(alarm))
        }
        // C programs cannot ask for recordings.
        SessionEvent::FaultRecorded(_) => return None,
    })
}

/// Where the message of an event without one stands.
const NO_MESSAGE: Range<usize> = 0..0;

fn of_connection(
    batch: &mut Batch,
    state: ConnectionState,
    reason: Option<DisconnectReason>,
) -> (tea_event, Range<usize>) {
    let event =
        tea_event { connection: state.into(), ..tea_event::new(tea_event_kind::Connection) };
    match reason {
        Some(reason) => {
            (tea_event { status: of_disconnect(&reason), ..event }, batch.message(reason))
        }
        None => (event, NO_MESSAGE),
    }
}

fn of_fault(batch: &mut Batch, fault: &Fault) -> (tea_event, Range<usize>) {
    let event = tea_event {
        status: tea_status::Fault,
        seq: fault.seq,
        time_us: fault.time.as_micros(),
        model: fault.model.map_or(0, |model| model.0),
        flag: fault.sender.is_some(),
        sender: tea_view_id { bytes: fault.sender.map_or([0; 16], |sender| sender.0) },
        ..tea_event::new(tea_event_kind::Fault)
    };
    (event, batch.message(fault))
}

fn of_divergence(batch: &mut Batch, divergence: &Divergence) -> (tea_event, Range<usize>) {
    let event = tea_event {
        seq: divergence.seq,
        time_us: divergence.time.as_micros(),
        hash: tea_hash { bytes: divergence.hash.0 },
        ..tea_event::new(tea_event_kind::Diverged)
    };
    match &divergence.file {
        Some(Ok(path)) => (tea_event { flag: true, ..event }, batch.message(path.display())),
        Some(Err(why)) => (tea_event { status: tea_status::Io, ..event }, batch.message(why)),
        None => (event, NO_MESSAGE),
    }
}
