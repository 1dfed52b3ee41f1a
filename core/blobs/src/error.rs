//! What can go wrong with a transfer, and how far it is.

use teatime_wire::{Refused, WireError};

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the blob that are where they shall be.
    pub done: u64,
    /// Bytes of the blob.
    pub total: u64,
}

/// What can go wrong with a transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The blob is larger than the server takes, or any server can. Nothing has been sent.
    #[error("the blob has {size} bytes, at most {most} are taken")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// What is taken.
        most: u64,
    },
    /// The server has no room for it: the room's share is used up, or all that it keeps of blobs.
    #[error("the server has no room for the blob")]
    NoRoom,
    /// The server's disk is full.
    #[error("the server's disk is full")]
    ServerDiskFull,
    /// The server's storage fails.
    #[error("the server cannot store or read blobs: its storage fails")]
    ServerFailed,
    /// The server has no such blob: it was never there, or nothing has referred to it for long.
    #[error("the server has no such blob")]
    Unknown,
    /// The handle belongs to another room, or to this one with another password.
    #[error("the handle is one of another session")]
    OtherSession,
    /// What the server handed out is not what was stored. Nothing of it has been passed on.
    #[error("the server handed out wrong bytes")]
    WrongBytes,
    /// The server forgot chunks while the blob was on its way up.
    #[error("the server lost a part of the blob while it was on its way; store it again")]
    Forgotten,
    /// The source had more or fewer bytes than said.
    #[error("the source has not the {0} bytes that were announced")]
    WrongSize(u64),
    /// The source could not be read, or the target not be written.
    #[error("{0}")]
    Local(String),
    /// What came was not the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The server has as many transfers as it takes, and still had after some time.
    #[error("the server has as many transfers as it takes: {0}")]
    Busy(String),
    /// No connection stands long enough to get on.
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    /// The server could not prove who it is.
    #[error("the server's certificate is not to be trusted: {0}")]
    BadCertificate(String),
    /// The server closed the connection for good, and said why.
    #[error("the server closed the connection: {0}")]
    Closed(String),
    /// The caller does not want it any more.
    #[error("the transfer was cancelled")]
    Cancelled,
}

impl BlobError {
    /// The name that programs switch on, the same in every language.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "BLOB_TOO_LARGE",
            Self::NoRoom => "NO_ROOM",
            Self::ServerDiskFull => "SERVER_DISK_FULL",
            Self::ServerFailed => "NOT_STORED",
            Self::Unknown => "UNKNOWN_BLOB",
            Self::OtherSession => "OTHER_SESSION",
            Self::WrongBytes => "WRONG_BYTES",
            Self::Forgotten => "FORGOTTEN",
            Self::WrongSize(_) => "WRONG_SIZE",
            Self::Local(_) => "IO",
            Self::Protocol(_) => "PROTOCOL",
            Self::Busy(_) => "BUSY",
            Self::Unreachable(_) => "UNREACHABLE",
            Self::BadCertificate(_) => "BAD_CERTIFICATE",
            Self::Closed(_) => "CLOSED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub(crate) fn refused(refused: Refused, size: u64, most: u64) -> Self {
        match refused {
            Refused::TooLarge => Self::TooLarge { size, most },
            Refused::NoRoom => Self::NoRoom,
            Refused::DiskFull => Self::ServerDiskFull,
            Refused::Failed => Self::ServerFailed,
        }
    }

    pub(crate) fn unexpected(what: &str) -> Self {
        Self::Protocol(what.to_owned())
    }
}

impl From<WireError> for BlobError {
    fn from(error: WireError) -> Self {
        Self::Protocol(error.to_string())
    }
}
