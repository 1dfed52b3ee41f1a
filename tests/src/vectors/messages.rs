//! Every message of the protocol: its fields, and the bytes of its frame.

use serde_json::{Map, Value, json};
use teatime_wire::{
    BlobLimits, BlobReply, BlobRequest, ClientMessage, Digest, Disagreement, Event, Greeting,
    Hello, Hold, Join, NotPersisted, Presence, Proof, PublicKey, Refused, Resume, Send, SendLimits,
    ServerMessage, Side, Signature, SnapshotInfo, SnapshotPart, Verdict, View, ViewId, Views, Vote,
    VoteRequest, Welcome,
};

use super::text::{bytes, expect_equal, file, hex, list, number, optional_hex, text};

/// Name and fields of a message.
pub(super) type Described = (&'static str, Value);

const VIEW: ViewId = ViewId([1; 16]);

pub(super) fn make() -> Value {
    let client = client_messages().into_iter().map(|message| vector("client", &message.encode()));
    let server =
        server_messages().into_iter().map(|message| vector("reflector", &message.encode()));
    let requests = blob_requests();
    let requests = requests.iter().map(|message| vector("blob client", &message.encode()));
    let replies = blob_replies();
    let replies = replies.iter().map(|message| vector("blob server", &message.encode()));
    file(
        "Each kind of message: who sends it, its fields in their order, and the bytes of its frame. A single value as the body has one \
         field, `value`; a body that is nil has none. Byte strings are hexadecimal digits.",
        client.chain(server).chain(requests).chain(replies).collect(),
    )
}

fn vector(from: &str, frame: &[u8]) -> Value {
    let (message, fields) = describe(from, frame).expect("the code reads what it has written");
    json!({ "from": from, "message": message, "fields": fields, "frame": hex(frame) })
}

/// Reads a frame from this sender.
fn describe(from: &str, frame: &[u8]) -> Result<Described, String> {
    let wrong = |error: teatime_wire::WireError| error.to_string();
    Ok(match from {
        "client" => client_fields(&ClientMessage::decode(frame).map_err(wrong)?),
        "reflector" => server_fields(&ServerMessage::decode(frame).map_err(wrong)?),
        "blob client" => request_fields(&BlobRequest::decode(frame).map_err(wrong)?),
        "blob server" => reply_fields(&BlobReply::decode(frame).map_err(wrong)?),
        other => return Err(format!("unknown sender {other:?}")),
    })
}

/// The frame that the code makes of what it reads in a frame.
fn again(from: &str, frame: &[u8]) -> Option<Vec<u8>> {
    match from {
        "client" => ClientMessage::decode(frame).ok().map(|message| message.encode()),
        "reflector" => ServerMessage::decode(frame).ok().map(|message| message.encode()),
        "blob client" => BlobRequest::decode(frame).ok().map(|message| message.encode()),
        _ => BlobReply::decode(frame).ok().map(|message| message.encode()),
    }
}

pub(super) fn check(content: &Value) -> Result<(), String> {
    for vector in list(&content["vectors"])? {
        let (from, frame) = (text(&vector["from"])?, bytes(&vector["frame"])?);
        let (message, fields) = describe(from, &frame)?;
        expect_equal("the message", &vector["message"], &message.into())?;
        expect_equal(message, &vector["fields"], &fields)?;
        expect_equal(message, &vector["frame"], &optional_hex(again(from, &frame)))?;
    }
    Ok(())
}

fn value(value: Value) -> Value {
    json!({ "value": value })
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

fn client_messages() -> Vec<ClientMessage<'static>> {
    let join = Join {
        protocol: teatime_wire::PROTOCOL_VERSION,
        program: Digest([0xaa; 32]),
        name: Digest([0xdd; 32]),
        version: 3,
        view_key: PublicKey([0xbb; 32]),
        password_key: None,
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "t",
    };
    let full = Join {
        version: u32::MAX,
        password_key: Some(PublicKey([0xcc; 32])),
        view_data: Some(b"me"),
        attempt: 300,
        resume: Some(Resume { timeline: u64::MAX, seq: 7, chain: Digest([0xee; 32]) }),
        agent: "teatime-test/1.0 (é)",
        ..join.clone()
    };
    let proof = Proof { view: Signature([0x11; 64]), password: None };
    let both = Proof { password: Some(Signature([0x22; 64])), ..proof };
    vec![
        ClientMessage::Join(join, Box::new(proof)),
        ClientMessage::Join(full, Box::new(both)),
        ClientMessage::Send(Send { counter: 1, payload: b"x" }),
        ClientMessage::Send(Send { counter: 128, payload: b"" }),
        ClientMessage::RequestVote,
        ClientMessage::Vote(Vote { seq: 65536, hash: Digest([1; 32]) }),
        ClientMessage::SnapshotPart(SnapshotPart { seq: 9, offset: 0, total: 3, data: b"abc" }),
        ClientMessage::Ping(5),
        ClientMessage::Leave,
        ClientMessage::Persist,
        ClientMessage::LeaveAfter(1000),
        ClientMessage::Confirm(300),
        ClientMessage::Loaded(300),
        ClientMessage::Unusable(300),
        ClientMessage::Presence(b"here"),
        ClientMessage::Presence(b""),
    ]
}

pub(super) fn client_fields(message: &ClientMessage<'_>) -> Described {
    match message {
        ClientMessage::Join(join, proof) => ("Join", join_fields(join, proof)),
        ClientMessage::Send(Send { counter, payload }) => {
            ("Send", json!({ "counter": number(*counter), "payload": hex(payload) }))
        }
        ClientMessage::RequestVote => ("RequestVote", nothing()),
        ClientMessage::Vote(Vote { seq, hash }) => {
            ("Vote", json!({ "seq": number(*seq), "hash": hex(hash.0) }))
        }
        ClientMessage::SnapshotPart(SnapshotPart { seq, offset, total, data }) => (
            "SnapshotPart",
            json!({
                "seq": number(*seq), "offset": number(*offset), "total": number(*total),
                "data": hex(data),
            }),
        ),
        ClientMessage::Ping(number_of) => ("Ping", value(number(*number_of))),
        ClientMessage::Leave => ("Leave", nothing()),
        ClientMessage::Persist => ("Persist", nothing()),
        ClientMessage::LeaveAfter(milliseconds) => {
            ("LeaveAfter", value(number((*milliseconds).into())))
        }
        ClientMessage::Confirm(seq) => ("Confirm", value(number(*seq))),
        ClientMessage::Loaded(seq) => ("Loaded", value(number(*seq))),
        ClientMessage::Unusable(seq) => ("Unusable", value(number(*seq))),
        ClientMessage::Presence(data) => ("Presence", json!({ "data": hex(data) })),
        ClientMessage::Later(tag) => ("Later", value(number((*tag).into()))),
    }
}

fn join_fields(join: &Join<'_>, proof: &Proof) -> Value {
    let Join {
        protocol,
        program,
        name,
        version,
        view_key,
        password_key,
        view_data,
        ticks_per_second,
        attempt,
        resume,
        agent,
    } = join;
    let resume = resume.as_ref().map_or(Value::Null, |Resume { timeline, seq, chain }| {
        json!([number(*timeline), number(*seq), hex(chain.0)])
    });
    json!({
        "protocol": protocol,
        "program": hex(program.0),
        "name": hex(name.0),
        "version": version,
        "view_key": hex(view_key.0),
        "password_key": optional_hex(password_key.map(|key| key.0)),
        "view_data": optional_hex(*view_data),
        "ticks_per_second": ticks_per_second,
        "attempt": number(*attempt),
        "resume": resume,
        "agent": agent,
        "view_signature": hex(proof.view.0),
        "password_signature": optional_hex(proof.password.map(|signature| signature.0)),
    })
}

fn server_messages() -> Vec<ServerMessage<'static>> {
    let limits =
        SendLimits { max_payload: 65536, per_second: 1000, burst: 2000, max_snapshot: 1 << 28 };
    let (hash, chain) = (Digest([7; 32]), Digest([8; 32]));
    let welcome = Welcome {
        timeline: 2,
        view_id: VIEW,
        resumed: false,
        seamless: true,
        time: 1_500_000,
        seq: 4,
        counter: Some(0),
        snapshot: Some(SnapshotInfo { seq: 3, time: 9, hash, size: 100, chain }),
        persisted: Some(2),
        tick_ms: 50,
        rejoin_limit_ms: 10_000,
        limits,
    };
    let short = Welcome {
        timeline: u64::MAX,
        resumed: true,
        seamless: false,
        counter: None,
        snapshot: None,
        persisted: None,
        ..welcome.clone()
    };
    let views = Views {
        seq: 1,
        time: 0,
        exited: vec![View { view_id: VIEW, view_data: None }],
        joined: vec![View { view_id: ViewId([2; 16]), view_data: Some(b"d") }],
        active: 1,
    };
    let side = Side { hash, clients: 2, agents: vec!["a", "b"] };
    vec![
        ServerMessage::Hello(Greeting { nonce: hash, binds_channel: true }),
        ServerMessage::Welcome(welcome),
        ServerMessage::Welcome(short),
        ServerMessage::SnapshotPart(b"abc"),
        ServerMessage::Event(Event {
            seq: 2,
            time: 1_500_000,
            sender: VIEW,
            counter: 1,
            payload: b"x",
        }),
        ServerMessage::Views(views),
        ServerMessage::VoteRequest(VoteRequest { seq: 3, time: 200 }),
        ServerMessage::Tick(127),
        ServerMessage::Verdict(Verdict { seq: 3, hash: None, agreed: 1, of: 2 }),
        ServerMessage::Verdict(Verdict { seq: 3, hash: Some(hash), agreed: 2, of: 2 }),
        ServerMessage::SnapshotWanted(3),
        ServerMessage::Diverged(3),
        ServerMessage::Pong(5),
        ServerMessage::Hold(Hold::Pause),
        ServerMessage::Hold(Hold::Resume),
        ServerMessage::Persisted(300),
        ServerMessage::NewerVersion(3),
        ServerMessage::NotPersisted(NotPersisted { seq: 5, failure: Some("full") }),
        ServerMessage::NotPersisted(NotPersisted { seq: 5, failure: None }),
        ServerMessage::Disagreement(Disagreement { seq: 5, sides: vec![side] }),
        ServerMessage::OtherPassword,
        ServerMessage::Presences(vec![
            Presence { view_id: VIEW, data: b"here" },
            Presence { view_id: VIEW, data: b"" },
        ]),
    ]
}

pub(super) fn server_fields(message: &ServerMessage<'_>) -> Described {
    match message {
        ServerMessage::Hello(Greeting { nonce, binds_channel }) => {
            ("Hello", json!({ "nonce": hex(nonce.0), "binds_channel": binds_channel }))
        }
        ServerMessage::Welcome(welcome) => ("Welcome", welcome_fields(welcome)),
        ServerMessage::SnapshotPart(part) => ("SnapshotPart", value(hex(part))),
        ServerMessage::Event(Event { seq, time, sender, counter, payload }) => (
            "Event",
            json!({
                "seq": number(*seq), "time": number(*time), "sender": hex(sender.0),
                "counter": number(*counter), "payload": hex(payload),
            }),
        ),
        ServerMessage::Views(Views { seq, time, exited, joined, active }) => (
            "Views",
            json!({
                "seq": number(*seq), "time": number(*time),
                "exited": views(exited), "joined": views(joined), "active": active,
            }),
        ),
        ServerMessage::VoteRequest(VoteRequest { seq, time }) => {
            ("VoteRequest", json!({ "seq": number(*seq), "time": number(*time) }))
        }
        ServerMessage::Tick(time) => ("Tick", value(number(*time))),
        ServerMessage::SnapshotWanted(seq) => ("SnapshotWanted", value(number(*seq))),
        ServerMessage::Diverged(seq) => ("Diverged", value(number(*seq))),
        ServerMessage::Pong(number_of) => ("Pong", value(number(*number_of))),
        ServerMessage::Hold(hold) => ("Hold", value((*hold == Hold::Pause).into())),
        ServerMessage::Persisted(seq) => ("Persisted", value(number(*seq))),
        ServerMessage::NewerVersion(version) => ("NewerVersion", value((*version).into())),
        ServerMessage::OtherPassword => ("OtherPassword", nothing()),
        ServerMessage::Later(tag) => ("Later", value(number((*tag).into()))),
        other => news_fields(other),
    }
}

fn news_fields(message: &ServerMessage<'_>) -> Described {
    match message {
        ServerMessage::Verdict(Verdict { seq, hash, agreed, of }) => (
            "Verdict",
            json!({
                "seq": number(*seq), "hash": optional_hex(hash.map(|hash| hash.0)),
                "agreed": agreed, "of": of,
            }),
        ),
        ServerMessage::NotPersisted(NotPersisted { seq, failure }) => {
            ("NotPersisted", json!({ "seq": number(*seq), "failure": failure }))
        }
        ServerMessage::Disagreement(Disagreement { seq, sides }) => {
            let side =
                |Side { hash, clients, agents }: &Side<'_>| json!([hex(hash.0), clients, agents]);
            let sides: Vec<_> = sides.iter().map(side).collect();
            ("Disagreement", json!({ "seq": number(*seq), "sides": sides }))
        }
        ServerMessage::Presences(entries) => {
            let entry = |entry: &Presence<'_>| json!([hex(entry.view_id.0), hex(entry.data)]);
            let entries: Vec<_> = entries.iter().map(entry).collect();
            ("Presences", json!({ "entries": entries }))
        }
        other => unreachable!("{other:?} is described elsewhere"),
    }
}

fn views(views: &[View<'_>]) -> Vec<Value> {
    let view =
        |View { view_id, view_data }: &View<'_>| json!([hex(view_id.0), optional_hex(*view_data)]);
    views.iter().map(view).collect()
}

fn welcome_fields(welcome: &Welcome) -> Value {
    let Welcome {
        timeline,
        view_id,
        resumed,
        seamless,
        time,
        seq,
        counter,
        snapshot,
        persisted,
        tick_ms,
        rejoin_limit_ms,
        limits,
    } = welcome;
    let SendLimits { max_payload, per_second, burst, max_snapshot } = limits;
    let snapshot = snapshot.map_or(Value::Null, |SnapshotInfo { seq, time, hash, size, chain }| {
        json!([number(seq), number(time), hex(hash.0), number(size), hex(chain.0)])
    });
    json!({
        "timeline": number(*timeline),
        "view_id": hex(view_id.0),
        "resumed": resumed,
        "seamless": seamless,
        "time": number(*time),
        "seq": number(*seq),
        "counter": counter.map_or(Value::Null, number),
        "snapshot": snapshot,
        "persisted": persisted,
        "tick_ms": tick_ms,
        "rejoin_limit_ms": rejoin_limit_ms,
        "limits": [max_payload, per_second, burst, number(*max_snapshot)],
    })
}

fn blob_requests() -> Vec<BlobRequest<'static>> {
    let (one, two) = (Digest([1; 32]), Digest([2; 32]));
    let version = teatime_wire::BLOB_VERSION;
    let hello = Hello { version, name: one, password_key: None, agent: "t", signature: None };
    let sealed = Hello {
        password_key: Some(PublicKey([0xcc; 32])),
        signature: Some(Signature([0x22; 64])),
        ..hello
    };
    vec![
        BlobRequest::Hello(hello),
        BlobRequest::Hello(sealed),
        BlobRequest::Offer(vec![one, two]),
        BlobRequest::Chunk(b"chunk"),
        BlobRequest::Manifest(b"manifest"),
        BlobRequest::Get(two),
    ]
}

fn blob_replies() -> Vec<BlobReply<'static>> {
    let (one, two) = (Digest([1; 32]), Digest([2; 32]));
    vec![
        BlobReply::Ready(BlobLimits { max_blob: 1 << 31, room: u64::MAX }),
        BlobReply::Wanted(vec![two]),
        BlobReply::Stored(two),
        BlobReply::Complete(one),
        BlobReply::Content(b"chunk"),
        BlobReply::Unknown(one),
        BlobReply::Refused(Refused::TooLarge),
        BlobReply::Refused(Refused::NoRoom),
        BlobReply::Refused(Refused::DiskFull),
        BlobReply::Refused(Refused::Failed),
    ]
}

fn digests(digests: &[Digest]) -> Value {
    digests.iter().map(|digest| hex(digest.0)).collect()
}

fn request_fields(message: &BlobRequest<'_>) -> Described {
    match message {
        BlobRequest::Hello(Hello { version, name, password_key, agent, signature }) => (
            "Hello",
            json!({
                "version": version,
                "name": hex(name.0),
                "password_key": optional_hex(password_key.map(|key| key.0)),
                "agent": agent,
                "signature": optional_hex(signature.map(|signature| signature.0)),
            }),
        ),
        BlobRequest::Offer(chunks) => ("Offer", value(digests(chunks))),
        BlobRequest::Chunk(chunk) => ("Chunk", value(hex(chunk))),
        BlobRequest::Manifest(manifest) => ("Manifest", value(hex(manifest))),
        BlobRequest::Get(digest) => ("Get", value(hex(digest.0))),
    }
}

fn reply_fields(message: &BlobReply<'_>) -> Described {
    match message {
        BlobReply::Ready(BlobLimits { max_blob, room }) => {
            ("Ready", json!({ "max_blob": number(*max_blob), "room": number(*room) }))
        }
        BlobReply::Wanted(chunks) => ("Wanted", value(digests(chunks))),
        BlobReply::Stored(digest) => ("Stored", value(hex(digest.0))),
        BlobReply::Complete(digest) => ("Complete", value(hex(digest.0))),
        BlobReply::Content(content) => ("Content", value(hex(content))),
        BlobReply::Unknown(digest) => ("Unknown", value(hex(digest.0))),
        BlobReply::Refused(why) => {
            let number = match why {
                Refused::TooLarge => 1,
                Refused::NoRoom => 2,
                Refused::DiskFull => 3,
                Refused::Failed => 4,
            };
            ("Refused", value(number.into()))
        }
    }
}
