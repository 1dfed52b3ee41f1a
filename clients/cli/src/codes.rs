//! Codes of errors of recordings and stores, for programs that read JSON. These errors may get new variants (they are
//! `non_exhaustive`), so each match names the code of all variants that it does not list.

use std::fmt::Display;

use serde_json::{Value, json};
use teatime::SnapshotError;
use teatime::evidence::ReadError;
use teatime::recording::{ArchiveError, BranchError, RecordingError};
use teatime_store::Error as StoreError;

use crate::terminal::{Failure, say};

/// An error with a code. A code is never reused for another meaning.
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
            // The others are about the content: `Damaged`, `Short`, `Cut`, `Content`.
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
            // The others are about the content.
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
            Self::NewerFormat { .. } => "OTHER_FORMAT",
            Self::Corrupt { .. } => "DAMAGED",
            Self::SessionExists => "ROOM_EXISTS",
            Self::TooLarge { .. } => "TOO_LARGE",
            // The store may add errors: they are about files until they get a code here.
            _ => "IO",
        }
    }
}

impl Coded for SnapshotError {
    fn code(&self) -> &'static str {
        "DAMAGED"
    }
}

/// A line of JSON for an error.
pub(crate) fn error_line(code: &str, message: &dyn Display) -> Value {
    json!({ "event": "error", "code": code, "message": message.to_string() })
}

/// Reports a failure in JSON if the user asked for JSON. Errors of the command line stay text.
pub(crate) fn in_json(json: bool, result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Coded(code, message)) if json => {
            say(&error_line(code, &message));
            Err(Failure::Reported)
        }
        result => result,
    }
}
