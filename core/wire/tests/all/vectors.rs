//! Golden vectors: the bytes of every message, put together here by hand from the MessagePack
//! specification, and PROTOCOL.md, which must say what the code does.

use crate::ids::{FORMS, hex, with_other_ids};
use teatime_wire::limits::*;
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Event, Hold, Join, NotPersisted, Resume, Room, Send,
    SendLimits, ServerMessage, SessionId, SnapshotInfo, SnapshotPart, Verdict, View, ViewId,
    ViewSecret, Views, Vote, VoteRequest, Welcome,
};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// `c4` is a byte string with an 8-bit length, `20` and `10` are 32 and 16.
fn bin32(byte: &str) -> String {
    format!("c4 20 {}", byte.repeat(32))
}

fn bin16(byte: &str) -> String {
    format!("c4 10 {}", byte.repeat(16))
}

fn client_vectors() -> Vec<(ClientMessage<'static>, String)> {
    let join = Join {
        protocol: 1,
        session: SessionId([0xaa; 32]),
        room: Room { name: Digest([0xdd; 32]), id: Digest([0xee; 32]), version: 3 },
        secret: ViewSecret([0xbb; 32]),
        password_proof: None,
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "t",
    };
    let full = Join {
        password_proof: Some(Digest([0xcc; 32])),
        view_data: Some(b"me"),
        attempt: 300,
        resume: Some(Resume { timeline: u64::MAX, seq: 7 }),
        ..join.clone()
    };
    let (session, secret, proof) = (bin32("aa"), bin32("bb"), bin32("cc"));
    let room = format!("{} {} 03", bin32("dd"), bin32("ee"));
    vec![
        // 9c: an array of twelve; c0: nil; a1: a string of one; cd: 16 bits; cf: 64 bits.
        (
            ClientMessage::Join(join),
            format!("92 01 9c 01 {session} {room} {secret} c0 c0 14 01 c0 a1 74"),
        ),
        (
            ClientMessage::Join(full),
            format!(
                "92 01 9c 01 {session} {room} {secret} {proof} c4 02 6d 65 14 cd 01 2c \
                 92 cf ff ff ff ff ff ff ff ff 07 a1 74"
            ),
        ),
        (ClientMessage::Send(Send { counter: 1, payload: b"x" }), "92 02 92 01 c4 01 78".into()),
        (ClientMessage::Send(Send { counter: 128, payload: b"" }), "92 02 92 cc 80 c4 00".into()),
        (ClientMessage::RequestVote, "92 03 c0".into()),
        (
            ClientMessage::Vote(Vote { seq: 65536, hash: Digest([1; 32]) }),
            format!("92 04 92 ce 00 01 00 00 {}", bin32("01")),
        ),
        (
            ClientMessage::SnapshotPart(SnapshotPart { seq: 9, offset: 0, total: 3, data: b"abc" }),
            "92 05 94 09 00 03 c4 03 61 62 63".into(),
        ),
        (ClientMessage::Ping(5), "92 06 05".into()),
        (ClientMessage::Leave, "92 07 c0".into()),
        (ClientMessage::Persist, "92 08 c0".into()),
    ]
}

fn server_vectors() -> Vec<(ServerMessage<'static>, String)> {
    let view_id = ViewId([1; 16]);
    let limits =
        SendLimits { max_payload: 65536, per_second: 1000, burst: 2000, max_snapshot: 1 << 28 };
    let welcome = Welcome {
        timeline: 2,
        view_id,
        resumed: false,
        seamless: true,
        time: 1_500_000,
        seq: 4,
        counter: 0,
        snapshot: Some(SnapshotInfo { seq: 3, time: 9, hash: Digest([7; 32]), size: 100 }),
        persisted: Some(2),
        tick_ms: 50,
        rejoin_limit_ms: 10_000,
        limits,
    };
    let views = Views {
        seq: 1,
        time: 0,
        exited: vec![View { view_id, view_data: None }],
        joined: vec![View { view_id: ViewId([2; 16]), view_data: Some(b"d") }],
        active: 1,
    };
    let (one, two, seven) = (bin16("01"), bin16("02"), bin32("07"));
    let log = vec![
        // c2 and c3: false and true; 9c: an array of twelve.
        (
            ServerMessage::Welcome(welcome),
            format!(
                "92 01 9c 02 {one} c2 c3 ce 00 16 e3 60 04 00 94 03 09 {seven} 64 02 32 cd 27 10 \
                 94 ce 00 01 00 00 cd 03 e8 cd 07 d0 ce 10 00 00 00"
            ),
        ),
        (ServerMessage::SnapshotPart(b"abc"), "92 02 c4 03 61 62 63".into()),
        (
            ServerMessage::Event(Event {
                seq: 2,
                time: 1_500_000,
                sender: view_id,
                counter: 1,
                payload: b"x",
            }),
            format!("92 03 95 02 ce 00 16 e3 60 {one} 01 c4 01 78"),
        ),
        (
            ServerMessage::Views(views),
            format!("92 04 95 01 00 91 92 {one} c0 91 92 {two} c4 01 64 01"),
        ),
        (ServerMessage::VoteRequest(VoteRequest { seq: 3, time: 200 }), "92 05 92 03 cc c8".into()),
        (ServerMessage::Tick(127), "92 06 7f".into()),
    ];
    [log, vote_vectors(&seven)].concat()
}

/// What follows from votes, and the rest.
fn vote_vectors(seven: &str) -> Vec<(ServerMessage<'static>, String)> {
    vec![
        (
            ServerMessage::Verdict(Verdict { seq: 3, hash: None, agreed: 1, of: 2 }),
            "92 07 94 03 c0 01 02".into(),
        ),
        (
            ServerMessage::Verdict(Verdict {
                seq: 3,
                hash: Some(Digest([7; 32])),
                agreed: 2,
                of: 2,
            }),
            format!("92 07 94 03 {seven} 02 02"),
        ),
        (ServerMessage::SnapshotWanted(3), "92 08 03".into()),
        (ServerMessage::Diverged(3), "92 09 03".into()),
        (ServerMessage::Pong(5), "92 0a 05".into()),
        (ServerMessage::Hold(Hold::Pause), "92 0b c3".into()),
        (ServerMessage::Hold(Hold::Resume), "92 0b c2".into()),
        (ServerMessage::Persisted(300), "92 0c cd 01 2c".into()),
        (ServerMessage::NewerVersion(3), "92 0d 03".into()),
        (
            ServerMessage::NotPersisted(NotPersisted { seq: 5, failure: Some("full") }),
            "92 0e 92 05 a4 66 75 6c 6c".into(),
        ),
        (
            ServerMessage::NotPersisted(NotPersisted { seq: 5, failure: None }),
            "92 0e 92 05 c0".into(),
        ),
    ]
}

#[test]
fn every_message_has_the_bytes_that_the_specification_of_messagepack_gives() {
    for (message, expected) in client_vectors() {
        let expected = hex(&expected);
        assert_eq!(message.encode(), expected, "{message:?}");
        assert_eq!(ClientMessage::decode(&expected).expect("it is a message"), message);
    }
    for (message, expected) in server_vectors() {
        let expected = hex(&expected);
        assert_eq!(message.encode(), expected, "{message:?}");
        assert_eq!(ServerMessage::decode(&expected).expect("it is a message"), message);
    }
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    for (message, _) in client_vectors() {
        let mut frame = message.encode();
        for length in 0..frame.len() {
            assert!(ClientMessage::decode(&frame[..length]).is_err(), "{message:?} {length}");
        }
        frame.push(0);
        assert!(ClientMessage::decode(&frame).is_err());
    }
    for (message, _) in server_vectors() {
        let mut frame = message.encode();
        for length in 0..frame.len() {
            assert!(ServerMessage::decode(&frame[..length]).is_err(), "{message:?} {length}");
        }
        frame.push(0);
        assert!(ServerMessage::decode(&frame).is_err());
    }
}

#[test]
fn an_id_is_a_byte_string_of_its_length_and_nothing_else() {
    let mut ids = 0;
    for frame in client_vectors().into_iter().map(|(_, frame)| hex(&frame)) {
        for other in with_other_ids(&frame) {
            ids += 1;
            assert!(ClientMessage::decode(&other).is_err(), "{other:02x?}");
        }
    }
    assert_eq!(ids, FORMS * (4 + 5 + 1), "two joins and a vote");
    ids = 0;
    for frame in server_vectors().into_iter().map(|(_, frame)| hex(&frame)) {
        for other in with_other_ids(&frame) {
            ids += 1;
            assert!(ServerMessage::decode(&other).is_err(), "{other:02x?}");
        }
    }
    assert_eq!(ids, FORMS * (2 + 1 + 2 + 1), "a welcome, an event, the views, and a verdict");
}

#[test]
fn debug_output_of_a_join_hides_what_only_the_client_knows() {
    for (message, _) in client_vectors() {
        let shown = format!("{message:?}");
        let hidden = ["bb", "cc", "ee"].map(|byte| byte.repeat(8));
        assert!(!hidden.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

#[test]
fn the_view_id_is_the_front_of_the_derived_key() {
    let secret = ViewSecret([0xbb; 32]);
    let derived = blake3::derive_key("teatime v1 view id", &secret.0);
    assert_eq!(secret.view_id().0, derived[..16]);
}

#[test]
fn the_protocol_page_lists_every_close_code_and_limit_as_the_code_has_it() {
    for reason in CloseReason::ALL {
        let row = format!("| {} | {} |", reason.code(), reason.name());
        assert!(PROTOCOL.contains(&row), "{row}");
        assert_eq!(CloseReason::from_code(reason.code()), Some(reason));
        assert_eq!(CloseReason::read(reason.code(), "text"), Some((reason, "text".into())));
    }
    for (name, value) in [
        ("MAX_PAYLOAD", MAX_PAYLOAD as u64),
        ("MAX_SNAPSHOT_PART", MAX_SNAPSHOT_PART as u64),
        ("MAX_CLIENT_FRAME", MAX_CLIENT_FRAME as u64),
        ("MAX_VIEW_DATA", MAX_VIEW_DATA as u64),
        ("MAX_VIEWS_PER_MESSAGE", MAX_VIEWS_PER_MESSAGE as u64),
        ("MAX_SERVER_FRAME", MAX_SERVER_FRAME as u64),
        ("MAX_AGENT", MAX_AGENT as u64),
        ("MAX_CLOSE_REASON", MAX_CLOSE_REASON as u64),
        ("MAX_SNAPSHOT", MAX_SNAPSHOT),
        ("MAX_PERSISTED", MAX_PERSISTED as u64),
        ("MIN_BYTES_PER_ROOT", MIN_BYTES_PER_ROOT as u64),
    ] {
        assert!(PROTOCOL.contains(&format!("| {name} | {value}")), "{name} is {value}");
    }
}

#[test]
fn the_example_on_the_protocol_page_is_real() {
    let line = |name: &str| {
        let line = PROTOCOL.lines().find(|line| line.starts_with(name)).expect("it is there");
        hex(line.trim_start_matches(name))
    };
    let send = ClientMessage::Send(Send { counter: 1, payload: b"x" });
    assert_eq!(line("Send   "), send.encode());
    let sender = ViewId([1; 16]);
    let event = Event { seq: 2, time: 1_500_000, sender, counter: 1, payload: b"x" };
    assert_eq!(line("Event  "), ServerMessage::Event(event).encode());
}

#[test]
fn a_close_code_that_is_not_known_is_final_from_4100_on() {
    for code in [4108, 4999] {
        let (reason, detail) = CloseReason::read(code, "so it is").expect("it says something");
        assert_eq!((reason, reason.is_retryable()), (CloseReason::Version, false));
        assert!(detail.contains(&code.to_string()) && detail.contains("so it is"), "{detail}");
    }
    for code in [0, 1001, 1006, 1011, 3000, 4005, 4099, 5000, u16::MAX] {
        assert_eq!(CloseReason::read(code, ""), None, "{code}");
    }
}
