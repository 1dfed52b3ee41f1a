//! WebSocket frames (RFC 6455) as a server reads and writes them.
//!
//! Messages of the protocol are whole binary frames of bounded size. So this reader assembles nothing, and copies only frames
//! that arrive in pieces. A general reader has a buffer for each connection, which would be most of a connection's memory.

use bytes::BytesMut;
use teatime_wire::CloseReason;

/// A frame that a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A binary frame, which should contain a message of the protocol.
    Binary(&'a [u8]),
    /// A ping. The server answers with a pong with the same content.
    Ping(&'a [u8]),
    /// A pong, which the server ignores.
    Pong,
    /// The client closes.
    Close,
}

/// A frame that cannot be part of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadFrame(pub(crate) CloseReason, pub(crate) &'static str);

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The next frame at the front of `bytes`, unmasked in place, and its length in bytes. `None` if it has not arrived whole:
/// then this takes the same time however much of it is there.
///
/// The mask is zero afterwards. So the same frame may be parsed again, by the thread that a connection is handed to.
pub(crate) fn parse(
    bytes: &mut [u8],
    most: usize,
) -> Result<Option<(Incoming<'_>, usize)>, BadFrame> {
    let malformed = |what| Err(BadFrame(CloseReason::Malformed, what));
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return malformed("reserved bits of a WebSocket frame are set");
    }
    if first & 0x80 == 0 {
        return malformed("a fragmented WebSocket message");
    }
    if second & 0x80 == 0 {
        return malformed("a WebSocket frame without mask");
    }
    let (length, mask_at) = match second & 0x7f {
        126 => match bytes.get(2..4).and_then(|length| length.try_into().ok()) {
            Some(length) => (u64::from(u16::from_be_bytes(length)), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|length| length.try_into().ok()) {
            Some(length) => (u64::from_be_bytes(length), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    let kind = first & 0x0f;
    if kind >= CLOSE && length > 125 {
        return malformed("a WebSocket control frame that is too long");
    }
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= most) else {
        return Err(BadFrame(CloseReason::TooLarge, "a frame that is too large"));
    };
    let Some(mask) = bytes.get(mask_at..mask_at + 4).and_then(|mask| mask.try_into().ok()) else {
        return Ok(None);
    };
    let (start, end) = (mask_at + 4, mask_at + 4 + length);
    if bytes.len() < end {
        return Ok(None);
    }
    bytes[mask_at..start].fill(0);
    let payload = &mut bytes[start..end];
    if mask != [0; 4] {
        unmask(payload, mask);
    }
    let incoming = match kind {
        BINARY => Incoming::Binary(payload),
        CLOSE => Incoming::Close,
        PING => Incoming::Ping(payload),
        PONG => Incoming::Pong,
        1 => return malformed("a text message"),
        _ => return malformed("an unknown kind of WebSocket frame"),
    };
    Ok(Some((incoming, end)))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Eight bytes at a time: there may be hundreds of megabytes of them.
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Writes a binary frame.
pub(crate) fn write_binary(out: &mut BytesMut, payload: &[u8]) {
    write(out, BINARY, payload);
}

/// The length of a binary frame with a payload of this length.
pub(crate) fn binary_length(length: usize) -> usize {
    length + header(BINARY, length).1
}

/// Writes what comes before the payload of a binary frame with a payload of this length.
pub(crate) fn write_binary_header(out: &mut BytesMut, length: usize) {
    write_header(out, BINARY, length);
}

/// Writes the answer to a ping.
pub(crate) fn write_pong(out: &mut BytesMut, payload: &[u8]) {
    write(out, PONG, payload);
}

/// Writes a close frame; the detail is cut to what fits.
pub(crate) fn write_close(out: &mut BytesMut, reason: CloseReason, detail: &str) {
    let most = detail.floor_char_boundary(teatime_wire::limits::MAX_CLOSE_REASON);
    let mut payload = reason.code().to_be_bytes().to_vec();
    payload.extend_from_slice(&detail.as_bytes()[..most]);
    write(out, CLOSE, &payload);
}

fn write(out: &mut BytesMut, kind: u8, payload: &[u8]) {
    write_header(out, kind, payload.len());
    out.extend_from_slice(payload);
}

fn write_header(out: &mut BytesMut, kind: u8, length: usize) {
    let (header, used) = header(kind, length);
    out.extend_from_slice(&header[..used]);
}

/// A header, and how many bytes of it are used.
fn header(kind: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [0x80 | kind, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let length = length as u64;
    let used = match length {
        0..126 => {
            header[1] = length as u8;
            2
        }
        126..0x1_0000 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&length.to_be_bytes());
            10
        }
    };
    (header, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut out, first & 0x0f, payload);
        let header = out.len() - payload.len();
        let mut frame = out[..header].to_vec();
        frame[0] = first;
        frame[1] |= 0x80;
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b));
        frame
    }

    #[test]
    fn frames_of_every_length_class_come_back_whole_and_never_too_early() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let frame = masked(0x82, &payload);
            let mut trailing = frame.clone();
            trailing.push(0x82);
            let parsed = parse(&mut trailing, 70_000);
            assert_eq!(parsed, Ok(Some((Incoming::Binary(&payload), frame.len()))));
            for cut in (0..frame.len()).step_by(frame.len() / 20 + 1) {
                assert_eq!(parse(&mut frame[..cut].to_vec(), 70_000), Ok(None));
            }
        }
    }

    #[test]
    fn a_frame_that_is_parsed_again_is_the_same() {
        let mut frame = masked(0x82, b"a join");
        for _ in 0..2 {
            assert_eq!(parse(&mut frame, 100), Ok(Some((Incoming::Binary(b"a join"), 12))));
        }
    }

    #[test]
    fn frames_outside_the_protocol_are_refused() {
        let code = |frame: &[u8]| parse(&mut frame.to_vec(), 100).expect_err("it is refused").0;
        assert_eq!(code(&masked(0x81, b"text")), CloseReason::Malformed);
        assert_eq!(code(&masked(0x02, b"first fragment")), CloseReason::Malformed);
        assert_eq!(code(&masked(0x80, b"continuation")), CloseReason::Malformed);
        assert_eq!(code(&masked(0xc2, b"reserved")), CloseReason::Malformed);
        assert_eq!(code(&masked(0x83, b"unknown")), CloseReason::Malformed);
        assert_eq!(code(&masked(0x89, &[0; 126])), CloseReason::Malformed);
        assert_eq!(code(&[0x82, 0x01, 0x00]), CloseReason::Malformed);
        assert_eq!(code(&masked(0x82, &[0; 101])), CloseReason::TooLarge);
        assert_eq!(
            code(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
            CloseReason::TooLarge
        );
    }
}
