//! What a caller gets for a publish: a receipt, or why nothing was sent.

/// A send that the reflector will order: see [`Client::is_applied`](crate::Client::is_applied).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub u64);

/// Why a publish failed. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Larger than an event, or a presence, may be.
    #[error("the data has {size} bytes, at most {most} are allowed")]
    TooLarge {
        /// Its bytes. Those of an event include the encryption.
        size: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// Too many events wait to be sent, or to be polled: publish fewer, or later.
    #[error("too many events are waiting")]
    TooFast,
    /// The session has not been joined yet.
    #[error("the session has not been joined yet")]
    NotJoined,
    /// The session was left, or has failed.
    #[error("the session is over")]
    Over,
    /// The data cannot be expressed in MessagePack.
    #[error("the data cannot be encoded: {0}")]
    Encoding(String),
}

impl PublishError {
    /// The name that programs switch on, the same in every language.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::TooFast => "TOO_FAST",
            Self::NotJoined => "NOT_JOINED",
            Self::Over => "OVER",
            Self::Encoding(_) => "ENCODING",
        }
    }
}
