//! What a client has found out about the order that its reflector shows.

use std::fmt;

use teatime_wire::ViewId;

/// What is wrong with the order. Names are the same in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// An event of a participant came again. It did nothing this time.
    Repeated,
    /// Events of a participant are missing.
    Dropped,
    /// An event stands before something that its sender had seen when it sent the event.
    Reordered,
    /// A participant had seen other events than this client, or in another order.
    Forked,
    /// A participant was announced that does not know the password, or was announced again with an old join, or an event
    /// came that no participant has sealed, or whose sender is not there.
    Invented,
    /// The reflector has announced that this client has exited, although it is connected.
    Expelled,
    /// Events that this client had seen are gone: the reflector lost them in a crash, or its operator went back to an older
    /// state.
    Rewound,
    /// Between two connections the session's time ran further than this client's clock.
    Clock,
}

impl AlarmKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Repeated,
        Self::Dropped,
        Self::Reordered,
        Self::Forked,
        Self::Invented,
        Self::Expelled,
        Self::Rewound,
        Self::Clock,
    ];

    /// The name that programs switch on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repeated => "REPEATED",
            Self::Dropped => "DROPPED",
            Self::Reordered => "REORDERED",
            Self::Forked => "FORKED",
            Self::Invented => "INVENTED",
            Self::Expelled => "EXPELLED",
            Self::Rewound => "REWOUND",
            Self::Clock => "CLOCK",
        }
    }
}

/// Something is [wrong with the order](crate::SessionEvent::Alarm). Displays as a sentence for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Sequence number of the message that shows it. For [`AlarmKind::Rewound`] that of the newest event that is gone.
    pub seq: u64,
    /// The participant whose event or join it is.
    pub participant: Option<ViewId>,
    /// How far its sender had seen the session, by what it has sealed with the event.
    pub seen: Option<u64>,
}

/// How a sentence for users ends if either a reflector or a participant must be lying.
const LIAR: &str = "the reflector does not show all participants the same, or the program of a participant lies; do not \
    rely on what this session shows before you have asked the others";

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.kind {
            AlarmKind::Repeated => {
                write!(f, "an old event came again as event {seq}, and was ignored: {LIAR}")
            }
            AlarmKind::Dropped => {
                write!(f, "events of a participant are missing before event {seq}: {LIAR}")
            }
            AlarmKind::Reordered => {
                write!(f, "event {seq} stands before something that its sender had seen: {LIAR}")
            }
            AlarmKind::Forked => {
                write!(
                    f,
                    "the sender of event {seq} had seen other events than this client: {LIAR}"
                )
            }
            AlarmKind::Invented => {
                write!(
                    f,
                    "message {seq} names a participant who has not proven to know the password: {LIAR}"
                )
            }
            AlarmKind::Expelled => {
                write!(
                    f,
                    "message {seq} announces that this participant has left, although it is connected: the reflector lies"
                )
            }
            AlarmKind::Clock => write!(
                f,
                "the session's clock jumped ahead while there was no connection: the reflector has moved it, or this \
                 machine stood still; do not rely on times that this session shows before you have asked the others"
            ),
            AlarmKind::Rewound => write!(
                f,
                "events up to {seq} that were shown before are gone: the reflector lost them when it crashed, or its \
                 operator went back to an older state; check what is missing"
            ),
        }
    }
}
