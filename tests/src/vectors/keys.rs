//! The identity of rooms, sessions and views, and the keys that follow.

use serde_json::{Value, json};
use teatime_base::{PublicKey, RoomKeys, SecretKey, SessionId, program};

use super::board;
use super::text::{array, expect_equal, hex, list, optional_hex, text};

/// The contexts of the keys that follow from the key of a room.
const OF_ROOM: [&str; 5] = [
    "teatime v1 blob handle",
    "teatime v1 blob chunk",
    "teatime v1 blob nonce",
    "teatime v1 persisted",
    "teatime v1 persisted nonce",
];

/// App, room and password. The comment at each says what it shows.
const ROOMS: [(&str, &str, Option<&str>, &str); 10] = [
    ("org.example.vectors", "lobby", None, "without a password the room key is N"),
    ("org.example.vectors", "lobby", Some("tea"), "with a password"),
    ("org.example.other", "lobby", Some("tea"), "another app is another room"),
    ("org.example.vectors", "lobby", Some("Tea"), "upper and lower case differ"),
    ("org.example.vectors", "Caf\u{e9}", Some("na\u{ef}ve key"), "letters of one character"),
    (
        "org.example.vectors",
        "Cafe\u{301}",
        Some("nai\u{308}ve\u{a0}key"),
        "the same room: form C, and U+00A0 is a space",
    ),
    (
        "org.example.vectors",
        "\u{212b}\u{1112}\u{1161}\u{11ab}\u{958}",
        Some("\u{3000}\u{2003}\u{1680}"),
        "U+212B and Hangul are composed, U+0958 is decomposed; three kinds of spaces",
    ),
    (
        "org.example.vectors",
        "lo\u{a0}bby",
        Some("tab\there"),
        "a name retains its spaces, and a password its tabs",
    ),
    ("org.example.vectors", "\u{fb01}", Some("\u{fb01}"), "a ligature stays what it is"),
    (
        "org.example.vectors",
        "a room with a name of more than 31 bytes",
        None,
        "a longer header of the text",
    ),
];

pub(super) fn make() -> Value {
    let rooms = ROOMS.map(|(app, room, password, shows)| room_of(app, room, password, shows));
    let views = [0x05u8, 0xff].map(|byte| view(&[byte; 32]));
    json!({
        "comment": "From app, room name, password, declared version, version hash and options to N, the public key of the password, the \
            room id, P, the session id, and the keys by their context; from the secret of a view to its public key and id. The \
            names are those of section 10 and 11.2 of PROTOCOL.md.",
        "vectors": rooms.to_vec(),
        "views": views.to_vec(),
    })
}

fn view(secret: &[u8; 32]) -> Value {
    let key = SecretKey::of_view(secret).public();
    json!({ "secret": hex(secret), "public_key": hex(key.0), "view_id": hex(key.view_id().0) })
}

fn room_of(app: &str, room: &str, password: Option<&str>, shows: &str) -> Value {
    let keys = RoomKeys::new(app, room, password);
    let (version, version_hash, options) = (7, board::app().version_hash(), board::options());
    let program = program(&version_hash, &options);
    let session = SessionId::of(keys.id(), version, program);
    let of_room = OF_ROOM.map(|context| (context.to_owned(), hex(keys.key(context, &[]))));
    json!({
        "shows": shows,
        "app": app,
        "room": room,
        "password": password,
        "name": hex(keys.name().0),
        "password_key": optional_hex(keys.password_key().map(|key| key.public().0)),
        "room_id": hex(keys.id().0),
        "room_keys": Value::Object(of_room.into_iter().collect()),
        "version": version,
        "version_hash": hex(version_hash),
        "options": hex(options),
        "program": hex(program.0),
        "session": hex(session.0),
        "session_key": optional_hex(password.map(|_| keys.key("teatime v1 session key", &session.0))),
    })
}

pub(super) fn check(content: &Value) -> Result<(), String> {
    for vector in list(&content["vectors"])? {
        let (app, room, shows) = (&vector["app"], &vector["room"], &vector["shows"]);
        let made = room_of(text(app)?, text(room)?, vector["password"].as_str(), text(shows)?);
        expect_equal("a room", vector, &made)?;
        // A reflector makes the same from what a join carries.
        let key = vector["password_key"].as_str().map(|_| array(&vector["password_key"]));
        let key = key.transpose()?.map(PublicKey);
        let id = teatime_base::room_id(teatime_base::Digest(array(&vector["name"])?), key);
        expect_equal("the id of a room", &vector["room_id"], &hex(id.0))?;
    }
    for vector in list(&content["views"])? {
        expect_equal("a view", vector, &view(&array(&vector["secret"])?))?;
    }
    Ok(())
}
