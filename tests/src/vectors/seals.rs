//! Sealed messages, and the chain of a session.

use serde_json::{Value, json};
use teatime_base::{Binding, Digest, RoomKeys, Seal, SessionId, ViewId};
use teatime_wire::Chain;

use super::text::{array, bytes, expect_equal, hex, list, number, optional_hex, read_number, text};

const SESSION: SessionId = SessionId([0x5e; 32]);
const VIEW: ViewId = ViewId([0x11; 16]);
/// What the nonces of a connection begin with.
const PREFIX: [u8; 16] = [0x42; 16];

pub(super) fn make() -> Value {
    let mut seal = seal("tea");
    seal.start_connection(PREFIX);
    let long: Vec<u8> = (0..=200).collect();
    let sealed: [(Binding, &[u8]); 5] = [
        (Binding::Event(VIEW, 1), &b"\x93\xa1s\xa1e\xc4\x01\xc0"[..]),
        (Binding::Event(VIEW, u64::MAX), b""),
        (Binding::Event(ViewId([0x22; 16]), 300), &long),
        (Binding::ViewData(VIEW), b"\x92\x01\xc0"),
        (Binding::Presence(VIEW), b"\x93\x01\x02\xc4\x01\xc0"),
    ];
    let messages = sealed.iter().enumerate().map(|(count, (binding, plain))| {
        let message = seal.seal(*binding, plain);
        vector(*binding, Some(count), plain, &message)
    });
    let messages: Vec<_> = messages.collect();
    let persisted: [(u32, &[u8]); 2] =
        [(7, &b"\0\0\0\x02\x92\xa3Tea\x05"[..]), (8, b"\0\0\0\x02\x92\xa3Tea\x05")];
    let persisted = persisted.map(|(version, plain)| {
        let message = seal.seal_persisted(version, plain);
        vector(Binding::Persisted(version), None, plain, &message)
    });
    json!({
        "comment": "Sealed messages: what they are bound to (the session or the room, and the numbers in `binding`), nonce, plain bytes, and the \
            sealed bytes. session.json has sealed states. `chains`: the chain before the first message, and after each frame.",
        "app": "org.example.vectors",
        "room": "lobby",
        "password": "tea",
        "session": hex(SESSION.0),
        "vectors": messages.into_iter().chain(persisted).collect::<Vec<_>>(),
        "chains": [chain(None), chain(Some([0xbe; 32]))],
    })
}

fn seal(password: &str) -> Seal {
    Seal::new(SESSION, &RoomKeys::new("org.example.vectors", "lobby", Some(password)))
}

fn vector(binding: Binding, count: Option<usize>, plain: &[u8], sealed: &[u8]) -> Value {
    let (kind, binding) = match binding {
        Binding::Event(view, counter) => ("event", json!([hex(view.0), number(counter)])),
        Binding::ViewData(view) => ("view data", json!([hex(view.0)])),
        Binding::Presence(view) => ("presence", json!([hex(view.0)])),
        Binding::Snapshot(seq) => ("state", json!([number(seq)])),
        Binding::Persisted(version) => ("persisted", json!([version])),
    };
    json!({
        "kind": kind,
        "binding": binding,
        // Of persisted data the nonce follows from the rest.
        "nonce": count.map(|count| json!({ "random": hex(PREFIX), "sealed_before": count })),
        "plain": hex(plain),
        "sealed": hex(sealed),
    })
}

fn binding(vector: &Value) -> Result<Binding, String> {
    let parts = &vector["binding"];
    Ok(match text(&vector["kind"])? {
        "event" => Binding::Event(ViewId(array(&parts[0])?), read_number(&parts[1])?),
        "view data" => Binding::ViewData(ViewId(array(&parts[0])?)),
        "presence" => Binding::Presence(ViewId(array(&parts[0])?)),
        "persisted" => {
            let version = u32::try_from(read_number(&parts[0])?);
            Binding::Persisted(version.map_err(|error| error.to_string())?)
        }
        other => return Err(format!("unknown kind {other:?}")),
    })
}

fn chain(begun_with: Option<[u8; 32]>) -> Value {
    let start = Chain::start(SESSION, begun_with.map(Digest));
    let frames = [&b"\x92\x05\x92\x01\x00"[..], b"\x92\x05\x92\x02\x07"];
    let mut values = vec![start];
    values.extend(frames.iter().scan(start, |chain, frame| {
        *chain = chain.next(frame);
        Some(*chain)
    }));
    json!({
        "begun_with": optional_hex(begun_with),
        "frames": frames.map(hex),
        "values": values.iter().map(|value| hex(value.value().0)).collect::<Vec<_>>(),
    })
}

/// Opens each message, and no message with another password.
pub(super) fn check(content: &Value) -> Result<(), String> {
    let (mut right, mut wrong) = (seal(text(&content["password"])?), seal("wrong"));
    for vector in list(&content["vectors"])? {
        let (binding, sealed) = (binding(vector)?, bytes(&vector["sealed"])?);
        let mut copy = sealed.clone();
        let plain = right.open(binding, &mut copy).map_err(|error| error.to_string())?;
        expect_equal("the plain bytes", &vector["plain"], &hex(plain))?;
        if wrong.open(binding, &mut sealed.clone()).is_ok() {
            return Err("a seal opens with another password".into());
        }
    }
    for vector in list(&content["chains"])? {
        let begun_with = vector["begun_with"].as_str().map(|_| array(&vector["begun_with"]));
        expect_equal("a chain", vector, &chain(begun_with.transpose()?))?;
    }
    Ok(())
}
