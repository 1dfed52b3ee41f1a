//! Codes of errors of recordings and stores, for programs that read JSON. Each error names its own code, so a new one
//! cannot lack it.

use std::fmt::Display;

use serde_json::{Value, json};
use teatime::SnapshotError;
use teatime::evidence::ReadError;
use teatime::recording::{ArchiveError, BranchError, RecordingError};
use teatime_store::Error as StoreError;

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

/// A hint to the user, as JSON. Programs switch on its code.
pub(crate) fn hint_line(hint: &teatime::OtherPassword) -> Value {
    json!({ "event": "hint", "code": "OTHER_PASSWORD", "message": hint.to_string() })
}

/// A line of JSON for an error.
pub(crate) fn error_line(code: &str, message: &dyn Display) -> Value {
    json!({ "event": "error", "code": code, "message": message.to_string() })
}
