//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no room on the disk. Once there is, the store goes on by itself.
    #[error("the disk is full: {0}")]
    DiskFull(#[source] io::Error),
    /// The operating system does not let this process do that.
    #[error("not permitted: {0}")]
    Permission(#[source] io::Error),
    /// Anything else that the operating system says.
    #[error("input or output failed: {0}")]
    Io(#[source] io::Error),
    /// Another process, or another part of this one, has the store open.
    #[error("the store is in use")]
    Locked,
    /// There is no store in that directory.
    #[error("there is no store")]
    NoStore,
    /// The store was written by a newer version of this library.
    #[error("the store has format {found}, this library knows {known}")]
    NewerFormat {
        /// The store's.
        found: u32,
        /// The newest that this library knows.
        known: u32,
    },
    /// What is on disk is not what was written.
    #[error("{} is corrupt at byte {offset}: {what}", .file.display())]
    Corrupt {
        /// Relative to the directory of the store; for a stream that is imported, empty.
        file: PathBuf,
        /// Where in it; 0 if that cannot be told.
        offset: u64,
        /// For people.
        what: String,
    },
    /// There is no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// There is such a session already.
    #[error("there is such a session already")]
    SessionExists,
    /// A sequence number is lower than the newest.
    #[error("sequence number {seq} came after {newest}")]
    OutOfOrder {
        /// The one that came.
        seq: u64,
        /// The newest so far.
        newest: u64,
    },
    /// More bytes than [`limits`](crate::limits) allow.
    #[error("{bytes} bytes, at most {most} are allowed")]
    TooLarge {
        /// How many came.
        bytes: usize,
        /// How many are allowed.
        most: usize,
    },
}

impl Error {
    pub(crate) fn corrupt(file: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.into(), offset, what: what.into() }
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
