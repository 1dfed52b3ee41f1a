//! Golden vectors of blob connections, put together here by hand from the MessagePack specification; and
//! whatever arrives, reading it ends well.

use crate::ids::{FORMS, hex, with_other_ids};
use proptest::prelude::*;
use teatime_wire::limits::*;
use teatime_wire::{
    BlobLimits, BlobReply, BlobRequest, Digest, Hello, PublicKey, Refused, Signature,
};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// A hello in a room without password.
fn open(name: Digest) -> Hello<'static> {
    Hello { version: 1, name, password_key: None, agent: "t", signature: None }
}

#[test]
fn every_message_has_the_bytes_that_the_specification_of_messagepack_gives() {
    let a = Digest([0xaa; 32]);
    // c4: a byte string with an 8-bit length; 93: an array of three; a1: a string of one.
    let digest = format!("c4 20 {}", "aa".repeat(32));
    for (request, expected) in [
        (BlobRequest::Hello(open(a)), format!("92 01 95 01 {digest} c0 a1 74 c0")),
        (
            BlobRequest::Hello(Hello {
                password_key: Some(PublicKey([0xaa; 32])),
                signature: Some(Signature([0xbb; 64])),
                ..open(a)
            }),
            format!("92 01 95 01 {digest} {digest} a1 74 c4 40 {}", "bb".repeat(64)),
        ),
        (BlobRequest::Offer(vec![a, a]), format!("92 02 92 {digest} {digest}")),
        (BlobRequest::Chunk(b"x"), "92 03 c4 01 78".into()),
        (BlobRequest::Manifest(b"x"), "92 04 c4 01 78".into()),
        (BlobRequest::Get(a), format!("92 05 {digest}")),
    ] {
        assert_eq!(request.encode(), hex(&expected), "{request:?}");
    }
    for (reply, expected) in [
        (
            BlobReply::Ready(BlobLimits { max_blob: 5, room: u64::MAX }),
            "92 01 92 05 cf ffffffffffffffff".into(),
        ),
        (BlobReply::Wanted(vec![a]), format!("92 02 91 {digest}")),
        (BlobReply::Stored(a), format!("92 03 {digest}")),
        (BlobReply::Complete(a), format!("92 04 {digest}")),
        (BlobReply::Content(b"x"), "92 05 c4 01 78".into()),
        (BlobReply::Unknown(a), format!("92 06 {digest}")),
        (BlobReply::Refused(Refused::TooLarge), "92 07 01".into()),
        (BlobReply::Refused(Refused::NoRoom), "92 07 02".into()),
        (BlobReply::Refused(Refused::DiskFull), "92 07 03".into()),
        (BlobReply::Refused(Refused::Failed), "92 07 04".into()),
    ] {
        assert_eq!(reply.encode(), hex(&expected), "{reply:?}");
    }
}

#[test]
fn an_id_is_a_byte_string_of_its_length_and_nothing_else() {
    let a = Digest([0xaa; 32]);
    for request in [BlobRequest::Hello(open(a)), BlobRequest::Offer(vec![a]), BlobRequest::Get(a)] {
        let others = with_other_ids(&request.encode());
        assert_eq!(others.len(), FORMS);
        assert!(others.iter().all(|other| BlobRequest::decode(other).is_err()), "{request:?}");
    }
    for reply in [
        BlobReply::Wanted(vec![a]),
        BlobReply::Stored(a),
        BlobReply::Complete(a),
        BlobReply::Unknown(a),
    ] {
        let others = with_other_ids(&reply.encode());
        assert_eq!(others.len(), FORMS);
        assert!(others.iter().all(|other| BlobReply::decode(other).is_err()), "{reply:?}");
    }
}

#[test]
fn the_protocol_page_lists_every_limit_as_the_code_has_it() {
    for (name, value) in [
        ("BLOB_CHUNK", BLOB_CHUNK),
        ("MAX_BLOB_CHUNK", MAX_BLOB_CHUNK),
        ("MAX_CHUNKS", MAX_CHUNKS),
        ("MAX_BLOB_FRAME", MAX_BLOB_FRAME),
        ("MAX_OFFER", MAX_OFFER),
    ] {
        assert!(PROTOCOL.contains(&format!("| {name} | {value}")), "{name} is {value}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bodies_behind_every_tag_never_panic(
        tag in 0u8..12,
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let frame = [&[0x92, tag], &body[..]].concat();
        let _ = BlobRequest::decode(&frame);
        let _ = BlobReply::decode(&frame);
    }
}
