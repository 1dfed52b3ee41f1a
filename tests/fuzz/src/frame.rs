//! Each message of the protocol, and the envelope of a snapshot.

use teatime_wire::{BlobReply, BlobRequest, ClientMessage, CloseReason, Envelope, ServerMessage};

/// Whatever can be read comes back when it is written and read again.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(message) = ServerMessage::decode(bytes) {
        let again = message.encode();
        assert_eq!(ServerMessage::decode(&again).expect("it was encoded"), message);
    }
    if let Ok(message) = ClientMessage::decode(bytes) {
        let again = message.encode();
        assert_eq!(ClientMessage::decode(&again).expect("it was encoded"), message);
    }
    if let Ok(request) = BlobRequest::decode(bytes) {
        let again = request.encode();
        assert_eq!(BlobRequest::decode(&again).expect("it was encoded"), request);
    }
    if let Ok(reply) = BlobReply::decode(bytes) {
        let again = reply.encode();
        assert_eq!(BlobReply::decode(&again).expect("it was encoded"), reply);
    }
    envelope(bytes);
    close(bytes);
}

/// There is one encoding of an envelope, in whatever parts it arrives.
fn envelope(bytes: &[u8]) {
    let whole = Envelope::open(&[bytes]);
    let (front, back) = bytes.split_at(bytes.len() / 2);
    assert_eq!(Envelope::open(&[front, back]), whole);
    if let Ok((state, envelope)) = whole {
        assert_eq!(envelope.wrap(&bytes[state]), bytes);
    }
}

/// The body of a close frame.
fn close(bytes: &[u8]) {
    let Some((code, detail)) = bytes.split_first_chunk() else { return };
    let code = u16::from_be_bytes(*code);
    let read = CloseReason::read(code, &String::from_utf8_lossy(detail));
    let is_known = CloseReason::from_code(code).is_some();
    assert_eq!(read.is_some(), is_known || (4100..5000).contains(&code));
}
