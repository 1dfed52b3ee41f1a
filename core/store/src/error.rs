//! The error of a store.

use std::io;
use std::path::PathBuf;

use teatime_reflector::storage::StorageError;

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full. Once it has space again, the store goes on by itself.
    #[error("the disk is full: {0}")]
    DiskFull(#[source] io::Error),
    /// The operating system does not permit it.
    #[error("not permitted: {0}")]
    Permission(#[source] io::Error),
    /// Any other error of the operating system.
    #[error("input or output failed: {0}")]
    Io(#[source] io::Error),
    /// Another process, or another part of this one, has the store open.
    #[error("the store is in use")]
    Locked,
    /// The directory has no store.
    #[error("no store found")]
    NoStore,
    /// A version of this library with another format wrote the store.
    #[error("the store has format {found}, this version of Teatime reads format {known}")]
    OtherFormat {
        /// The format of the store.
        found: u32,
        /// The format that this library reads and writes.
        known: u32,
    },
    /// The disk has something else than what was written.
    #[error("{} is corrupt at byte {offset}: {what}", .file.display())]
    Corrupt {
        /// Relative to the directory of the store; empty for an imported stream.
        file: PathBuf,
        /// Where in the file; 0 if unknown.
        offset: u64,
        /// For people.
        what: String,
    },
    /// The store does not have this session or room.
    #[error("the store has no such session or room")]
    Unknown,
    /// The history that a checkpoint has replaced is not retained.
    #[error("the session has no previous history to go back to")]
    NoHistory,
    /// The store already has this session or room.
    #[error("the session or room exists already")]
    Exists,
    /// A sequence number is lower than the newest one.
    #[error("message {seq} came after message {newest}")]
    OutOfOrder {
        /// The number that came.
        seq: u64,
        /// The newest number before.
        newest: u64,
    },
    /// More bytes than the module `limits` allows.
    #[error("the record has {bytes} bytes, expected at most {most}")]
    TooLarge {
        /// How many bytes came.
        bytes: usize,
        /// How many are allowed.
        most: usize,
    },
}

impl Error {
    /// The name that programs switch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => "DISK_FULL",
            Self::Permission(_) | Self::Io(_) | Self::Unknown | Self::OutOfOrder { .. } => "IO",
            Self::Locked => "IN_USE",
            Self::NoStore => "NO_STORE",
            Self::OtherFormat { .. } => "OTHER_FORMAT",
            Self::Corrupt { .. } => "DAMAGED",
            Self::NoHistory => "NO_HISTORY",
            Self::Exists => "ROOM_EXISTS",
            Self::TooLarge { .. } => "TOO_LARGE",
        }
    }

    pub(crate) fn corrupt(file: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.into(), offset, what: what.into() }
    }
}

/// Why what a reflector has stored cannot be read.
impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full => Self::DiskFull(io::ErrorKind::StorageFull.into()),
            StorageError::Corrupt(what) => Self::corrupt("", 0, what),
            other => Self::Io(io::Error::other(other)),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull(error),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission(error)
            }
            _ => Self::Io(error),
        }
    }
}
