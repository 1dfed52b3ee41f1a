//! What has come since a checkpoint, to play it once more without a turn that failed: so turns that do
//! not fail pay next to nothing for being undoable.

use std::sync::Arc;

use crate::id::ViewId;
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_TURNS};
use crate::presence::ViewInfo;
use crate::time::Time;
use crate::vm::External;

/// A state, and all that came after it.
pub(crate) struct History {
    /// A snapshot.
    pub(crate) checkpoint: Arc<[u8]>,
    /// How many future messages had been run at the instant of the checkpoint.
    pub(crate) instant_turns: u64,
    pub(crate) inputs: Vec<Input>,
    bytes: usize,
    /// How many turns there were.
    pub(crate) turns: u64,
    /// Those that were undone; in the order of their numbers.
    pub(crate) undone: Vec<u64>,
}

/// An external event and its time.
pub(crate) struct Input {
    pub(crate) time: Time,
    content: Content,
}

enum Content {
    Event {
        sender: ViewId,
        /// Where the event begins, and where the payload does.
        parts: (usize, usize),
        /// Scope, event and payload in one allocation.
        bytes: Box<[u8]>,
    },
    Presence {
        exited: Box<[ViewInfo]>,
        joined: Box<[ViewInfo]>,
    },
    Marker,
}

impl History {
    pub(crate) fn new(checkpoint: Arc<[u8]>, instant_turns: u64) -> Self {
        Self {
            checkpoint,
            instant_turns,
            inputs: Vec::new(),
            bytes: 0,
            turns: 0,
            undone: Vec::new(),
        }
    }

    /// Begins the turn of an external event.
    pub(crate) fn record(&mut self, time: Time, external: &External<'_>) {
        let content = Content::of(external);
        self.bytes += size_of::<Input>() + content.bytes();
        self.inputs.push(Input { time, content });
        self.turns += 1;
    }

    /// Whether a new checkpoint costs less than keeping all this, and playing it again.
    pub(crate) fn is_long(&self) -> bool {
        self.bytes >= MAX_HISTORY_BYTES || self.turns >= MAX_HISTORY_TURNS
    }

    pub(crate) fn is_undone(&self, turn: u64) -> bool {
        self.undone.binary_search(&turn).is_ok()
    }
}

impl Input {
    /// The event as it came.
    pub(crate) fn external(&self) -> External<'_> {
        match &self.content {
            Content::Event { sender, parts: (event, payload), bytes } => {
                let text = |bytes| std::str::from_utf8(bytes).expect("it came as text");
                External::Event {
                    sender: *sender,
                    scope: text(&bytes[..*event]),
                    event: text(&bytes[*event..*payload]),
                    payload: &bytes[*payload..],
                }
            }
            Content::Presence { exited, joined } => External::Presence { exited, joined },
            Content::Marker => External::Marker,
        }
    }
}

impl Content {
    fn of(external: &External<'_>) -> Self {
        match *external {
            External::Event { sender, scope, event, payload } => Self::Event {
                sender,
                parts: (scope.len(), scope.len() + event.len()),
                bytes: [scope.as_bytes(), event.as_bytes(), payload].concat().into(),
            },
            External::Presence { exited, joined } => {
                Self::Presence { exited: exited.into(), joined: joined.into() }
            }
            External::Marker => Self::Marker,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event { bytes, .. } => bytes.len(),
            Self::Presence { exited, joined } => {
                let data = |view: &ViewInfo| view.view_data.as_ref().map_or(0, |data| data.len());
                let bytes = |view: &ViewInfo| size_of::<ViewInfo>() + data(view);
                exited.iter().chain(joined).map(bytes).sum()
            }
            Self::Marker => 0,
        }
    }
}
