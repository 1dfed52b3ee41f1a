//! Sessions for Swift and Kotlin through uniffi: objects, records, exceptions.
//!
//! Apps do not call the code that uniffi generates from this: a package for each language wraps it.
//! Every function returns a `Result`, because a panic in any other function would end a Swift app.
//! Payloads cross as bytes, in MessagePack or JSON; the caller chooses.

mod blobs;
mod event;
mod link;
mod reflector;
mod session;

pub use blobs::{Transfer, TransferProgress};
pub use event::Event;
pub use link::{Link, QrModules, link_of, make_link, options_of_link, parse_link, qr_code};
pub use reflector::Reflector;
pub use session::{App, JoinOptions, Presence, Session, Waker};

use crate::payload::tea_format;
use crate::status::{Failure, tea_status};

/// A call that failed.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum CallError {
    /// A failure with the code that all languages share, and a message for people.
    #[error("{why}")]
    Failed {
        /// The code.
        status: tea_status,
        /// The code's name in logs and JSON, such as `BAD_SNAPSHOT`.
        name: String,
        /// The message. Not called `message`, because exceptions in Kotlin have a member of that name.
        why: String,
    },
}

impl From<Failure> for CallError {
    fn from(Failure { status, message }: Failure) -> Self {
        Self::Failed { status, name: status.name().to_owned(), why: message }
    }
}

pub(crate) type Result<T> = std::result::Result<T, CallError>;

/// A payload as MessagePack. No bytes stand for nil.
fn to_msgpack(payload: &[u8], format: tea_format) -> crate::status::Result<Vec<u8>> {
    crate::value::canonical(crate::payload::tea_payload::borrow(payload, format))
}

/// The version of the library, such as 0.1.0.
#[uniffi::export]
pub fn library_version() -> Result<String> {
    Ok(env!("CARGO_PKG_VERSION").to_owned())
}

/// Converts a payload from one format to the other.
#[uniffi::export]
pub fn convert(payload: &[u8], from: tea_format, to: tea_format) -> Result<Vec<u8>> {
    let payload = teatime::Payload::from_msgpack(&to_msgpack(payload, from)?);
    let mut bytes = Vec::new();
    crate::value::append_payload(&mut bytes, &payload, to)?;
    Ok(bytes)
}

/// The text of a line of the chat's history, without tags and with resolved escapes.
#[uniffi::export]
pub fn chat_plain_text(html: &str) -> Result<String> {
    Ok(teatime_chat::plain_text(html))
}

/// A text of other users as one line for a terminal, without characters that a terminal obeys or does not show.
#[uniffi::export]
pub fn printable(text: &str) -> Result<String> {
    Ok(teatime_chat::printable(text))
}
