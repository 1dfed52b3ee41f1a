//! Events of a session, as records.

use teatime::{Delivery, NotPersisted, SessionEvent, Source};

use crate::payload::tea_format;
use crate::session::tea_connection;
use crate::status::{of_disconnect, tea_status};
use crate::value::append_payload;

/// An event of a session.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum Event {
    /// A model or a view published on a subscribed topic.
    Published {
        /// The number that subscribing returned.
        subscription: u64,
        /// Scope of the topic.
        scope: String,
        /// Event of the topic.
        event: String,
        /// The model that published it. Absent if a view of this client did.
        model: Option<u64>,
        /// The published payload, in the format of the call of `poll`.
        payload: Vec<u8>,
    },
    /// The connection changed its state; with a reason if it broke or was refused.
    Connection {
        /// The new state.
        state: tea_connection,
        /// The code of the reason.
        status: Option<tea_status>,
        /// The reason, for people.
        message: Option<String>,
    },
    /// The app can build a view: from the model as it is now, before the next step.
    ViewReady,
    /// The model is gone. What the view shows is stale until the next `ViewReady`.
    ViewLost,
    /// The model caught up with the reflector, or fell behind.
    Synced {
        /// Whether the model is up to date.
        synced: bool,
    },
    /// The hash of this client's state at the point of a vote.
    State {
        /// Sequence number of the vote.
        seq: u64,
        /// Session time of the vote in µs.
        time_us: u64,
        /// The hash as hexadecimal text.
        hash: String,
    },
    /// How a vote ended.
    Verdict {
        /// Sequence number of the vote.
        seq: u64,
        /// The majority's hash as hexadecimal text, if it is known.
        hash: Option<String>,
        /// The number of participants that agreed.
        agreed: u32,
        /// The number of participants that were asked.
        of: u32,
    },
    /// A handler failed on every participant, and its turn was undone.
    Fault {
        /// Sequence number of the newest event at that point.
        seq: u64,
        /// Session time in µs.
        time_us: u64,
        /// The view that sent the event that led to the failure, as hexadecimal text.
        sender: Option<String>,
        /// What happened, for people.
        message: String,
    },
    /// The reflector asks senders to pause, or to go on.
    Held {
        /// Whether they should pause.
        held: bool,
    },
    /// This client's state was wrong, and has been replaced.
    Diverged {
        /// Sequence number of the vote that found it.
        seq: u64,
        /// Session time of the vote in µs.
        time_us: u64,
        /// The wrong state's hash as hexadecimal text.
        hash: String,
        /// The file of evidence, if the options asked for one.
        evidence: Option<String>,
        /// Why the file could not be written, for people.
        message: Option<String>,
    },
    /// The persisted data of the root model is stored.
    Persisted {
        /// Sequence number of the vote that agreed on it.
        seq: u64,
    },
    /// A newer version of the app is or was in use in this room, in a session of its own.
    NewerVersion {
        /// The newer version.
        version: u32,
        /// What to show the user.
        message: String,
    },
    /// Nothing has happened in this room before, and its name is also used with another password, or without one.
    OtherPassword {
        /// What to show the user.
        message: String,
    },
    /// The fate of some published events is unknown, and they are not sent again.
    Unconfirmed {
        /// Their number.
        count: u64,
        /// What to show the user.
        message: String,
    },
    /// Two programs compute different things from the same events, so participants see different things.
    Disagreement {
        /// Sequence number of the vote that found it.
        seq: u64,
        /// What to show the user: both builds, and the file of evidence.
        message: String,
    },
    /// The order of events is not what participants have seen or sealed.
    Alarm {
        /// What is wrong: the name of the kind.
        kind: String,
        /// Sequence number of the message that shows it.
        seq: u64,
        /// The participant that it is about.
        participant: Option<String>,
        /// What to show the user.
        message: String,
    },
    /// Other participants show something else of themselves.
    PresencesChanged,
    /// The persisted data of the root model is not stored.
    NotPersisted {
        /// Why the reflector cannot store it for now. Absent if the room is full of what others have persisted.
        status: Option<tea_status>,
        /// What to show the user.
        message: String,
    },
}

/// The record of an event about the session itself.
pub(super) fn of_session(event: SessionEvent) -> Option<Event> {
    Some(match event {
        SessionEvent::Connection(state, reason) => Event::Connection {
            state: state.into(),
            status: reason.as_ref().map(of_disconnect),
            message: reason.map(|reason| reason.to_string()),
        },
        SessionEvent::ViewReady => Event::ViewReady,
        SessionEvent::ViewLost => Event::ViewLost,
        SessionEvent::Synced(synced) => Event::Synced { synced },
        SessionEvent::State { seq, time, hash } => {
            Event::State { seq, time_us: time.as_micros(), hash: hash.to_string() }
        }
        SessionEvent::Verdict { seq, hash, agreed, of } => {
            Event::Verdict { seq, hash: hash.map(|hash| hash.to_string()), agreed, of }
        }
        SessionEvent::Fault(fault) => Event::Fault {
            seq: fault.seq,
            time_us: fault.time.as_micros(),
            sender: fault.sender.map(|sender| sender.to_string()),
            message: fault.to_string(),
        },
        SessionEvent::Held(held) => Event::Held { held },
        SessionEvent::Diverged(divergence) => {
            let (evidence, message) = match divergence.file {
                Some(Ok(path)) => (Some(path.display().to_string()), None),
                Some(Err(why)) => (None, Some(why)),
                None => (None, None),
            };
            let (seq, time_us) = (divergence.seq, divergence.time.as_micros());
            Event::Diverged { seq, time_us, hash: divergence.hash.to_string(), evidence, message }
        }
        SessionEvent::Persisted { seq } => Event::Persisted { seq },
        SessionEvent::NewerVersion(newer) => {
            Event::NewerVersion { version: newer.newer, message: newer.to_string() }
        }
        SessionEvent::PresencesChanged => Event::PresencesChanged,
        SessionEvent::OtherPassword(hint) => Event::OtherPassword { message: hint.to_string() },
        SessionEvent::Unconfirmed(sends) => {
            Event::Unconfirmed { count: sends.count, message: sends.to_string() }
        }
        SessionEvent::Disagreement(found) => {
            Event::Disagreement { seq: found.seq, message: found.to_string() }
        }
        SessionEvent::Alarm(alarm) => Event::Alarm {
            kind: alarm.kind.name().to_owned(),
            seq: alarm.seq,
            participant: alarm.participant.map(|view| view.to_string()),
            message: alarm.to_string(),
        },
        SessionEvent::NotPersisted(reason) => {
            let is_failure = matches!(reason, NotPersisted::NotStored(_));
            let status = is_failure.then_some(tea_status::NotStored);
            Event::NotPersisted { status, message: reason.to_string() }
        }
        // The enum is open for later versions; this version has no other events.
        _ => return None,
    })
}

/// The record of a published event. Its payload is empty if the format cannot express it.
pub(super) fn published(delivery: &Delivery, format: tea_format) -> Event {
    let mut payload = Vec::new();
    if append_payload(&mut payload, &delivery.payload, format).is_err() {
        payload.clear();
    }
    Event::Published {
        subscription: delivery.subscription.0,
        scope: delivery.scope.to_string(),
        event: delivery.event.to_string(),
        model: match delivery.source {
            Source::Model(model) => Some(model.0),
            Source::View(_) | Source::Reflector => None,
        },
        payload,
    }
}
