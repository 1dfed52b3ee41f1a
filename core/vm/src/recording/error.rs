//! Why a recording cannot be used, or not to its end.

use crate::snapshot::SnapshotError;
use crate::vm::{OrderError, VmError};

/// Why bytes are not a valid recording, or not one that this app can play.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file starts with another mark.
    #[error("this is neither a recording nor the evidence of a divergence")]
    Unknown,
    /// The file has a format of another version of this library.
    #[error(
        "this file has format {found}, expected {known}: {} version of this program has made it",
        if found > known { "a newer" } else { "an older" }
    )]
    Format {
        /// Format of the file.
        found: u8,
        /// The format that this version reads.
        known: u8,
    },
    /// The file was changed, or a file that must be whole was truncated.
    #[error("this file is damaged: its checksum is wrong")]
    Damaged,
    /// The file was truncated before the first event.
    #[error("this recording is truncated: not even its beginning is whole")]
    Short,
    /// The recording has no regular end. [`Recording::decode_part`](super::Recording::decode_part) reads
    /// what there is.
    #[error("this recording is not whole: {0}")]
    Truncated(#[from] TruncatedError),
    /// The content of the file is not valid.
    #[error("the content of this file is not valid: {0}")]
    Content(String),
    /// The recording is of another app.
    #[error("this is a recording of the app {found:?}, not of {known:?}")]
    App {
        /// App id of the recording.
        found: String,
        /// Id of the app that was to play it.
        known: String,
    },
    /// The recording is of another version of the app.
    #[error(
        "this is a recording of another version of the app {app:?} (declared version {found}, here {known}): \
         play it with a program that has the same models"
    )]
    Version {
        /// Id of the app.
        app: String,
        /// Declared version of the recording.
        found: u32,
        /// Declared version of the app here.
        known: u32,
    },
    /// The session cannot be started.
    #[error(transparent)]
    Start(#[from] VmError),
    /// The snapshot that the recording starts from cannot be restored.
    #[error("the state at the beginning of the recording is not valid: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The events are out of order.
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl RecordingError {
    /// The name that programs switch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "NO_RECORDING",
            Self::Format { .. } => "OTHER_FORMAT",
            Self::App { .. } => "OTHER_APP",
            Self::Version { .. } => "OTHER_VERSION",
            Self::Damaged
            | Self::Short
            | Self::Truncated(_)
            | Self::Content(_)
            | Self::Start(_)
            | Self::Snapshot(_)
            | Self::Order(_) => "DAMAGED",
        }
    }
}

/// Where a recording stops that has no regular end. What comes before can be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TruncatedError {
    /// The file stops after a whole block.
    #[error("it has no end: its recorder was stopped, or still runs")]
    Open,
    /// The file stops in the middle of a block.
    #[error("it is truncated at byte {at}, in the middle of the last block")]
    Torn {
        /// Where that block starts, in bytes.
        at: usize,
    },
    /// A block was changed after it was written.
    #[error("it is damaged at byte {at}: nothing from there on can be used")]
    Damaged {
        /// Where that block starts, in bytes.
        at: usize,
    },
}
