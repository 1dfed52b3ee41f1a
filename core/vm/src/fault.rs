//! What went wrong inside a model, on all participants alike.

use std::any::Any;

use crate::id::{ModelId, ViewId};
use crate::time::Time;

/// Something went wrong in a turn. All participants have the same faults at the same positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Session time of the turn.
    pub time: Time,
    /// Sequence number of the newest event.
    pub seq: u64,
    /// In which model, if it was in one.
    pub model: Option<ModelId>,
    /// In which handler, as `model-id.handler`.
    pub handler: String,
    /// Who sent the event that led to it.
    pub sender: Option<ViewId>,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// A handler panicked, with this message. The turn that it belonged to was undone.
    #[error("panicked: {0}")]
    Panicked(String),
    /// A handler of a model in another language says that it failed. The turn that it belonged to
    /// was undone.
    #[error("failed: {0}")]
    Failed(String),
    /// A turn that failed could not be undone: what it had changed by then stays. A client gives up
    /// such a state and loads the session anew.
    #[error("the turn cannot be undone: {0}")]
    NotUndone(String),
    /// The payload of an event is not what the handler takes; the handler was not called.
    #[error("the payload does not fit: {0}")]
    Payload(String),
    /// What is neither a handler of the model nor a plain method item was subscribed or scheduled.
    #[error("not a handler of the model: {0}")]
    UnknownHandler(&'static str),
    /// The same handler subscribed to the same topic twice.
    #[error("already subscribed to {0}")]
    SubscribedTwice(String),
    /// A topic that only the virtual machine publishes, or that is malformed.
    #[error("nobody may publish {0}")]
    ReservedTopic(String),
    /// Data that cannot be encoded.
    #[error("cannot be encoded: {0}")]
    Encoding(String),
    /// Too many turns at one instant; the rest of the instant's future messages was dropped.
    #[error("{0} future messages at one instant: the rest is dropped")]
    TooManyTurns(u64),
    /// Models sent each other too many events in one turn; the rest was dropped.
    #[error("{0} events in one turn: the rest is dropped")]
    TooManyEvents(u64),
    /// A join of a view that is here, or an exit of one that is not; ignored.
    #[error("unpaired join or exit of {0}")]
    Unpaired(ViewId),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {} after event {}: ", self.time, self.seq)?;
        match self.model {
            Some(model) => write!(f, "{} of {model} {}", self.handler, self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// The message of a panic; a payload that is no text says nothing, so that all participants say
/// the same.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "without a message".to_owned()
    }
}
