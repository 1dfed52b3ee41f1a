//! One message per frame: the MessagePack array `[tag, body]`.

use rmp_serde::decode::Error as DecodeError;
use serde::{Deserialize, Serialize};

/// Why a frame is no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is not the array `[tag, body]`.
    #[error("not a message: {0}")]
    Frame(&'static str),
    /// Its tag belongs to no message.
    #[error("unknown message {0}")]
    UnknownMessage(u8),
    /// Its body is not that of its tag.
    #[error("wrong body: {0}")]
    Body(#[from] DecodeError),
    /// Bytes follow the message.
    #[error("bytes follow the message")]
    Trailing,
    /// A limit of [`limits`](crate::limits) is exceeded.
    #[error("the {0} is too large")]
    TooLarge(&'static str),
}

/// Room for everything in a small message but its payload.
const TYPICAL_MESSAGE: usize = 64;

/// The frame of a message.
pub(crate) fn encode<T: Serialize + ?Sized>(tag: u8, body: &T) -> Vec<u8> {
    let mut frame = Vec::with_capacity(TYPICAL_MESSAGE);
    frame.extend_from_slice(&[0x92, tag]); // an array of two; tags stay below 128
    rmp_serde::encode::write(&mut frame, body)
        .expect("messages hold only what MessagePack can express, and a Vec takes every byte");
    frame
}

/// The frame of a message whose body is bytes, of which there may be many.
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
        [0x92, ..] => Err(WireError::Frame("the tag is no number below 128")),
        [] => Err(WireError::Frame("the frame is empty")),
        _ => Err(WireError::Frame("it is no array of a tag and a body")),
    }
}

/// Reads a whole body.
pub(crate) fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let mut rest = rmp_serde::decode::Deserializer::from_read_ref(bytes);
    rest.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut rest)?;
    // Reading one more marker fails in this way only where no byte is left.
    match bool::deserialize(&mut rest) {
        Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(WireError::Trailing),
    }
}

/// Nesting of the deepest message (a list of views in a body), with room.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use crate::{ClientMessage, Send, ServerMessage, WireError};

    #[test]
    fn bytes_after_a_message_are_refused() {
        let mut frame = ClientMessage::Send(Send { counter: 1, payload: b"x" }).encode();
        assert!(ClientMessage::decode(&frame).is_ok());
        frame.push(0x91);
        assert!(matches!(ClientMessage::decode(&frame), Err(WireError::Trailing)));
    }

    #[test]
    fn every_shortened_message_is_refused() {
        let frame = ServerMessage::Tick(1 << 40).encode();
        for length in 0..frame.len() {
            assert!(ServerMessage::decode(&frame[..length]).is_err(), "{length} bytes");
        }
    }
}
