//! What strangers cannot do to a room, on real sockets: keep its owners out, or push out what they have persisted.

use futures_util::future::join_all;
use teatime_net::server::Server;
use teatime_store::{Error, RoomId, records, remove_record};
use teatime_wire::limits::MAX_SNAPSHOT_PART;
use teatime_wire::{
    ClientMessage, Digest, Envelope, Join, PersistedPart, Send, ServerMessage, SnapshotPart, Vote,
};

use crate::support::place::{Keys, Line, Place, Setting};

/// The number of the owners' password, and of a stranger's.
const RIGHT: u8 = 3;
const OWN: u8 = 4;

/// The view of the stranger.
const STRANGER: u8 = 99;

async fn enter(place: &Place, server: &Server, keys: &Keys, join: Join<'_>) -> Line {
    let mut line = place.connect(server).await;
    line.join(keys, join).await;
    line.wait_for(|message| matches!(message, ServerMessage::Welcome(_)).then_some(())).await;
    line
}

async fn post(line: &mut Line, counter: u64) {
    line.say(&ClientMessage::Send(Send { counter, payload: b"post" })).await;
    let is_it = |message: &ServerMessage<'_>| {
        matches!(message, ServerMessage::Event(event) if event.counter == counter).then_some(())
    };
    line.wait_for(is_it).await;
}

/// Waits for a pong, and counts the hints before it.
async fn hints(line: &mut Line) -> usize {
    // A hint may wait for the storage, which answers while the next two round trips are under way.
    let mut hints = 0;
    for nonce in [1, 2] {
        line.say(&ClientMessage::Ping(nonce)).await;
        let is_it = |message: &ServerMessage<'_>| {
            hints += usize::from(*message == ServerMessage::OtherPassword);
            (*message == ServerMessage::Pong(nonce)).then_some(())
        };
        line.wait_for(is_it).await;
    }
    hints
}

/// Everything that a stranger can claim who knows the app and the name of the room: other passwords, and other names.
async fn squat(place: &Place, server: &Server, attempt: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    for password in [None, Some(OWN)] {
        let keys = Keys::new(STRANGER, password);
        let mut line = enter(place, server, &keys, keys.join(attempt)).await;
        post(&mut line, attempt).await;
        lines.push(line);
        for name in 1..=4 {
            let join = Join { name: Digest([name; 32]), ..keys.join(attempt) };
            lines.push(enter(place, server, &keys, join).await);
        }
    }
    lines
}

async fn owners_meet(place: &Place, server: &Server, attempt: u64) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    let mut hinted = 0;
    for view in [1, 2] {
        let keys = Keys::new(view, Some(RIGHT));
        let mut line = enter(place, server, &keys, keys.join(attempt)).await;
        hinted += hints(&mut line).await;
        post(&mut line, attempt).await;
        lines.push(line);
    }
    // The first one has seen the post of the second, and no view but theirs.
    let owners = [1, 2].map(|view| Keys::new(view, None).view.public().view_id());
    let seen = lines[0].wait_for(|message| match message {
        ServerMessage::Views(views) => {
            assert!(views.joined.iter().all(|view| owners.contains(&view.view_id)));
            None
        }
        ServerMessage::Event(event) => (event.sender == owners[1]).then_some(event.counter),
        _ => None,
    });
    assert_eq!(seen.await, attempt);
    (lines, hinted)
}

#[tokio::test]
async fn a_stranger_who_comes_first_keeps_no_owner_out_of_a_room() {
    let each = Setting::all().into_iter().map(async |setting| {
        let place = Place::new(setting);
        let server = place.start();
        let strangers = squat(&place, &server, 1).await;
        let (owners, hinted) = owners_meet(&place, &server, 1).await;
        assert_eq!(hinted, 1, "{setting:?}: their room was new, and the name in use");
        // They are still there, and owners come back.
        drop(owners);
        let (owners, hinted) = owners_meet(&place, &server, 2).await;
        assert_eq!(hinted, 0, "{setting:?}: the room is known to be theirs");
        drop((strangers, owners));
        server.shutdown();
        if setting.is_stored {
            let server = place.start();
            let _strangers = squat(&place, &server, 2).await;
            let (_owners, hinted) = owners_meet(&place, &server, 3).await;
            assert_eq!(hinted, 0, "{setting:?}");
        }
    });
    join_all(each).await;
}

/// What a version of the app hands in.
fn handed_in(data: &[u8], join: &Join<'_>) -> Vec<u8> {
    let persisted = Some(PersistedPart { data: data.to_vec(), roots: Vec::new() });
    Envelope { persisted, roots: Vec::new(), space: join.room().id }.wrap(b"state")
}

/// The only client of a session persists something. Returns whether the reflector stores it.
async fn persists(line: &mut Line, join: &Join<'_>, data: &[u8]) -> bool {
    line.say(&ClientMessage::Persist).await;
    let seq = line.wait_for(|message| match message {
        ServerMessage::VoteRequest(vote) => Some(vote.seq),
        _ => None,
    });
    let seq = seq.await;
    let bytes = handed_in(data, join);
    line.say(&ClientMessage::Vote(Vote { seq, hash: Digest::of(&bytes) })).await;
    line.wait_for(|message| (*message == ServerMessage::SnapshotWanted(seq)).then_some(())).await;
    let total = bytes.len() as u64;
    for (at, data) in bytes.chunks(MAX_SNAPSHOT_PART).enumerate() {
        let offset = (at * MAX_SNAPSHOT_PART) as u64;
        let part = SnapshotPart { seq, offset, total, data };
        line.say(&ClientMessage::SnapshotPart(part)).await;
    }
    let told = line.wait_for(|message| match message {
        ServerMessage::Persisted(of) => (*of == seq).then_some(true),
        ServerMessage::NotPersisted(not) => (not.seq == seq).then_some(false),
        _ => None,
    });
    told.await
}

/// Joins a version of the app. Returns what it begins with.
async fn begin(
    place: &Place,
    server: &Server,
    keys: &Keys,
    join: Join<'_>,
) -> (Line, Option<Vec<u8>>) {
    let mut line = place.connect(server).await;
    line.join(keys, join).await;
    let is_announced = line.wait_for(|message| match message {
        ServerMessage::Welcome(welcome) => Some(welcome.persisted.is_some()),
        _ => None,
    });
    let data = match is_announced.await {
        true => Some(
            line.wait_for(|message| match message {
                ServerMessage::SnapshotPart(part) => Some(part.to_vec()),
                _ => None,
            })
            .await,
        ),
        false => None,
    };
    // Its own join, so that it counts in a vote.
    line.wait_for(|message| matches!(message, ServerMessage::Views(_)).then_some(())).await;
    (line, data)
}

async fn leave(mut line: Line) {
    line.say(&ClientMessage::Leave).await;
    line.end().await;
}

#[tokio::test]
async fn owners_keep_their_data_over_an_upgrade_with_strangers_between() {
    // Without a password everybody is a member. With one, these are members who claim too much.
    let settings =
        Setting::all().into_iter().flat_map(|setting| [(setting, None), (setting, Some(RIGHT))]);
    let each = settings.map(async |(setting, password)| {
        let place = Place::new(setting);
        let mut server = place.start();
        let (owner, stranger) = (Keys::new(1, password), Keys::new(STRANGER, password));
        let version = |keys: &Keys, version, program| Join {
            version,
            program: Digest([program; 32]),
            ..keys.join(1)
        };
        let first = Join { ..owner.join(1) };
        let (mut line, begun) = begin(&place, &server, &owner, first.clone()).await;
        assert_eq!(begun, None);
        assert!(persists(&mut line, &first, b"work").await);
        for (claimed, program) in [(u32::MAX, 51), (u32::MAX - 1, 52), (1_000, 53)] {
            let join = version(&stranger, claimed, program);
            let (mut line, _) = begin(&place, &server, &stranger, join.clone()).await;
            assert!(persists(&mut line, &join, b"junk").await);
            leave(line).await;
        }
        if setting.is_stored {
            leave(line).await;
            server.shutdown();
            server = place.start();
            let again = Join { attempt: 2, ..first.clone() };
            line = enter(&place, &server, &owner, again).await;
        }
        // The owner goes on.
        assert!(persists(&mut line, &first, b"more work").await, "{setting:?}");
        let (second, begun) = begin(&place, &server, &owner, version(&owner, 2, 60)).await;
        assert_eq!(begun.as_deref(), Some(&b"more work"[..]), "{setting:?}");
        if setting.is_stored {
            leave(second).await;
            leave(line).await;
            server.shutdown();
            remove_junk(&place, RoomId::of(&first.room()));
            let server = place.start();
            let newest = version(&owner, u32::MAX, 61);
            let (_line, begun) = begin(&place, &server, &owner, newest).await;
            assert_eq!(begun.as_deref(), Some(&b"more work"[..]), "{setting:?}");
        }
    });
    join_all(each).await;
}

/// What the operator does: lists what the room has, and removes what began with something, until only the owner's is left.
fn remove_junk(place: &Place, room: RoomId) {
    let all = records(place.data(), room).expect("it has some");
    let versions: Vec<_> = all.iter().map(|record| record.version).collect();
    assert_eq!(versions, [u32::MAX, u32::MAX - 1, 1_000, 1]);
    let (own, hash) = (all[3].session, Digest::of(b"more work"));
    assert_eq!((all[3].from, all[3].hash, all[3].bytes), (None, hash, 9));
    for record in &all[..3] {
        assert_eq!(record.from, Some((own, 1, Digest::of(b"work"))), "what it began with");
        remove_record(place.data(), room, record.session).expect("it is there");
        let again = remove_record(place.data(), room, record.session);
        assert!(matches!(again, Err(Error::Unknown)), "{again:?}");
    }
    assert_eq!(records(place.data(), room).expect("it is there").len(), 1);
}
