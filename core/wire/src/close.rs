//! Why a connection ends: the codes of WebSocket close frames.

use std::fmt;

/// Why the reflector closes a connection. Codes are never reused. Below 4100 the client may try again by itself. From
/// 4100 on that would end the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// 1000: the client left.
    Left,
    /// 4000: the reflector shuts down or restarts.
    GoingAway,
    /// 4001: the client read too slowly. What waited for it exceeded the limit.
    TooSlow,
    /// 4002: the client has sent nothing for too long.
    Silent,
    /// 4003: the session, its log or the reflector is full for now.
    Full,
    /// 4004: the reflector cannot write to its storage, or cannot read it: the disk is full or broken, or access is
    /// denied.
    NotStored,
    /// 4100: a frame that is not a valid message.
    Malformed,
    /// 4101: a frame or a part of it exceeds a limit.
    TooLarge,
    /// 4102: another version of the protocol.
    Version,
    /// 4103: the first message was not a join.
    NotJoined,
    /// 4104: a message that may not come at this point, such as a second join or a gap in counters.
    OutOfOrder,
    /// 4106: more events per second than the limits allow.
    TooFast,
    /// 4107: the same view has connected again from elsewhere.
    Replaced,
    /// 4108: the join is not signed for this connection by the keys that it names.
    BadProof,
}

impl CloseReason {
    /// All reasons.
    pub const ALL: [Self; 14] = [
        Self::Left,
        Self::GoingAway,
        Self::TooSlow,
        Self::Silent,
        Self::Full,
        Self::NotStored,
        Self::Malformed,
        Self::TooLarge,
        Self::Version,
        Self::NotJoined,
        Self::OutOfOrder,
        Self::TooFast,
        Self::Replaced,
        Self::BadProof,
    ];

    /// The code in the close frame.
    pub const fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::GoingAway => 4000,
            Self::TooSlow => 4001,
            Self::Silent => 4002,
            Self::Full => 4003,
            Self::NotStored => 4004,
            Self::Malformed => 4100,
            Self::TooLarge => 4101,
            Self::Version => 4102,
            Self::NotJoined => 4103,
            Self::OutOfOrder => 4104,
            Self::TooFast => 4106,
            Self::Replaced => 4107,
            Self::BadProof => 4108,
        }
    }

    /// The reason with this code, if it is one of ours.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// What the code and the text of a close frame tell a client. `None` if it says no more than a connection that breaks.
    /// A code from 4100 on that this version does not know is final, too: it counts as [`Version`](Self::Version),
    /// because only a newer server sends it.
    pub fn read(code: u16, detail: &str) -> Option<(Self, String)> {
        match Self::from_code(code) {
            Some(reason) => Some((reason, detail.to_owned())),
            None if (4100..5000).contains(&code) => {
                let known = "this program is too old to know the reason";
                Some((Self::Version, format!("close code {code}: {known}: {detail}")))
            }
            None => None,
        }
    }

    /// Whether a client should try again by itself.
    pub const fn is_retryable(self) -> bool {
        matches!(self.code(), 4000..4100)
    }

    /// The name that programs switch on, the same in every language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::GoingAway => "GOING_AWAY",
            Self::TooSlow => "TOO_SLOW",
            Self::Silent => "SILENT",
            Self::Full => "FULL",
            Self::NotStored => "NOT_STORED",
            Self::Malformed => "MALFORMED",
            Self::TooLarge => "TOO_LARGE",
            Self::Version => "VERSION",
            Self::NotJoined => "NOT_JOINED",
            Self::OutOfOrder => "OUT_OF_ORDER",
            Self::TooFast => "TOO_FAST",
            Self::Replaced => "REPLACED",
            Self::BadProof => "BAD_PROOF",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "the client left",
            Self::GoingAway => "the reflector is shutting down",
            Self::TooSlow => "the client reads too slowly",
            Self::Silent => "the client was silent for too long",
            Self::Full => "the session or the reflector is full for now",
            Self::NotStored => "the reflector cannot store the session",
            Self::Malformed => "a frame is not a valid message of this protocol",
            Self::TooLarge => "a message exceeds a limit",
            Self::Version => "another version of the protocol",
            Self::NotJoined => "the first message must be a join",
            Self::OutOfOrder => "a message that may not come at this point",
            Self::TooFast => "more events than allowed",
            Self::Replaced => "the same view has connected again from elsewhere",
            Self::BadProof => "the client has not proven who it is on this connection",
        })
    }
}
