//! The same sessions for Swift and Kotlin, through uniffi: objects, records, exceptions.
//!
//! What is generated of this is not meant to be called by apps: a package wraps it for each language.
//! Every function returns a `Result`, because a panic in one that does not would end a Swift app.
//! Data crosses as bytes, MessagePack or JSON as the caller says.

mod blobs;
mod event;
mod link;
mod reflector;
mod session;

pub use blobs::*;
pub use event::*;
pub use link::*;
pub use reflector::*;
pub use session::*;

use crate::payload::tea_format;
use crate::status::{Failure, tea_status};

/// A call that failed.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum CallError {
    /// With the code that all languages share, and a message for people.
    #[error("{why}")]
    Failed {
        /// The code.
        status: tea_status,
        /// Its name in logs and JSON, such as `WRONG_PASSWORD`.
        name: String,
        /// The message.
        why: String,
    },
}

impl From<Failure> for CallError {
    fn from(Failure { status, message }: Failure) -> Self {
        Self::Failed { status, name: status.name().to_owned(), why: message }
    }
}

pub(crate) type Result<T> = std::result::Result<T, CallError>;

/// Data as MessagePack; no bytes stand for nil.
fn to_msgpack(data: &[u8], format: tea_format) -> crate::status::Result<Vec<u8>> {
    crate::value::canonical(crate::payload::tea_payload::borrow(data, format))
}

/// The version of the library, such as 0.1.0.
#[uniffi::export]
pub fn library_version() -> Result<String> {
    Ok(env!("CARGO_PKG_VERSION").to_owned())
}

/// Data from one format to the other.
#[uniffi::export]
pub fn convert(data: &[u8], from: tea_format, to: tea_format) -> Result<Vec<u8>> {
    let payload = teatime::Payload::from_msgpack(&to_msgpack(data, from)?);
    let mut bytes = Vec::new();
    crate::value::append_payload(&mut bytes, &payload, to)?;
    Ok(bytes)
}

/// The text of a line of the chat's history: without its tags, with its escapes resolved.
#[uniffi::export]
pub fn chat_plain_text(html: &str) -> Result<String> {
    Ok(teatime_chat::plain_text(html))
}
