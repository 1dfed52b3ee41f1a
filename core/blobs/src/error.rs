//! The errors of transfers, and their progress.

use teatime_wire::{Refused, WireError};

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the blob that have arrived.
    pub done: u64,
    /// Size of the blob in bytes.
    pub total: u64,
}

/// Why a transfer failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The blob is larger than the server allows, or than any blob can be. Nothing was sent.
    #[error("the blob has {size} bytes, expected at most {most}")]
    TooLarge {
        /// Size of the blob in bytes.
        size: u64,
        /// Largest allowed size in bytes.
        most: u64,
    },
    /// The server has no room for the blob: the share of this room is used up, or all of its space for blobs.
    #[error("the server has no room for the blob")]
    NoRoom,
    /// The server's disk is full.
    #[error("the server's disk is full")]
    ServerDiskFull,
    /// The server's storage fails.
    #[error("the server cannot store or read blobs: its storage fails")]
    ServerFailed,
    /// The server does not have the blob: no client stored it, or no session has referred to it for long.
    #[error("the server does not have this blob")]
    Unknown,
    /// The handle belongs to another room, or to this one with another password.
    #[error("the handle belongs to another room, or to another password")]
    OtherSession,
    /// The server sent other bytes than were stored. None of them were handed out.
    #[error("the server sent wrong bytes")]
    WrongBytes,
    /// The server lost chunks during the upload.
    #[error("the server lost a part of the blob during the upload: store it again")]
    Forgotten,
    /// The source has more or fewer bytes than announced.
    #[error("expected {0} bytes from the source, found more or fewer")]
    WrongSize(u64),
    /// The source cannot be read, or the target cannot be written.
    #[error("{0}")]
    Local(String),
    /// The server sent something that the protocol does not allow.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The server had its maximum of transfers, also after some time.
    #[error("the server has its maximum of transfers: {0}")]
    Busy(String),
    /// No connection lasts long enough to make progress.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The certificate of the server is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    BadCertificate(String),
    /// The server closed the connection, with this reason. Trying again is useless.
    #[error("the server closed the connection: {0}")]
    Closed(String),
    /// The caller cancelled the transfer.
    #[error("the transfer was cancelled")]
    Cancelled,
}

impl BlobError {
    /// The name of the error for programs. It is the same in all languages.
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
