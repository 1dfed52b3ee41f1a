//! What comes to a session from outside: borrowed while it is delivered, and owned where it is stored.

use serde::{Deserialize, Serialize};

use crate::id::ViewId;
use crate::presence::ViewInfo;
use crate::time::Time;

/// What comes from outside, in the order that the reflector gave it.
#[derive(Debug, Clone, Copy)]
pub enum External<'a> {
    /// An event that a view has sent.
    Event {
        /// The sender, as the reflector stamped it.
        sender: ViewId,
        /// Scope of the topic.
        scope: &'a str,
        /// Event of the topic.
        event: &'a str,
        /// The payload as MessagePack.
        payload: &'a [u8],
    },
    /// Views that exited and joined, as one occurrence. The exits come first.
    Presence {
        /// The views that exited.
        exited: &'a [ViewInfo],
        /// The views that joined.
        joined: &'a [ViewInfo],
    },
    /// A position at which nothing happens.
    Marker,
}

/// An external event with its time, owned: what a recording consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Session time.
    pub time: Time,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Event {
        sender: ViewId,
        /// Where the event begins, and where the payload begins.
        parts: (u32, u32),
        /// Scope, event and payload in one allocation.
        #[serde(with = "serde_bytes")]
        bytes: Box<[u8]>,
    },
    Presence {
        exited: Box<[ViewInfo]>,
        joined: Box<[ViewInfo]>,
    },
    Marker,
}

impl Input {
    /// Copies an external event.
    pub fn new(time: Time, external: &External<'_>) -> Self {
        let at = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let content = match *external {
            External::Event { sender, scope, event, payload } => Content::Event {
                sender,
                parts: (at(scope.len()), at(scope.len() + event.len())),
                bytes: [scope.as_bytes(), event.as_bytes(), payload].concat().into(),
            },
            External::Presence { exited, joined } => {
                Content::Presence { exited: exited.into(), joined: joined.into() }
            }
            External::Marker => Content::Marker,
        };
        Self { time, content }
    }

    /// The event as it came.
    pub fn external(&self) -> External<'_> {
        match &self.content {
            Content::Event { sender, parts: (event, payload), bytes } => {
                let (event, payload) = (*event as usize, *payload as usize);
                // Reading a recording has refused inputs whose parts are not text.
                let text = |from, to| {
                    let bytes = bytes.get(from..to).unwrap_or_default();
                    std::str::from_utf8(bytes).unwrap_or_default()
                };
                External::Event {
                    sender: *sender,
                    scope: text(0, event),
                    event: text(event, payload),
                    payload: bytes.get(payload..).unwrap_or_default(),
                }
            }
            Content::Presence { exited, joined } => External::Presence { exited, joined },
            Content::Marker => External::Marker,
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Event { bytes, .. } => bytes.len(),
            Content::Presence { exited, joined } => {
                exited.iter().chain(joined).map(ViewInfo::bytes).sum()
            }
            Content::Marker => 0,
        };
        size_of::<Self>() + content
    }

    /// Whether scope and event are text, as they must be in an input from elsewhere.
    pub(crate) fn is_sound(&self) -> bool {
        let Content::Event { parts: (event, payload), bytes, .. } = &self.content else {
            return true;
        };
        let text = |from: u32, to: u32| {
            let bytes = bytes.get(from as usize..to as usize);
            bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
        };
        text(0, *event) && text(*event, *payload)
    }
}
