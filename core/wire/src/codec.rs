//! One message per frame: the MessagePack array `[tag, body]`.

use rmp::Marker;
use rmp_serde::decode::Error as DecodeError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::open::Open;

/// Why a frame is not a valid message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is not the array `[tag, body]`.
    #[error("invalid message: {0}")]
    Frame(&'static str),
    /// A message of a later version of the protocol, which a reader must understand.
    #[error("message {0} is of a later version of the protocol")]
    UnknownMessage(u8),
    /// The body does not fit the tag.
    #[error("invalid message body: {0}")]
    Body(#[from] DecodeError),
    /// A text is not valid UTF-8.
    #[error("invalid message: a text is not UTF-8")]
    NotUtf8,
    /// Bytes follow the message.
    #[error("invalid message: bytes follow its end")]
    Trailing,
    /// A join or a greeting of another version of the protocol. The rest of it may have any shape.
    #[error("expected another version of the protocol, found {0}")]
    Version(u64),
    /// A part exceeds its [limit](crate::limits).
    #[error("the {0} exceeds its limit")]
    TooLarge(&'static str),
}

/// Capacity for all of a small message but its payload.
const TYPICAL_MESSAGE: usize = 64;

/// The frame of a message.
pub(crate) fn encode<T: Serialize + ?Sized>(tag: u8, body: &T) -> Vec<u8> {
    let mut frame = Vec::with_capacity(TYPICAL_MESSAGE);
    frame.extend_from_slice(&[0x92, tag]); // an array of two; tags stay below 128
    append(&mut frame, body);
    frame
}

/// Appends a value in its shortest encoding.
pub(crate) fn append<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    rmp_serde::encode::write(bytes, value)
        .expect("messages hold only what MessagePack can express, and a Vec takes every byte");
}

/// The frame of a message whose body is a byte string, which may be long.
pub(crate) fn encode_bytes(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + TYPICAL_MESSAGE);
    frame.extend_from_slice(&[0x92, tag]);
    rmp::encode::write_bin(&mut frame, body).expect("a Vec takes every byte");
    frame
}

/// The tag and the bytes of the body.
pub(crate) fn split(frame: &[u8]) -> Result<(u8, &[u8]), WireError> {
    match frame {
        [0x92, tag @ 0..=127, body @ ..] => Ok((*tag, body)),
        [0x92, ..] => Err(WireError::Frame("expected a tag below 128")),
        [] => Err(WireError::Frame("the frame is empty")),
        _ => Err(WireError::Frame("expected an array of a tag and a body")),
    }
}

/// Reads a whole body.
pub(crate) fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    if !all_texts_are_utf8(bytes) {
        return Err(WireError::NotUtf8);
    }
    let mut rest = rmp_serde::decode::Deserializer::from_read_ref(bytes);
    rest.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut rest)?;
    // Reading another marker fails in this way only if no byte is left.
    match bool::deserialize(&mut rest) {
        Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(WireError::Trailing),
    }
}

/// What becomes of a message whose tag this version does not know.
///
/// # Errors
/// If a reader must understand it, or its body is not exactly one value.
pub(crate) fn pass_over(tag: u8, bytes: &[u8]) -> Result<(), WireError> {
    if tag < limits::FIRST_OPTIONAL_TAG {
        return Err(WireError::UnknownMessage(tag));
    }
    body::<IgnoredAny>(bytes).map(|_| ())
}

/// Reads a whole body that is an array of fields. Further fields are ignored.
pub(crate) fn fields<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    body::<Open<T>>(bytes).map(|open| open.0)
}

/// Reads this number of values, to which nothing is left behind.
pub(crate) fn skip(mut bytes: &[u8], values: u32) -> Result<(), WireError> {
    for _ in 0..values {
        let mut rest = rmp_serde::Deserializer::new(&mut bytes);
        rest.set_max_depth(MAX_DEPTH);
        IgnoredAny::deserialize(&mut rest)?;
    }
    if bytes.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
}

/// Checks the version, which is the first entry of the body. In another version the rest may have any shape.
pub(crate) fn check_version(body: &[u8], own: u16) -> Result<(), WireError> {
    let mut rest = body;
    let version = rmp::decode::read_array_len(&mut rest).ok();
    match version.and_then(|_| rmp::decode::read_int(&mut rest).ok()) {
        Some(version) if version != u64::from(own) => Err(WireError::Version(version)),
        // What is not a valid version is not a valid body either.
        _ => Ok(()),
    }
}

/// Whether every text is UTF-8. `rmp-serde` would read another one as a byte string, which has an encoding of its own. Of
/// bytes that end too early nothing is said.
fn all_texts_are_utf8(mut rest: &[u8]) -> bool {
    while let Some((marker, behind)) = rest.split_first() {
        rest = behind;
        let (length, is_text) = match Marker::from_u8(*marker) {
            Marker::FixStr(length) => (Some(usize::from(length)), true),
            Marker::Str8 => (take_length::<1>(&mut rest), true),
            Marker::Str16 => (take_length::<2>(&mut rest), true),
            Marker::Str32 => (take_length::<4>(&mut rest), true),
            Marker::Bin8 => (take_length::<1>(&mut rest), false),
            Marker::Bin16 => (take_length::<2>(&mut rest), false),
            Marker::Bin32 => (take_length::<4>(&mut rest), false),
            Marker::U8 | Marker::I8 => (Some(1), false),
            Marker::U16 | Marker::I16 | Marker::Array16 | Marker::Map16 => (Some(2), false),
            Marker::U32 | Marker::I32 | Marker::F32 | Marker::Array32 | Marker::Map32 => {
                (Some(4), false)
            }
            Marker::U64 | Marker::I64 | Marker::F64 => (Some(8), false),
            // One byte only, or in no message.
            _ => (Some(0), false),
        };
        let Some(content) = length.and_then(|length| rest.split_off(..length)) else { return true };
        if is_text && str::from_utf8(content).is_err() {
            return false;
        }
    }
    true
}

/// Reads a length in this many bytes, big-endian.
fn take_length<const N: usize>(rest: &mut &[u8]) -> Option<usize> {
    let bytes = rest.split_off(..N)?;
    Some(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

/// Nesting of the deepest message (a list of views in a body), with a margin.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use crate::{ClientMessage, Send, ServerMessage, WireError};

    #[test]
    fn bytes_behind_a_message_are_refused() {
        let mut frame = ClientMessage::Send(Send { counter: 1, payload: b"x" }).encode();
        assert!(ClientMessage::decode(&frame).is_ok());
        frame.push(0x91);
        assert!(matches!(ClientMessage::decode(&frame), Err(WireError::Trailing)));
    }

    #[test]
    fn every_truncated_message_is_refused() {
        let frame = ServerMessage::Tick(1 << 40).encode();
        for length in 0..frame.len() {
            assert!(ServerMessage::decode(&frame[..length]).is_err(), "{length} bytes");
        }
    }
}
