//! The messages in the vectors in other forms, and PROTOCOL.md, which must say what the code does.

use crate::ids::{FORMS, hex, with_other_ids};
use teatime_wire::limits::*;
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Event, Greeting, Join, SecretKey, Send, ServerMessage,
    ViewId, WireError,
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
    // The fields of a join are in a byte string of their own, which has another length then.
    ids = 0;
    for frame in frames("client") {
        let [0x92, 1, 0x94, 1, 0xc4, length, rest @ ..] = &frame[..] else { continue };
        let (fields, signatures) = rest.split_at(usize::from(*length));
        for other in with_other_ids(fields) {
            ids += 1;
            let length = u16::try_from(other.len()).expect("it is short").to_be_bytes();
            let join = [&[0x92, 1, 0x94, 1, 0xc5], &length[..], &other, signatures].concat();
            assert!(ClientMessage::decode(&join).is_err(), "{other:02x?}");
        }
    }
    assert_eq!(ids, FORMS * (3 + 5), "the fields of two joins");
    ids = 0;
    for other in frames("reflector").iter().flat_map(|frame| with_other_ids(frame)) {
        ids += 1;
        assert!(ServerMessage::decode(&other).is_err(), "{other:02x?}");
    }
    let what =
        "a hello, two welcomes, an event, the views, a verdict, a disagreement, and presences";
    assert_eq!(ids, FORMS * (1 + 3 + 1 + 1 + 2 + 1 + 1 + 2), "{what}");
}

/// Some decoders take a text for a byte string.
#[test]
fn a_byte_string_is_never_a_text() {
    let view = format!("92 {} a1 64", bin16("01"));
    for frame in ["92 02 92 01 a1 78", "92 05 94 09 00 03 a3 61 62 63"] {
        assert!(ClientMessage::decode(&hex(frame)).is_err(), "{frame}");
    }
    for frame in [
        "92 02 a3 61 62 63".into(),
        format!("92 03 95 02 00 {} 01 a1 78", bin16("01")),
        format!("92 04 95 01 00 91 {view} 90 01"),
    ] {
        assert!(ServerMessage::decode(&hex(&frame)).is_err(), "{frame}");
    }
    for frame in ["92 03 a1 78", "92 04 a1 78"] {
        assert!(teatime_wire::BlobRequest::decode(&hex(frame)).is_err(), "{frame}");
    }
    assert!(teatime_wire::BlobReply::decode(&hex("92 05 a1 78")).is_err());
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
    assert_eq!(bodies, 4 * (8 + 12));
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

/// PROTOCOL.md, section 2.4: what later versions may send to this one.
#[test]
fn a_message_of_a_later_version_is_ignored_from_tag_64_on_and_refused_below() {
    for tag in 0..128 {
        for body in ["c0", "05", "92 c4 01 78 c3", "81 a1 61 90"] {
            let frame = [&[0x92, tag][..], &hex(body)].concat();
            let known = (1..=12).contains(&tag) || tag == 64;
            match ClientMessage::decode(&frame) {
                Ok(ClientMessage::Later(found)) => assert!(tag >= 64 && found == tag),
                Err(WireError::UnknownMessage(found)) => assert!(tag < 64 && found == tag),
                other => assert!(known, "{other:?}"),
            }
            let known = (1..=17).contains(&tag) || tag == 64;
            match ServerMessage::decode(&frame) {
                Ok(ServerMessage::Later(found)) => assert!(tag >= 64 && found == tag),
                Err(WireError::UnknownMessage(found)) => assert!(tag < 64 && found == tag),
                other => assert!(known, "{other:?}"),
            }
        }
    }
    for body in ["", "92 01", "c0 c0", "a1 ff", &"91".repeat(9)] {
        let frame = [&[0x92, 65][..], &hex(body)].concat();
        assert!(ClientMessage::decode(&frame).is_err(), "{body}");
        assert!(ServerMessage::decode(&frame).is_err(), "{body}");
    }
}

/// The numbers that PROTOCOL.md reserves are used for nothing else.
#[test]
fn what_the_protocol_page_reserves_is_free() {
    let section = PROTOCOL.split("## 16. ").nth(1).expect("it is there");
    let section = section.split("\n## ").next().expect("it has an end");
    let rows: Vec<Vec<&str>> = (section.lines())
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (mut tags, mut codes) = (0, 0);
    for row in &rows {
        match row[..] {
            ["client to reflector", tag, ..] => {
                let tag = tag.parse().expect("it is a tag");
                let frame = [0x92, tag, 0x90];
                let later = ClientMessage::decode(&frame);
                assert_eq!(matches!(later, Ok(ClientMessage::Later(_))), tag >= FIRST_OPTIONAL_TAG);
                tags += 1;
            }
            ["reflector to client", tag, ..] => {
                let tag = tag.parse().expect("it is a tag");
                let frame = [0x92, tag, 0x90];
                let later = ServerMessage::decode(&frame);
                assert_eq!(matches!(later, Ok(ServerMessage::Later(_))), tag >= FIRST_OPTIONAL_TAG);
                tags += 1;
            }
            ["close", code, name, ..] => {
                let code = code.parse().expect("it is a code");
                assert_eq!(CloseReason::from_code(code), None, "{name}");
                assert!(CloseReason::ALL.iter().all(|reason| reason.name() != name), "{name}");
                codes += 1;
            }
            _ => {}
        }
    }
    assert_eq!((tags, codes), (2, 4), "{section}");
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
        ("MAX_PRESENCE", MAX_PRESENCE as u64),
        ("MAX_PRESENCES_PER_MESSAGE", MAX_PRESENCES_PER_MESSAGE as u64),
        ("MAX_AGENT", MAX_AGENT as u64),
        ("MAX_TOKEN", MAX_TOKEN as u64),
        ("FIRST_OPTIONAL_TAG", u64::from(FIRST_OPTIONAL_TAG)),
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
    let fields = crate::proof::fields(&join, &[0xc0], &[], 0);
    assert_eq!(line("Signed "), crate::proof::statement(&fields, &challenge));
    assert_eq!(line("Join   "), keys.prove(join, &challenge).encode());
}

/// A line of an example on the page.
fn example(name: &str) -> Vec<u8> {
    let line = PROTOCOL.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    hex(line.unwrap_or_else(|| panic!("the page has no {name}")))
}

#[test]
fn the_identity_on_the_protocol_page_is_real() {
    use teatime_base::{RoomKeys, program};
    let program = program(&[0x0c; 32], &[0x91, 60]);
    let view = SecretKey::of_view(&[5; 32]).public();
    assert_eq!(example("view id"), view.view_id().0);
    assert_eq!(example("program"), program.0);
    let name = [&[0x92, 0xb0][..], b"org.example.chat", &[0xa7], b"kitchen"].concat();
    assert_eq!(example("E"), name);
    for (password, room_line, session_line) in
        [(Some("two sugars"), "room id", "session id"), (None, "open room", "open session")]
    {
        let keys = RoomKeys::new("org.example.chat", "kitchen", password);
        assert_eq!(example("room name"), keys.name().0);
        let password_key = keys.password_key().map(SecretKey::public);
        let room = teatime_wire::Room::new(keys.name(), password_key, 3);
        assert_eq!((example(room_line), room.id), (keys.id().0.to_vec(), keys.id()));
        let session = teatime_base::SessionId::of(keys.id(), 3, program);
        assert_eq!(example(session_line), session.0);
        let Some(password_key) = password_key else { continue };
        assert_eq!(example("password key"), password_key.0);
        // What the page calls M: every other key follows from it.
        let master = example("room key").try_into().expect("it has 32 bytes");
        assert_eq!(SecretKey::of_password(&master).public(), password_key);
        let session_key =
            blake3::derive_key("teatime v1 session key", &[&master[..], &session.0].concat());
        assert_eq!(example("session key"), session_key);
        assert_eq!(keys.key("teatime v1 session key", &session.0), session_key);
    }
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
