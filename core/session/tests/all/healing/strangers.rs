//! A stranger, or a member, who was alone in a session for a moment has handed in junk. The owners get their session back.

use teatime_base::RoomKeys;
use teatime_reflector::{Config, ConnId};
use teatime_session::{ConnectionState, SessionEvent};
use teatime_wire::{
    ClientMessage, Digest, Envelope, Join, SecretKey, ServerMessage, SnapshotPart, Vote, Welcome,
};

use super::world::{MS, SECOND, World};

/// Joins as another client that knows the password if there is one, without a model.
fn intrude(world: &mut World, view: u8) -> ConnId {
    let frame = world.join.clone();
    let Ok(ClientMessage::Join(join, _)) = ClientMessage::decode(&frame) else { panic!("no join") };
    let key = SecretKey::of_view(&[view; 32]);
    let join = Join { view_key: key.public(), attempt: 1, resume: None, ..join };
    let keys = RoomKeys::new("test.sum", "room", join.password_key.map(|_| "secret"));
    let connection = ConnId(1_000 + u64::from(view));
    let challenge = world.connect(connection);
    say(world, connection, &join.prove(&challenge, &key, keys.password_key()));
    world.pass(SECOND);
    connection
}

fn say(world: &mut World, from: ConnId, message: &ClientMessage<'_>) {
    world.reflector.received(world.now, from, &message.encode());
    world.run();
}

fn leave(world: &mut World, who: ConnId) {
    world.members.retain(|member| *member != who);
    say(world, who, &ClientMessage::Leave);
}

fn heard<T>(world: &World, by: ConnId, wanted: fn(ServerMessage<'_>) -> Option<T>) -> Vec<T> {
    let frames = world.strange.iter().filter(|(connection, _)| *connection == by);
    let each = |(_, frame): &(ConnId, Vec<u8>)| {
        wanted(ServerMessage::decode(frame).expect("it is a message"))
    };
    frames.filter_map(each).collect()
}

fn welcome(world: &World, of: ConnId) -> Welcome {
    let welcome = |message: ServerMessage<'_>| match message {
        ServerMessage::Welcome(welcome) => Some(welcome),
        _ => None,
    };
    heard(world, of, welcome).pop().expect("it was let in")
}

/// A stranger who is alone votes for junk, hands it in, and leaves.
fn brick(world: &mut World, view: u8, junk: &[u8]) {
    let stranger = intrude(world, view);
    say(world, stranger, &ClientMessage::Persist);
    let vote = |message: ServerMessage<'_>| match message {
        ServerMessage::VoteRequest(vote) => Some(vote.seq),
        _ => None,
    };
    let begun = world.now;
    let seq = loop {
        let known = welcome(world, stranger).seq;
        match heard(world, stranger, vote).pop().filter(|seq| *seq > known) {
            Some(seq) => break seq,
            None => world.pass(100 * MS),
        }
        assert!(world.now < begun + 30 * SECOND, "no vote is held");
    };
    let space = Digest([7; 32]);
    let data = Envelope { persisted: None, roots: Vec::new(), space }.wrap(junk);
    say(world, stranger, &ClientMessage::Vote(Vote { seq, hash: Digest::of(&data) }));
    let total = data.len() as u64;
    let part = SnapshotPart { seq, offset: 0, total, data: &data };
    say(world, stranger, &ClientMessage::SnapshotPart(part));
    leave(world, stranger);
}

/// The line of a client is dead for this long.
fn lose_line(world: &mut World, at: usize, meanwhile: impl FnOnce(&mut World)) {
    let connection = world.peers[at].connection.take().expect("it has one");
    world.peers[at].offline = true;
    world.members.retain(|member| *member != connection);
    world.by_connection.remove(&connection);
    world.reflector.disconnected(world.now, connection);
    world.hear(at, teatime_session::Input::Disconnected(None));
    world.pass(11 * SECOND);
    meanwhile(world);
    world.peers[at].offline = false;
    world.pass(40 * SECOND);
}

/// An owner with five events, whose line is dead while a stranger hands in junk twice.
fn bricked(password: Option<&str>) -> World {
    let mut world = World::new(1, Config::default(), password);
    for part in [3, 4, 5, 6, 7] {
        world.pass(50 * MS);
        world.publish(0, part);
    }
    lose_line(&mut world, 0, |world| {
        brick(world, 66, b"junk");
        brick(world, 67, b"more junk");
    });
    world
}

#[test]
fn owners_get_their_session_back_after_a_stranger_has_handed_in_junk() {
    for password in [None, Some("secret")] {
        let mut world = bricked(password);
        let parts = [(1, 3), (2, 4), (3, 5), (4, 6), (5, 7)];
        assert!(world.peers[0].is_live(), "{:?}", world.peers[0].events);
        assert_eq!(world.peers[0].parts(), parts);
        // Its reason told the owner what had happened.
        let has_refused = world.peers[0].events.iter().any(|event| {
            matches!(event, SessionEvent::Connection(ConnectionState::Reconnecting, Some(reason))
                if reason.code() == "BAD_SNAPSHOT")
        });
        assert!(has_refused);
        world.publish(0, 8);
        world.add(password);
        world.pass(SECOND);
        let all = [&parts[..], &[(6, 8)]].concat();
        assert_eq!([world.peers[0].parts(), world.peers[1].parts()], [all.clone(), all]);
        world.assert_unanimous();
        assert!(world.peers.iter().all(|peer| peer.divergences().is_empty()));
    }
}

/// A session of this number of clients that has a snapshot.
fn with_snapshot(number: usize) -> World {
    let config = Config { snapshot_after_events: 8, ..Config::default() };
    let mut world = World::new(number, config, None);
    for part in 1..=12 {
        world.pass(50 * MS);
        world.publish(0, part);
    }
    world.pass(SECOND);
    world
}

/// A liar claims that it cannot load the snapshot that it was given. Returns the liar, and the position of the snapshot.
fn lie(world: &mut World) -> (ConnId, u64) {
    let liar = intrude(world, 66);
    let snapshot = welcome(world, liar).snapshot.expect("it was due");
    say(world, liar, &ClientMessage::Unusable(snapshot.seq));
    (liar, snapshot.seq)
}

/// The position of the snapshot that another newcomer is given.
fn given(world: &mut World) -> Option<u64> {
    let other = intrude(world, 67);
    welcome(world, other).snapshot.map(|info| info.seq)
}

/// A client that stays in the session does not notice that it goes back.
#[test]
fn a_veteran_and_a_newcomer_have_the_same_state_after_the_session_went_back() {
    let mut world = with_snapshot(1);
    world.forget_events();
    let (liar, snapshot) = lie(&mut world);
    world.members.retain(|member| *member != liar);
    world.pass(15 * SECOND);
    world.add(None);
    world.pass(SECOND);
    assert!(!world.peers[0].was_disturbed());
    assert_eq!(world.peers[1].parts(), world.peers[0].parts());
    world.assert_unanimous();
    assert_ne!(given(&mut world), Some(snapshot));
}

#[test]
fn a_liar_cannot_undo_a_snapshot_that_several_have_agreed_about() {
    let mut world = with_snapshot(2);
    let (_, snapshot) = lie(&mut world);
    assert_eq!(given(&mut world), Some(snapshot));
}

#[test]
fn a_client_that_has_caught_up_with_a_snapshot_proves_it_against_a_liar() {
    let mut world = with_snapshot(1);
    world.add(None);
    world.pass(SECOND);
    let (_, snapshot) = lie(&mut world);
    assert_eq!(given(&mut world), Some(snapshot));
}
