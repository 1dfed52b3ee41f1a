//! What a session tells.

use teatime::{Delivery, NotPersisted, SessionEvent};

use crate::payload::tea_format;
use crate::session::tea_connection;
use crate::status::{of_disconnect, tea_status};
use crate::value::append_payload;

/// What a session tells.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum Event {
    /// Somebody published on a topic that was subscribed to.
    Published {
        /// What subscribing gave.
        subscription: u64,
        /// Scope of the topic.
        scope: String,
        /// Event of the topic.
        event: String,
        /// What was published, in the format that was asked for.
        data: Vec<u8>,
    },
    /// The connection changed its state; with a reason if it got worse.
    Connection {
        /// How it stands.
        state: tea_connection,
        /// The code of the reason.
        status: Option<tea_status>,
        /// The reason for people.
        why: Option<String>,
    },
    /// Build the view from the model as it stands now, before the next step.
    ViewReady,
    /// The model is gone: what is known of it is stale until the next `ViewReady`.
    ViewLost,
    /// The model caught up with the reflector, or fell behind.
    Synced {
        /// Whether it is up to date.
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
        /// How many agreed.
        agreed: u32,
        /// How many were asked.
        of: u32,
    },
    /// A handler failed, on every participant alike, and its turn was undone.
    Fault {
        /// Sequence number of the newest event then.
        seq: u64,
        /// Session time in µs.
        time_us: u64,
        /// Who sent the event that led to it, as hexadecimal text.
        sender: Option<String>,
        /// What happened, for people.
        why: String,
    },
    /// The reflector asks senders to pause, or lets them go on.
    Held {
        /// Whether they should pause.
        held: bool,
    },
    /// This client's state was not the right one, and has been replaced.
    Diverged {
        /// Sequence number of the vote that found it.
        seq: u64,
        /// Session time of the vote in µs.
        time_us: u64,
        /// The wrong state's hash as hexadecimal text.
        hash: String,
        /// The file of evidence, if one was asked for and could be written.
        evidence: Option<String>,
        /// Why it could not be written, for people.
        why: Option<String>,
    },
    /// What the root model has persisted is stored.
    Persisted {
        /// Sequence number of the vote that it was part of.
        seq: u64,
    },
    /// A newer version of the app is used in this room, or has been, in a session of its own.
    NewerVersion {
        /// Its version.
        version: u32,
        /// What to tell people.
        why: String,
    },
    /// What the root model has persisted is not stored.
    NotPersisted {
        /// Why the reflector cannot store it, for now. Without one newer versions have persisted.
        status: Option<tea_status>,
        /// What to tell people.
        why: String,
    },
}

/// What concerns the session.
pub(super) fn of_session(event: SessionEvent) -> Option<Event> {
    Some(match event {
        SessionEvent::Connection(state, reason) => Event::Connection {
            state: state.into(),
            status: reason.as_ref().map(of_disconnect),
            why: reason.map(|reason| reason.to_string()),
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
            why: fault.to_string(),
        },
        SessionEvent::Held(held) => Event::Held { held },
        SessionEvent::Diverged(divergence) => {
            let (evidence, why) = match divergence.file {
                Some(Ok(path)) => (Some(path.display().to_string()), None),
                Some(Err(why)) => (None, Some(why)),
                None => (None, None),
            };
            let (seq, time_us) = (divergence.seq, divergence.time.as_micros());
            Event::Diverged { seq, time_us, hash: divergence.hash.to_string(), evidence, why }
        }
        SessionEvent::Persisted { seq } => Event::Persisted { seq },
        SessionEvent::NewerVersion(newer) => {
            Event::NewerVersion { version: newer.newer, why: newer.to_string() }
        }
        SessionEvent::NotPersisted(told) => {
            let is_failure = matches!(told, NotPersisted::NotStored(_));
            let status = is_failure.then_some(tea_status::NotStored);
            Event::NotPersisted { status, why: told.to_string() }
        }
        // What this version does not know it does not make.
        _ => return None,
    })
}

/// What was published; data that the format cannot express is left out.
pub(super) fn published(delivery: &Delivery, format: tea_format) -> Event {
    let mut data = Vec::new();
    if append_payload(&mut data, &delivery.payload, format).is_err() {
        data.clear();
    }
    Event::Published {
        subscription: delivery.subscription.0,
        scope: delivery.scope.to_string(),
        event: delivery.event.to_string(),
        data,
    }
}
