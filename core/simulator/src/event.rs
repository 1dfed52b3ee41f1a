//! Events that users have published.

use std::sync::Arc;

use teatime_vm::{Payload, ViewId};

/// An event that a user has published and the client has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The participant who published it.
    pub sender: ViewId,
    /// Scope of the topic.
    pub scope: Arc<str>,
    /// Event of the topic.
    pub event: Arc<str>,
    /// MessagePack.
    pub payload: Vec<u8>,
    /// When, in virtual µs.
    at_us: u64,
    is_heard: bool,
}

impl Event {
    pub(crate) fn new(
        sender: ViewId,
        (scope, event): (&str, &str),
        payload: &[u8],
        at_us: u64,
        is_heard: bool,
    ) -> Self {
        let (scope, event, payload) = (scope.into(), event.into(), payload.to_vec());
        Self { sender, scope, event, payload, at_us, is_heard }
    }

    /// When it was published, in virtual µs.
    pub(crate) fn at_us(&self) -> u64 {
        self.at_us
    }

    /// Whether any model had subscribed to the topic then.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// The payload, decoded.
    ///
    /// # Errors
    /// The payload does not decode to `T`.
    pub fn data<T: serde::de::DeserializeOwned + Clone + 'static>(&self) -> Result<T, String> {
        Payload::from_msgpack(&self.payload).get().map_err(|error| error.to_string())
    }
}

/// How many of the events are on this topic.
pub(crate) fn count(events: &[Event], scope: &str, event: &str) -> u64 {
    let is = |one: &&Event| &*one.scope == scope && &*one.event == event;
    events.iter().filter(is).count() as u64
}
