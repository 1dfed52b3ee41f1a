//! The messages in the vectors in other forms, and PROTOCOL.md, which must say what the code does.

use crate::ids::{FORMS, hex, with_other_ids};
use teatime_wire::limits::*;
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Event, Greeting, Join, Send, ServerMessage, ViewId,
};

/// Each kind of message with its bytes, which an implementation in another language makes too.
const MESSAGES: &str = include_str!("../../../../tests/vectors/messages.json");

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

fn bin32(byte: &str) -> String {
    format!("c4 20 {}", byte.repeat(32))
}

fn bin16(byte: &str) -> String {
    format!("c4 10 {}", byte.repeat(16))
}

/// The frames of one sender in the vectors.
fn frames(from: &str) -> Vec<Vec<u8>> {
    let file: serde_json::Value = serde_json::from_str(MESSAGES).expect("it is JSON");
    let vectors = file["vectors"].as_array().expect("it is a list");
    let frames = vectors.iter().filter(|vector| vector["from"] == from);
    let frames: Vec<_> = frames.map(|one| hex(one["frame"].as_str().expect("digits"))).collect();
    assert!(frames.len() >= 12, "{from}");
    frames
}

#[test]
fn every_vector_is_a_message_and_the_message_has_these_bytes() {
    for frame in frames("client") {
        let message = ClientMessage::decode(&frame).expect("it is a message");
        assert_eq!(message.encode(), frame, "{message:?}");
    }
    for frame in frames("reflector") {
        let message = ServerMessage::decode(&frame).expect("it is a message");
        assert_eq!(message.encode(), frame, "{message:?}");
    }
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    for mut frame in frames("client") {
        for length in 0..frame.len() {
            assert!(ClientMessage::decode(&frame[..length]).is_err(), "{frame:02x?} {length}");
        }
        frame.push(0);
        assert!(ClientMessage::decode(&frame).is_err());
    }
    for mut frame in frames("reflector") {
        for length in 0..frame.len() {
            assert!(ServerMessage::decode(&frame[..length]).is_err(), "{frame:02x?} {length}");
        }
        frame.push(0);
        assert!(ServerMessage::decode(&frame).is_err());
    }
}

#[test]
fn an_id_is_a_byte_string_of_its_length_and_nothing_else() {
    let mut ids = 0;
    for other in frames("client").iter().flat_map(|frame| with_other_ids(frame)) {
        ids += 1;
        assert!(ClientMessage::decode(&other).is_err(), "{other:02x?}");
    }
    assert_eq!(ids, FORMS * (4 + 7 + 1), "two joins and a vote");
    ids = 0;
    for other in frames("reflector").iter().flat_map(|frame| with_other_ids(frame)) {
        ids += 1;
        assert!(ServerMessage::decode(&other).is_err(), "{other:02x?}");
    }
    let what = "a hello, two welcomes, an event, the views, a verdict, and a disagreement";
    assert_eq!(ids, FORMS * (1 + 3 + 1 + 1 + 2 + 1 + 1), "{what}");
}

#[test]
fn debug_output_of_a_join_hides_what_only_participants_know() {
    for frame in frames("client") {
        if let Ok(ClientMessage::Join(join, _)) = ClientMessage::decode(&frame) {
            let shown = format!("{join:?}");
            assert!(!shown.contains(&"cc".repeat(8)), "{shown}");
            assert!(!shown.contains(&join.room().id.to_string()), "{shown}");
        }
    }
}

#[test]
fn a_hello_may_have_further_fields_and_not_fewer() {
    let greeting = Greeting { nonce: Digest([7; 32]), binds_channel: true };
    let seven = bin32("07");
    // A number, a text, nil, and a list of lists behind the two fields.
    for (count, more) in [(3, "05"), (4, "a2 68 69 c0"), (3, "92 91 01 90"), (3, "c4 01 ff")] {
        let frame = hex(&format!("92 0f 9{count} {seven} c3 {more}"));
        assert_eq!(ServerMessage::decode(&frame).ok(), Some(ServerMessage::Hello(greeting)));
        for length in 0..frame.len() {
            assert!(ServerMessage::decode(&frame[..length]).is_err(), "{more} {length}");
        }
    }
    for few in [format!("92 0f 91 {seven}"), "92 0f 90".into(), format!("92 0f {seven}")] {
        assert!(ServerMessage::decode(&hex(&few)).is_err(), "{few}");
    }
}

/// The frame with further values at the end of its body, if that is an array.
fn longer(frame: &[u8], count: u8, more: &str) -> Option<Vec<u8>> {
    let is_array = (0x90..=0x9d).contains(&frame[2]);
    let head = [frame[0], frame[1], frame[2].wrapping_add(count)];
    is_array.then(|| [&head[..], &frame[3..], &hex(more)].concat())
}

#[test]
fn every_body_that_is_an_array_may_have_further_fields() {
    let mut bodies = 0;
    for (count, more) in [(1, "05"), (2, "a2 68 69 c0"), (1, "92 91 01 90"), (1, "c4 01 ff")] {
        for known in frames("client") {
            let Some(frame) = longer(&known, count, more) else { continue };
            let message = ClientMessage::decode(&known).expect("it is a message");
            assert_eq!(ClientMessage::decode(&frame).expect("it is longer"), message);
            assert!(ClientMessage::decode(&frame[..frame.len() - 1]).is_err());
            bodies += 1;
        }
        for known in frames("reflector") {
            let Some(frame) = longer(&known, count, more) else { continue };
            let message = ServerMessage::decode(&known).expect("it is a message");
            assert_eq!(ServerMessage::decode(&frame).expect("it is longer"), message);
            assert!(ServerMessage::decode(&frame[..frame.len() - 1]).is_err());
            bodies += 1;
        }
    }
    assert_eq!(bodies, 4 * (6 + 11));
}

#[test]
fn every_array_in_a_message_of_the_reflector_may_have_further_fields() {
    let (one, seven) = (bin16("01"), bin32("07"));
    for (short, long) in [
        (
            format!("92 04 95 01 00 90 91 92 {one} c0 01"),
            format!("92 04 95 01 00 90 91 93 {one} c0 91 05 01"),
        ),
        (
            format!("92 04 95 01 00 91 92 {one} c0 90 01"),
            format!("92 04 95 01 00 91 94 {one} c0 a1 78 c0 90 01"),
        ),
        (
            format!("92 10 92 05 91 93 {seven} 02 91 a1 61"),
            format!("92 10 92 05 91 94 {seven} 02 91 a1 61 c3"),
        ),
        (
            format!(
                "92 01 9c 02 {one} c2 c3 00 04 00 95 03 09 {seven} 64 {seven} 02 32 64 94 01 02 03 04"
            ),
            format!(
                "92 01 9c 02 {one} c2 c3 00 04 00 96 03 09 {seven} 64 {seven} c0 02 32 64 95 01 02 03 04 05"
            ),
        ),
    ] {
        let (short, long) = (hex(&short), hex(&long));
        let known = ServerMessage::decode(&short).expect("it is a message");
        assert_eq!(ServerMessage::decode(&long).expect("it is longer"), known);
    }
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
        ("MAX_CONTROL_FRAMES", MAX_CONTROL_FRAMES as u64),
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
    let (challenge, keys) = (crate::proof::challenge(None), crate::proof::keys());
    let greeting = Greeting { nonce: challenge.nonce, binds_channel: false };
    assert_eq!(line("Hello  "), ServerMessage::Hello(greeting).encode());
    let join = Join { agent: "t", ..crate::proof::join(&keys) };
    assert_eq!(line("Signed "), crate::proof::statement(&join, &challenge));
    assert_eq!(line("Join   "), keys.prove(join, &challenge).encode());
}

#[test]
fn a_close_code_that_is_not_known_is_final_from_4100_on() {
    for code in [4109, 4999] {
        let (reason, detail) = CloseReason::read(code, "so it is").expect("it says something");
        assert_eq!((reason, reason.is_retryable()), (CloseReason::Version, false));
        assert!(detail.contains(&code.to_string()) && detail.contains("so it is"), "{detail}");
    }
    for code in [0, 1001, 1006, 1011, 3000, 4005, 4099, 5000, u16::MAX] {
        assert_eq!(CloseReason::read(code, ""), None, "{code}");
    }
}
