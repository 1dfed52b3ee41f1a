//! Faults: what goes wrong inside models, on all participants alike.

use std::any::Any;

use crate::id::{ModelId, ViewId};
use crate::time::Time;

/// Something that went wrong in a turn. All participants have the same faults at the same positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Session time of the turn.
    pub time: Time,
    /// Sequence number of the newest event.
    pub seq: u64,
    /// The model in which it happened, if it was in a model.
    pub model: Option<ModelId>,
    /// The handler in which it happened, as `model-id.handler`.
    pub handler: String,
    /// The view that sent the event which led to it.
    pub sender: Option<ViewId>,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened in a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// A handler panicked, with this message. Its turn was undone.
    Panicked(String),
    /// A handler of a model in another language failed, with this message. Its turn was undone.
    Failed(String),
    /// A failed turn could not be undone: what it had changed stays. A client discards such a state and
    /// loads the session again.
    NotUndone(String),
    /// The payload of an event is not what the handler takes. The handler was not called.
    Payload(String),
    /// A model subscribed or scheduled something that is not one of its handlers.
    UnknownHandler(&'static str),
    /// A model subscribed the same handler to the same topic twice.
    SubscribedTwice(String),
    /// A model or a view published on a topic that is reserved for the virtual machine.
    ReservedTopic(String),
    /// A value cannot be encoded.
    Encoding(String),
    /// Too many turns at one instant. The rest of the future messages of this instant was dropped.
    TooManyTurns(u64),
    /// Models sent each other too many events in one turn. The rest was dropped.
    TooManyEvents(u64),
    /// A view joined that was in the session, or a view exited that was not. It was ignored.
    Unpaired(ViewId),
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Failed(message) => write!(f, "failed: {message}"),
            Self::NotUndone(why) => write!(f, "the turn cannot be undone: {why}"),
            Self::Payload(why) => write!(f, "the payload does not fit: {why}"),
            Self::UnknownHandler(name) => write!(f, "not a handler of the model: {name}"),
            Self::SubscribedTwice(topic) => write!(f, "already subscribed to {topic}"),
            Self::ReservedTopic(topic) => write!(f, "the topic {topic} is reserved"),
            Self::Encoding(why) => write!(f, "cannot be encoded: {why}"),
            Self::TooManyTurns(most) => {
                write!(f, "more than {most} future messages at one instant: the rest is dropped")
            }
            Self::TooManyEvents(most) => {
                write!(f, "more than {most} events in one turn: the rest is dropped")
            }
            Self::Unpaired(view) => write!(f, "unpaired join or exit of {view}"),
        }
    }
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

/// The message of a panic. Any payload other than text gives the same message, so that all participants
/// have equal faults.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "without a message".to_owned()
    }
}
