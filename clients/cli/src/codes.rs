//! Codes of errors of recordings and stores, for programs that read JSON. Each error names its own code, so a new one
//! cannot lack it.

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
        self.code()
    }
}

impl Coded for ReadError {
    fn code(&self) -> &'static str {
        self.code()
    }
}

impl Coded for ArchiveError {
    fn code(&self) -> &'static str {
        self.code()
    }
}

impl Coded for BranchError {
    fn code(&self) -> &'static str {
        self.code()
    }
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        self.code()
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
