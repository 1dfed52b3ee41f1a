//! Seeds of what connections read.

use std::collections::BTreeMap;

use teatime_wire::{
    BlobReply, BlobRequest, Challenge, ClientMessage, Digest, Disagreement, Join, NotPersisted,
    Presence, SecretKey, ServerMessage, Side, SnapshotInfo, ViewId,
};

use super::conversation::{Conversation, Said};
use crate::blobs::{CONTENT, talk};
use crate::tape::Script;
use crate::{client, server};

type Seeds = Vec<(String, Vec<u8>)>;

/// One frame of each kind.
pub(super) fn frames() -> Seeds {
    let mut seeds = BTreeMap::new();
    let talk_of_three = Conversation::of(&[3, 5, 6]);
    for (said, frame) in &talk_of_three.said {
        let by = match said {
            Said::To(_) => "server",
            Said::By(_) => "client",
        };
        seeds.entry(format!("{by}-{}", frame[1])).or_insert_with(|| frame.clone());
    }
    // This one does not say what the program was built for.
    seeds.insert("client-1".to_owned(), join());
    let mut seeds: Seeds = seeds.into_iter().collect();
    seeds.push(("envelope".into(), talk_of_three.handed_in()));
    seeds.extend(others());
    for (at, (request, reply)) in talk().1.into_iter().enumerate() {
        seeds.push((format!("blob-request-{at}"), request));
        seeds.push((format!("blob-reply-{at}"), reply));
    }
    seeds
}

fn join() -> Vec<u8> {
    let key = SecretKey::of_view(&[1; 32]);
    let join = Join {
        protocol: 1,
        program: Digest([2; 32]),
        name: Digest([1; 32]),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: Some(b"\xa2me"),
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "fuzz",
    };
    join.prove(&Challenge { nonce: Digest([0; 32]), channel: None }, &key, None).encode()
}

/// What does not come in a session in which all goes well.
fn others() -> Seeds {
    let side = Side { hash: Digest([7; 32]), clients: 2, agents: vec!["a", "b"] };
    let messages = [
        ServerMessage::Diverged(7),
        ServerMessage::NewerVersion(2),
        ServerMessage::OtherPassword,
        ServerMessage::NotPersisted(NotPersisted { seq: 5, failure: Some("full") }),
        ServerMessage::Disagreement(Disagreement { seq: 5, sides: vec![side] }),
        ServerMessage::Presences(vec![Presence { view_id: ViewId([7; 16]), data: b"\xa4here" }]),
    ];
    let clients = [
        ClientMessage::Confirm(7),
        ClientMessage::Unusable(7),
        ClientMessage::Presence(b"\xa4here"),
    ];
    let frames = messages.iter().map(ServerMessage::encode);
    let frames = frames.chain(clients.iter().map(ClientMessage::encode));
    let mut seeds: Seeds =
        frames.enumerate().map(|(at, frame)| (format!("other-{at}"), frame)).collect();
    seeds.push(("close".into(), [&4101_u16.to_be_bytes()[..], b"the frame is too large"].concat()));
    seeds.push(("blob-offer".into(), BlobRequest::Offer(vec![Digest([1; 32])]).encode()));
    seeds.push(("blob-unknown".into(), BlobReply::Unknown(Digest([1; 32])).encode()));
    seeds
}

/// What a client hears that is the first, and one that comes later. And the same as steps.
pub(super) fn of_client() -> Seeds {
    use client::step;
    let mut seeds = Seeds::new();
    for (name, secrets, at) in [("first", &[3, 5][..], 0), ("late", &[5, 6, 3][..], 2)] {
        let mut script = Script::default();
        for (said, frame) in Conversation::of(secrets).said {
            if said != Said::To(at) {
                continue;
            }
            script = match ServerMessage::decode(&frame) {
                Ok(ServerMessage::Hello(_)) => script.step(step::CONNECT),
                _ => script.step(step::FRAME).piece(&frame).step(step::SIMULATE),
            };
        }
        seeds.push((name.into(), script.end()));
    }
    let joined = || {
        let script = Script::default().step(step::CONNECT).step(step::WELCOME).number(0);
        script.step(step::JOIN).number(0).step(step::SIMULATE)
    };
    let event = |script: Script, counter| {
        let event = [&b"\x93\xa5diary\xa5write\xc4\x05\xa4page"[..]].concat();
        script.step(step::EVENT).number(counter).piece(&event).step(step::SIMULATE)
    };
    let healed = event(joined().step(step::PUBLISH).piece(b"\xa4page"), 1);
    let healed = healed.step(step::VOTE).number(0).step(step::SIMULATE);
    let healed = healed.step(step::VERDICT).number(1).step(step::ABOUT).number(1);
    let healed = healed.step(step::CUT).number(4000).piece(b"restart").step(step::WAIT).number(200);
    let healed =
        healed.step(step::CONNECT).step(step::WELCOME).number(1).step(step::TICK).number(60);
    seeds.push(("healed".into(), healed.step(step::SIMULATE).end()));
    let kept = event(joined(), 1).step(step::VOTE).number(0).step(step::SIMULATE);
    let kept = kept.step(step::VERDICT).number(0).step(step::ABOUT).number(0);
    let kept = kept.step(step::SIMULATE).step(step::ABOUT).number(2).step(step::ASK).number(0);
    seeds.push(("kept".into(), kept.step(step::ASK).number(300).end()));
    let talk = Conversation::of(&[5, 6, 3]);
    let info = talk.said.iter().find_map(|(_, frame)| match ServerMessage::decode(frame) {
        Ok(ServerMessage::Welcome(welcome)) => welcome.snapshot,
        _ => None,
    });
    let SnapshotInfo { seq, time, .. } = info.expect("the third client loads a snapshot");
    let loads = Script::default().step(step::CONNECT).step(step::LOAD).number(0);
    let loads = loads.number(seq as u16).number((time / 1_000) as u16).piece(&talk.handed_in());
    seeds.push(("loads".into(), loads.step(step::SIMULATE).end()));
    seeds
}

pub(super) fn of_server() -> Seeds {
    use server::step;
    let joins = |script: Script, line: u8, how| {
        let script = script.step(step::CONNECT | line << 6);
        script.step(step::JOIN | line << 6).number(how).piece(b"\xa2me")
    };
    let sends = |script: Script, line: u8| script.step(step::SEND | line << 6).piece(b"payload");
    let two = joins(joins(Script::default(), 0, 1), 1, 3).step(step::WAIT).number(300);
    let two = sends(sends(sends(sends(two, 0), 1), 0), 1).step(step::WAIT).number(100);
    let voted = two.step(step::ASK).step(step::WAIT).number(200);
    let voted = voted.step(step::VOTE).piece(b"state").step(step::VOTE | 1 << 6).piece(b"state");
    let voted =
        voted.step(step::UPLOAD).piece(b"state").step(step::UPLOAD | 1 << 6).piece(b"state");
    let late = joins(voted, 2, 5).step(step::ABOUT | 2 << 6).number(2).step(step::WAIT).number(300);
    let late = sends(late, 2).step(step::CUT).step(step::WAIT).number(12_000);
    let seen = late.step(step::ABOUT | 1 << 6).number(3).step(step::HEAR | 1 << 6);
    let mut seeds = vec![("session".into(), seen.end())];
    let back = joins(Script::default(), 0, 1).step(step::WAIT).number(300);
    let back = joins(sends(back, 0).step(step::CUT), 0, 0x21).step(step::WAIT).number(40_000);
    let other = joins(back, 3, 0x19).step(step::ABOUT | 3 << 6).number(0).step(step::CUT | 3 << 6);
    seeds.push(("back".into(), other.step(step::WAIT).number(65_000).end()));
    let mut raw = joins(Script::default(), 0, 1);
    for (said, frame) in Conversation::of(&[3]).said {
        let is_join = matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Join(..)));
        if said == Said::By(0) && !is_join {
            raw = raw.step(step::FRAME).piece(&frame).step(step::WAIT).number(50);
        }
    }
    seeds.push(("frames".into(), raw.end()));
    let message = joins(Script::default(), 0, 1).step(step::MESSAGE).number(6).piece(&[5]);
    seeds.push(("message".into(), message.end()));
    seeds
}

pub(super) fn of_blobs() -> Seeds {
    let said = talk().1;
    let (mut server, mut client) = (Script::default().step(0), Script::default().step(1));
    for (request, reply) in &said {
        server = server.step(10).piece(request);
        client = client.step(1).piece(reply);
    }
    let steps = server.step(0).piece(CONTENT).step(2).piece(&[]).step(4).piece(&[13]);
    let steps = steps.step(6).piece(&[0]).step(8).piece(&[]);
    let mut fetch = Script::default().step(2).step(1).piece(&said[0].1);
    let manifest = said.iter().find_map(|(request, _)| match BlobRequest::decode(request) {
        Ok(BlobRequest::Manifest(manifest)) => Some(manifest.to_vec()),
        _ => None,
    });
    for content in [manifest.expect("it was stored").as_slice(), CONTENT] {
        fetch = fetch.step(1).piece(&BlobReply::Content(content).encode());
    }
    vec![
        ("serve".into(), steps.end()),
        ("store".into(), client.end()),
        ("fetch".into(), fetch.end()),
    ]
}
