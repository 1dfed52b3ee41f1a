//! Subscriptions of this client's views, and the events that reach them.

use std::sync::Arc;

use teatime_vm::{Payload, Source};

/// Matches every scope, or every event.
pub const WILDCARD: &str = "*";

/// Names one subscription of a client. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// When a subscriber gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// All of them, in order, once per frame.
    #[default]
    Queued,
    /// Only the newest, once per frame, after everything queued.
    OncePerFrame,
    /// Each one right after the turn that published it, before the model goes on.
    Immediate,
}

/// An event for one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The subscription that it is for.
    pub subscription: SubscriptionId,
    /// Scope of the topic.
    pub scope: Arc<str>,
    /// Event of the topic.
    pub event: Arc<str>,
    /// Who published it: a model, or a view of this client.
    pub source: Source,
    /// What was published.
    pub payload: Payload,
}
