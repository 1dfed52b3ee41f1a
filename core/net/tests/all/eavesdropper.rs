//! What an eavesdropper cannot do who has every byte of a connection, nor a thief who has all that a reflector stores.

use std::sync::atomic::{AtomicU64, Ordering};

use teatime_net::server::Server;
use teatime_reflector::storage::Key;
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Join, Proof, PublicKey, Send, ServerMessage, ViewId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::place::{Keys, Line, Place, Setting};
use crate::support::tap::Record;

/// The number of the owners' password, and of another one.
const RIGHT: u8 = 3;
const WRONG: u8 = 4;

/// The view of the eavesdropper.
const THIEF: u8 = 99;

/// The frames that a client said after its request, without their masks.
fn frames(said: &[u8]) -> Vec<Vec<u8>> {
    let head = said.windows(4).position(|end| end == b"\r\n\r\n").expect("a request ends");
    let (mut rest, mut frames) = (&said[head + 4..], Vec::new());
    while let [_, short, behind @ ..] = rest {
        let (length, behind) = match short & 0x7f {
            126 => (usize::from(u16::from_be_bytes([behind[0], behind[1]])), &behind[2..]),
            short => (usize::from(short), behind),
        };
        let (mask, behind) = behind.split_at(4);
        let (payload, behind) = behind.split_at(length);
        let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frames.push(unmasked.collect());
        rest = behind;
    }
    frames
}

/// Every join that can be made of a recorded one and the public key of the password, without a secret of the owners.
fn forged<'a>(
    recorded: &Join<'a>,
    proof: Proof,
    stolen: PublicKey,
    line: &Line,
) -> Vec<ClientMessage<'a>> {
    let as_recorded = |join| ClientMessage::Join(join, Box::new(proof));
    let own = Keys::new(THIEF, Some(WRONG));
    // Signed for this connection, with the keys of the thief.
    let with_own = |join: Join<'a>| join.prove(&line.challenge, &own.view, own.password.as_ref());
    let without_password = |join: Join<'a>| join.prove(&line.challenge, &own.view, None);
    let own_view = Join { view_key: own.view.public(), ..recorded.clone() };
    let mut all = vec![
        as_recorded(recorded.clone()),
        as_recorded(Join { attempt: recorded.attempt + 1, ..recorded.clone() }),
        as_recorded(Join { attempt: u64::MAX, ..recorded.clone() }),
        as_recorded(Join { view_data: Some(b"me"), ..recorded.clone() }),
        // Another session of the room, and of a room of the same password.
        as_recorded(Join { program: Digest([8; 32]), ..recorded.clone() }),
        as_recorded(Join { version: 2, ..recorded.clone() }),
        as_recorded(Join { name: Digest([8; 32]), ..recorded.clone() }),
        // Another view in the room.
        as_recorded(own_view.clone()),
        with_own(Join { password_key: Some(stolen), ..own_view.clone() }),
        without_password(Join { password_key: Some(stolen), ..own_view.clone() }),
        // The view itself.
        with_own(recorded.clone()),
        with_own(Join { attempt: u64::MAX, ..recorded.clone() }),
        without_password(Join { password_key: None, attempt: 9, ..recorded.clone() }),
    ];
    // A right signature by the view of the thief, and the recorded one by the password.
    if let ClientMessage::Join(join, own) = with_own(own_view) {
        let mixed = Proof { password: proof.password, ..*own };
        all.push(ClientMessage::Join(join, Box::new(mixed)));
    }
    all
}

/// The attempt of the next join of the thief's own view.
static ATTEMPT: AtomicU64 = AtomicU64::new(1);

/// Tries everything.
async fn attack(place: &Place, server: &Server, record: &Record, stolen: PublicKey) {
    replay(place, server, record).await;
    let said = record.said();
    let frames = frames(&said);
    let Ok(ClientMessage::Join(recorded, proof)) = ClientMessage::decode(&frames[0]) else {
        panic!("the first message was no join")
    };
    let count = forged(&recorded, *proof, stolen, &place.connect(server).await).len();
    for number in 0..count {
        let mut line = place.connect(server).await;
        let message = forged(&recorded, *proof, stolen, &line).swap_remove(number);
        line.say(&message).await;
        assert_eq!(line.refusal().await, CloseReason::BadProof, "attempt {number}");
    }
    // With a password of their own they are in a room of their own.
    for password in [None, Some(WRONG)] {
        let own = Keys::new(THIEF, password);
        let mut line = place.connect(server).await;
        // A view that has exited is not taken over by an attempt that it has made already.
        line.join(&own, own.join(ATTEMPT.fetch_add(1, Ordering::Relaxed))).await;
        assert_eq!(line.welcome_or_refusal().await, Ok(()));
    }
}

/// Says every byte again that the client said. The server answers with a hello and a refusal, and with nothing else.
async fn replay(place: &Place, server: &Server, record: &Record) {
    let (mut stream, _) = place.dial(server).await;
    stream.write_all(&record.said()).await.expect("it reads");
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while !ends_with_close(&heard) {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => heard.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
    };
    timeout(PATIENCE, read).await.expect("the server closes");
    let head = heard.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer ends");
    // 88: a close frame. The code follows the length.
    let frames = &heard[head + 4..];
    let (hello, close) = frames.split_at(2 + usize::from(frames[1]));
    assert!(matches!(ServerMessage::decode(&hello[2..]), Ok(ServerMessage::Hello(_))));
    let code = CloseReason::BadProof.code().to_be_bytes();
    assert_eq!((close[0], &close[2..4]), (0x88, &code[..]));
    assert!(!record.heard().windows(hello.len()).any(|part| part == hello), "the same nonce");
}

/// Whether a close frame is there behind the hello.
fn ends_with_close(heard: &[u8]) -> bool {
    let head = heard.windows(4).position(|end| end == b"\r\n\r\n");
    let frames = head.map_or(&[][..], |head| &heard[head + 4..]);
    let behind = frames.get(1).and_then(|length| frames.get(2 + usize::from(*length)..));
    behind.is_some_and(|close| close.len() >= 4)
}

async fn enter(place: &Place, server: &Server, keys: &Keys, attempt: u64) -> Line {
    let mut line = place.connect(server).await;
    line.join(keys, keys.join(attempt)).await;
    line.wait_for(|message| matches!(message, ServerMessage::Welcome(_)).then_some(())).await;
    line
}

/// An owner posts, and the other one sees that and no view but those of the owners.
async fn post_and_see(poster: &mut Line, watcher: &mut Line, counter: u64, owners: &[ViewId]) {
    poster.say(&ClientMessage::Send(Send { counter, payload: b"own" })).await;
    for line in [poster, watcher] {
        line.wait_for(|message| match message {
            ServerMessage::Views(views) => {
                let mut strangers =
                    views.joined.iter().filter(|one| !owners.contains(&one.view_id));
                assert!(strangers.next().is_none(), "a stranger is in");
                assert!(views.exited.is_empty(), "an owner was evicted");
                None
            }
            ServerMessage::Event(event) => {
                assert!(owners.contains(&event.sender));
                (event.counter == counter).then_some(())
            }
            _ => None,
        })
        .await;
    }
}

/// What the server has stored: the public key of the password. No secret of a client is in it.
fn steal(place: &Place, keys: &Keys, master: u8, secret: u8) -> PublicKey {
    let store = place.open_store();
    let key = Key::Session(keys.join(1).session());
    let stored = store.load(key).expect("it is whole").expect("it is there");
    let stolen = stored.archive().expect("a reflector has stored it").password_key;
    drop(store);
    let seed = |context, secret: u8| blake3_key(context, secret);
    for secret in [
        [master; 32],
        [secret; 32],
        seed("teatime v1 password key", master),
        seed("teatime v1 view key", secret),
    ] {
        for file in std::fs::read_dir(place.data()).expect("it is there").flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            assert!(!bytes.windows(32).any(|part| part == secret), "{:?}", file.path());
        }
    }
    stolen.expect("the session has a password")
}

fn blake3_key(context: &str, secret: u8) -> [u8; 32] {
    blake3::derive_key(context, &[secret; 32])
}

#[tokio::test]
async fn an_eavesdropper_and_a_thief_of_the_storage_are_neither_a_view_nor_in_a_room_with_a_password()
 {
    for setting in Setting::all() {
        let place = Place::new(setting);
        let server = place.start();
        let owners = [Keys::new(1, Some(RIGHT)), Keys::new(2, Some(RIGHT))];
        let ids = owners.each_ref().map(|keys| keys.view.public().view_id());
        let mut one = enter(&place, &server, &owners[0], 5).await;
        let mut two = enter(&place, &server, &owners[1], 5).await;
        post_and_see(&mut one, &mut two, 1, &ids).await;
        let public = owners[0].join(1).password_key.expect("they have one");
        // While the owners are there, and while the view of the record is not.
        attack(&place, &server, &one.record, public).await;
        post_and_see(&mut one, &mut two, 2, &ids).await;
        let record = one.record.clone();
        drop(one);
        attack(&place, &server, &record, public).await;
        let mut one = enter(&place, &server, &owners[0], 6).await;
        post_and_see(&mut one, &mut two, 3, &ids).await;
        if setting.is_stored {
            drop((one, two));
            server.shutdown();
            let stolen = steal(&place, &owners[0], RIGHT, 1);
            assert_eq!(stolen, public);
            let server = place.start();
            // The thief comes before the owners.
            attack(&place, &server, &record, stolen).await;
            let mut one = enter(&place, &server, &owners[0], 7).await;
            let mut two = enter(&place, &server, &owners[1], 6).await;
            attack(&place, &server, &record, stolen).await;
            post_and_see(&mut one, &mut two, 4, &ids).await;
        }
    }
}

#[tokio::test]
async fn an_eavesdropper_is_not_the_view_in_a_room_without_a_password_either() {
    for setting in Setting::all() {
        let place = Place::new(setting);
        let server = place.start();
        let owners = [Keys::new(1, None), Keys::new(2, None)];
        let ids = owners.each_ref().map(|keys| keys.view.public().view_id());
        let mut one = enter(&place, &server, &owners[0], 5).await;
        let mut two = enter(&place, &server, &owners[1], 5).await;
        replay(&place, &server, &one.record).await;
        let thief = Keys::new(THIEF, None);
        for attempt in [5, 6, u64::MAX] {
            // The right view with the wrong key.
            let mut line = place.connect(&server).await;
            line.join(&thief, owners[0].join(attempt)).await;
            assert_eq!(line.refusal().await, CloseReason::BadProof);
        }
        post_and_see(&mut one, &mut two, 1, &ids).await;
    }
}

#[tokio::test]
async fn the_hello_comes_with_the_answer_to_the_upgrade_and_never_with_the_same_nonce() {
    for setting in Setting::all() {
        let place = Place::new(setting);
        let server = place.start();
        let mut nonces = std::collections::BTreeSet::new();
        for _ in 0..20 {
            // Nothing is said before it.
            let line = place.connect(&server).await;
            assert_eq!(line.challenge.channel.is_some(), setting.is_encrypted);
            assert!(nonces.insert(line.challenge.nonce));
        }
    }
}
