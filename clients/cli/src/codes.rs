//! The names of what goes wrong with recordings and stores, for programs that read JSON.

use std::fmt::Display;

use serde_json::{Value, json};
use teatime::SnapshotError;
use teatime::evidence::ReadError;
use teatime::recording::{ArchiveError, BranchError, RecordingError};
use teatime_store::Error as StoreError;

use crate::Failure;

/// Something that has such a name.
pub(crate) trait Coded: Display {
    fn code(&self) -> &'static str;
}

impl Coded for RecordingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "NO_RECORDING",
            Self::Format { .. } => "OTHER_FORMAT",
            Self::App { .. } => "OTHER_APP",
            Self::Version { .. } => "OTHER_VERSION",
            // What is left is about what is in it.
            _ => "DAMAGED",
        }
    }
}

impl Coded for ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "TOO_LARGE",
            Self::Content(error) => error.code(),
            _ => "IO",
        }
    }
}

impl Coded for ArchiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::NeedsPassword | Self::NoPassword | Self::WrongPassword => "WRONG_PASSWORD",
            _ => "DAMAGED",
        }
    }
}

impl Coded for BranchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Archive(error) => error.code(),
            _ => "IO",
        }
    }
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => "DISK_FULL",
            Self::Locked => "IN_USE",
            Self::NoStore => "NO_STORE",
            Self::OtherFormat { .. } => "OTHER_FORMAT",
            Self::Corrupt { .. } => "DAMAGED",
            Self::Exists => "ROOM_EXISTS",
            Self::TooLarge { .. } => "TOO_LARGE",
            _ => "IO",
        }
    }
}

impl Coded for SnapshotError {
    fn code(&self) -> &'static str {
        "DAMAGED"
    }
}

/// A line that says what went wrong.
pub(crate) fn error_line(code: &str, message: &dyn Display) -> Value {
    json!({ "event": "error", "code": code, "message": message.to_string() })
}

/// Tells whoever asked for JSON in JSON what went wrong. Wrong calls are told to whoever wrote them.
pub(crate) fn in_json(json: bool, result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Coded(code, message)) if json => {
            crate::say(&error_line(code, &message));
            Err(Failure::Told)
        }
        result => result,
    }
}
