//! What a join proves.

use serde_json::{Value, json};
use teatime_base::{RoomKeys, SecretKey, SessionId};
use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, Digest, Join, PROTOCOL_VERSION, Resume, is_proven,
};

use super::messages::client_fields;
use super::text::{array, bytes, expect_equal, file, hex, list, number, optional_hex};

/// The room of all joins.
const ROOM: (&str, &str) = ("org.example.vectors", "lobby");

struct Case {
    password: Option<&'static str>,
    channel: Option<ChannelBinding>,
    view_data: Option<&'static [u8]>,
    resume: Option<Resume>,
}

pub(super) fn make() -> Value {
    let plain = Case { password: None, channel: None, view_data: None, resume: None };
    let chain = Digest([0xee; 32]);
    let full = Case {
        password: Some("tea"),
        channel: Some(ChannelBinding([9; 32])),
        view_data: Some(b"\xc3"),
        resume: Some(Resume { timeline: u64::MAX, seq: 300, chain }),
    };
    let with_password = Case { password: Some("tea"), ..plain };
    let cases = [plain, with_password, full];
    file(
        "Joins with their signatures: the secrets of the view and the password, the challenge (the nonce of Hello and, over TLS, the channel \
         binding), the fields, and the frame. Ed25519 gives one signature for each key and message, so the frame follows from the rest.",
        cases.iter().map(vector).collect(),
    )
}

fn vector(case: &Case) -> Value {
    let keys = RoomKeys::new(ROOM.0, ROOM.1, case.password);
    let secret = [5; 32];
    let view = SecretKey::of_view(&secret);
    let challenge = Challenge { nonce: Digest([0x2a; 32]), channel: case.channel };
    let join = Join {
        protocol: PROTOCOL_VERSION,
        program: Digest([0xaa; 32]),
        name: keys.name(),
        version: 7,
        view_key: view.public(),
        password_key: keys.password_key().map(SecretKey::public),
        view_data: case.view_data,
        ticks_per_second: 20,
        attempt: 1,
        resume: case.resume,
        agent: "t",
    };
    let (session, view_id) = (join.session(), join.view_id());
    let message = join.prove(&challenge, &view, keys.password_key());
    json!({
        "app": ROOM.0,
        "room": ROOM.1,
        "password": case.password,
        "view_secret": hex(secret),
        "nonce": hex(challenge.nonce.0),
        "channel": optional_hex(case.channel.map(|channel| channel.0)),
        "fields": client_fields(&message).1,
        "frame": hex(message.encode()),
        "session": hex(session.0),
        "view_id": hex(view_id.0),
    })
}

/// Reads each join as a reflector does.
pub(super) fn check(content: &Value) -> Result<(), String> {
    for vector in list(&content["vectors"])? {
        let frame = bytes(&vector["frame"])?;
        let message = ClientMessage::decode(&frame).map_err(|error| error.to_string())?;
        expect_equal("the fields", &vector["fields"], &client_fields(&message).1)?;
        let ClientMessage::Join(join, _) = &message else { return Err("not a join".into()) };
        let channel = vector["channel"].as_str().map(|_| array(&vector["channel"])).transpose()?;
        let channel = channel.map(ChannelBinding);
        let nonce = Digest(array(&vector["nonce"])?);
        if !is_proven(&frame, &Challenge { nonce, channel }) {
            return Err("a signature is wrong".into());
        }
        let other = channel.is_none().then_some(ChannelBinding([0; 32]));
        if is_proven(&frame, &Challenge { nonce, channel: other }) {
            return Err("a join is good for another connection".into());
        }
        let SessionId(session) = join.session();
        expect_equal("the session", &vector["session"], &hex(session))?;
        expect_equal("the view", &vector["view_id"], &hex(join.view_id().0))?;
        expect_equal("the version", &vector["fields"]["version"], &number(join.version.into()))?;
    }
    Ok(())
}
