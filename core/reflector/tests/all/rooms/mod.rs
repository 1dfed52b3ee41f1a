//! What one version of an app persists in a room is what the next one begins with.

mod lineage;
mod passwords;

use crate::support::keys::password_key;
use crate::support::{SECOND, World, join, room};
use teatime_reflector::storage::Key;
use teatime_reflector::{Config, ConnId};
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Envelope, Holding, Join, PersistedPart, ServerMessage,
    SnapshotInfo,
};

const STATE: &[u8] = &[b's'; 100];

fn world() -> World {
    World::new(Config { snapshot_after_events: 1_000, ..Config::default() })
}

/// Each version has its own session.
fn version(number: u8, version: u32) -> Join<'static> {
    Join { program: Digest([version as u8; 32]), version, ..join(number) }
}

/// A state with what is persisted, and the blobs to which that refers.
fn handed_in(persisted: &[u8], roots: &[u8]) -> Vec<u8> {
    let roots = roots.iter().map(|root| Digest([*root; 32])).collect();
    let persisted = Some(PersistedPart { data: persisted.to_vec(), roots });
    Envelope { persisted, roots: Vec::new(), space: room(1).id }.wrap(STATE)
}

fn newer(world: &World, of: ConnId) -> Vec<u32> {
    let each = |message| match message {
        ServerMessage::NewerVersion(version) => Some(version),
        _ => None,
    };
    world.messages(of).into_iter().filter_map(each).collect()
}

/// A lone client persists something. Returns the number of the vote.
fn persist(world: &mut World, from: ConnId, data: &[u8], roots: &[u8]) -> u64 {
    world.say(from, &ClientMessage::Persist);
    let before = world.votes_asked(from).len();
    // At once, or after the pause.
    let fresh =
        world.got.iter().rev().find(|(one, _)| *one == from).map(|(_, frame)| frame.clone());
    let is_fresh = fresh.is_some_and(|frame| {
        matches!(ServerMessage::decode(&frame), Ok(ServerMessage::VoteRequest(_)))
    });
    if !is_fresh {
        world.pass(10 * SECOND);
        assert!(world.votes_asked(from).len() > before, "no vote is held");
    }
    let seq = world.newest_vote(from).expect("it was asked");
    let bytes = handed_in(data, roots);
    world.vote(from, seq, Digest::of(&bytes));
    assert!(world.has(from, &ServerMessage::SnapshotWanted(seq)));
    world.hand_in(from, seq, &bytes);
    seq
}

fn announced(world: &mut World, join: Join<'_>) -> ConnId {
    let connection = world.join_as(join);
    world.pass(SECOND);
    connection
}

/// What a client that joins begins with: the version that persisted it, and the data.
fn begins_with(world: &World, of: ConnId) -> Option<(u32, Vec<u8>)> {
    let welcome = world.welcome(of);
    let version = welcome.persisted?;
    let info = welcome.snapshot.expect("it is announced");
    let parts = world.messages(of).into_iter().filter_map(|message| match message {
        ServerMessage::SnapshotPart(part) => Some(part.to_vec()),
        _ => None,
    });
    let data = parts.collect::<Vec<_>>().concat();
    let (hash, size) = (Digest::of(&data), data.len() as u64);
    assert_eq!(info, SnapshotInfo { seq: 0, time: 0, hash, size, chain: info.chain });
    Some((version, data))
}

#[test]
fn all_clients_that_join_before_the_first_snapshot_begin_with_the_same() {
    let mut world = world();
    let one = announced(&mut world, version(1, 1));
    assert_eq!(begins_with(&world, one), None);
    let large: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    let seq = persist(&mut world, one, &large, &[]);
    assert!(world.has(one, &ServerMessage::Persisted(seq)));
    let two = announced(&mut world, version(2, 2));
    assert_eq!(begins_with(&world, two), Some((1, large.clone())));
    world.post(two, 1);
    // What the first version persists after that changes nothing in the session that has begun.
    persist(&mut world, one, b"newer", &[]);
    let late = announced(&mut world, version(3, 2));
    assert_eq!(begins_with(&world, late), Some((1, large)));
    assert_eq!(world.events(late).len(), 1);
    // A snapshot takes its place.
    world.say(two, &ClientMessage::Persist);
    world.pass(SECOND);
    let seq = world.newest_vote(two).expect("it was asked");
    let bytes = handed_in(b"of the second", &[]);
    for voter in [two, late] {
        world.vote(voter, seq, Digest::of(&bytes));
    }
    world.hand_in(two, seq, &bytes);
    let later = announced(&mut world, version(4, 2));
    assert_eq!(begins_with(&world, later), None);
    assert_eq!(world.welcome(later).snapshot.map(|info| info.hash), Some(Digest::of(&bytes)));
}

#[test]
fn a_session_begins_with_the_newest_that_is_not_newer_than_itself_and_hears_of_newer_ones() {
    let mut world = world();
    for number in [2, 4, 3, 1] {
        let one = announced(&mut world, version(number as u8, number));
        let seq = persist(&mut world, one, &[number as u8], &[]);
        assert!(world.has(one, &ServerMessage::Persisted(seq)), "{number}");
        world.say(one, &ClientMessage::Leave);
    }
    let begun = |world: &mut World, session: u8, number: u32| {
        let join = Join { program: Digest([session; 32]), ..version(9, number) };
        let one = world.join_as(join);
        let told = (begins_with(world, one), newer(world, one));
        world.say(one, &ClientMessage::Leave);
        told
    };
    let kept = |number: u32| Some((number, vec![number as u8]));
    assert_eq!(begun(&mut world, 11, 5), (kept(4), vec![]));
    assert_eq!(begun(&mut world, 12, 4), (kept(4), vec![]));
    assert_eq!(begun(&mut world, 13, 3), (kept(3), vec![4]));
    assert_eq!(begun(&mut world, 14, 2), (kept(2), vec![4]));
    // Another room has nothing of it.
    let other = Digest([7; 32]);
    let join = Join { program: Digest([15; 32]), name: other, ..version(9, 5) };
    let one = world.join_as(join);
    assert_eq!((begins_with(&world, one), newer(&world, one)), (None, vec![]));
}

#[test]
fn a_client_of_an_older_version_hears_once_that_a_newer_one_has_come() {
    let mut world = world();
    let old = announced(&mut world, version(1, 1));
    assert_eq!(newer(&world, old), [0; 0]);
    let new = announced(&mut world, version(2, 2));
    let another = announced(&mut world, version(3, 2));
    let late = announced(&mut world, version(4, 1));
    assert_eq!((newer(&world, old), newer(&world, late)), (vec![2], vec![2]));
    assert_eq!((newer(&world, new), newer(&world, another)), (vec![], vec![]));
    // A client that heard of it when it joined does not hear of it again.
    let oldest = announced(&mut world, version(5, 0));
    let more = announced(&mut world, version(6, 2));
    assert_eq!((newer(&world, oldest), newer(&world, more)), (vec![2], vec![]));
    // A version whose clients have left without persisting anything does not count.
    for gone in [new, another, more] {
        world.say(gone, &ClientMessage::Leave);
    }
    let later = announced(&mut world, version(5, 1));
    assert_eq!(newer(&world, later), [0; 0]);
}

#[test]
fn a_client_of_a_newer_version_does_not_wait_for_the_sessions_of_older_ones() {
    let mut world = world();
    let old: Vec<_> = (0..150u8)
        .map(|number| {
            let program = Digest([50 + number; 32]);
            world.join_as(Join { program, ..version(number, 1) })
        })
        .collect();
    world.pass(SECOND);
    let told = |world: &World| old.iter().filter(|one| newer(world, **one) == [2]).count();
    let new = world.join_as(version(200, 2));
    assert_eq!(told(&world), 100);
    world.say(new, &ClientMessage::Leave);
    world.join_as(version(201, 2));
    assert_eq!(told(&world), 150);
    world.join_as(version(202, 2));
    assert_eq!(told(&world), 150);
}

#[test]
fn votes_for_what_is_persisted_keep_their_distance_and_are_held_again_until_there_is_a_snapshot() {
    let mut world = world();
    let one = announced(&mut world, version(1, 1));
    let seq = persist(&mut world, one, b"a", &[]);
    assert_eq!(world.votes_asked(one), [seq]);
    (0..100).for_each(|_| world.say(one, &ClientMessage::Persist));
    world.pass(4 * SECOND);
    assert_eq!(world.votes_asked(one).len(), 1, "not before the pause is over");
    world.pass(2 * SECOND);
    assert_eq!(world.votes_asked(one).len(), 2);
    // It does not answer: it is asked again, less and less often, and never too often.
    for _ in 0..12 {
        world.say(one, &ClientMessage::Ping(1));
        world.pass(10 * SECOND);
    }
    let asked = world.votes_asked(one).len();
    assert!((7..=11).contains(&asked), "{asked} votes");
    // A vote that another client asks for need not wait.
    world.say(one, &ClientMessage::RequestVote);
    world.pass(6 * SECOND);
    assert!(world.votes_asked(one).len() > asked);
}

#[test]
fn a_client_that_asks_for_votes_all_the_time_does_not_delay_persisted_data() {
    let mut world = world();
    let one = announced(&mut world, version(1, 1));
    world.say(one, &ClientMessage::RequestVote);
    world.say(one, &ClientMessage::Persist);
    let bytes = handed_in(b"a", &[]);
    for _ in 0..100 {
        world.say(one, &ClientMessage::RequestVote);
        let seq = world.newest_vote(one).expect("it was asked");
        world.vote(one, seq, Digest::of(&bytes));
        world.say(one, &ClientMessage::RequestVote);
        if world.has(one, &ServerMessage::SnapshotWanted(seq)) {
            return;
        }
        world.pass(SECOND / 10);
    }
    panic!("no snapshot is asked for");
}

#[test]
fn what_a_liar_has_persisted_is_outvoted() {
    let mut world = world();
    let all = [1, 2, 3].map(|number| world.join_as(version(number, 1)));
    world.pass(SECOND);
    world.say(all[0], &ClientMessage::Persist);
    let seq = world.newest_vote(all[0]).expect("it was asked");
    let (lie, truth) = (handed_in(b"lie", &[]), handed_in(b"truth", &[]));
    for (voter, bytes) in all.into_iter().zip([&lie, &truth, &truth]) {
        world.vote(voter, seq, Digest::of(bytes));
    }
    assert!(!world.has(all[0], &ServerMessage::SnapshotWanted(seq)));
    // The liar has time to check its state, and keeps silent.
    world.pass(5 * SECOND);
    // The client that is asked hands in the right state, with other persisted data.
    world.hand_in(all[1], seq, &lie);
    assert_eq!(world.closed, [(all[1], CloseReason::OutOfOrder)]);
    world.hand_in(all[2], seq, &truth);
    assert!(world.has(all[2], &ServerMessage::Persisted(seq)));
    let next = world.join_as(version(4, 2));
    assert_eq!(begins_with(&world, next), Some((1, b"truth".to_vec())));
}

#[test]
fn blobs_are_held_by_the_room_and_let_go_with_what_refers_to_them() {
    let mut world =
        World::new(Config { max_idle_sessions: 0, max_idle_persisted: 700, ..Config::default() });
    // What the store of blobs hears of the room itself.
    let told = |world: &World| {
        let mut of_room = world.references.clone();
        of_room.retain(|(holder, ..)| matches!(holder, Key::Room(_)));
        of_room
    };
    let exactly =
        |roots: &[u8]| Holding::Exactly(roots.iter().map(|root| Digest([*root; 32])).collect());
    let one = announced(&mut world, version(1, 1));
    persist(&mut world, one, &[b'a'; 200], &[1, 2]);
    let two = announced(&mut world, version(2, 2));
    persist(&mut world, two, &[b'b'; 200], &[2, 3]);
    persist(&mut world, one, b"c", &[]);
    let holder = told(&world)[0].0;
    let expected = [exactly(&[1, 2]), exactly(&[1, 2, 3]), exactly(&[2, 3])];
    assert_eq!(told(&world), expected.map(|roots| (holder, room(1).id, roots)));
    for gone in [one, two] {
        world.say(gone, &ClientMessage::Leave);
    }
    assert_eq!(told(&world).len(), 3, "the sessions are forgotten, and the room is not");
    let gone = world.references.iter().filter(|(.., holding)| *holding == Holding::Gone);
    assert_eq!(gone.count(), 2);
    // Another room takes the memory, in which the names of blobs are, too: without them it would be enough.
    let other = Digest([7; 32]);
    let three =
        announced(&mut world, Join { program: Digest([9; 32]), name: other, ..version(3, 1) });
    persist(&mut world, three, &[7; 250], &[]);
    world.say(three, &ClientMessage::Leave);
    assert_eq!(told(&world)[3..], [(holder, room(1).id, Holding::Gone)]);
    let again = world.join_as(version(1, 3));
    assert_eq!(begins_with(&world, again), None);
}

#[test]
fn a_room_that_is_in_use_again_keeps_what_is_persisted_when_idle_ones_are_forgotten() {
    let mut world =
        World::new(Config { max_idle_sessions: 0, max_idle_persisted: 700, ..Config::default() });
    let other = |number: u8| {
        let digest = Digest([number; 32]);
        Join { program: digest, name: digest, ..version(number, 1) }
    };
    let leave = |world: &mut World, one| world.say(one, &ClientMessage::Leave);
    let one = announced(&mut world, version(1, 1));
    persist(&mut world, one, b"first", &[]);
    leave(&mut world, one);
    let back = announced(&mut world, version(2, 1));
    // More than is kept of idle rooms.
    for number in [7, 8] {
        let busy = announced(&mut world, other(number));
        persist(&mut world, busy, &[7; 600], &[]);
        leave(&mut world, busy);
    }
    let seq = persist(&mut world, back, b"second", &[]);
    assert!(world.has(back, &ServerMessage::Persisted(seq)));
    let next = announced(&mut world, version(3, 2));
    assert_eq!(begins_with(&world, next), Some((1, b"second".to_vec())));
    // The last one that went idle is still there, and the one before is not.
    for (number, bytes) in [(7, None), (8, Some((1, vec![7; 600])))] {
        let again = announced(&mut world, other(number));
        assert_eq!(begins_with(&world, again), bytes);
        leave(&mut world, again);
    }
}

#[test]
fn an_unused_version_begins_again_with_what_was_persisted_since() {
    let mut world = world();
    let old = announced(&mut world, version(1, 1));
    persist(&mut world, old, b"on monday", &[]);
    let look = announced(&mut world, version(2, 2));
    assert_eq!(begins_with(&world, look), Some((1, b"on monday".to_vec())));
    let timeline = world.welcome(look).timeline;
    persist(&mut world, old, b"on friday", &[]);
    // As long as a client is there all begin with the same.
    let other = announced(&mut world, version(3, 2));
    assert_eq!(begins_with(&world, other), Some((1, b"on monday".to_vec())));
    for gone in [look, other] {
        world.say(gone, &ClientMessage::Leave);
    }
    let later = announced(&mut world, version(4, 2));
    assert_eq!(begins_with(&world, later), Some((1, b"on friday".to_vec())));
    assert_ne!(world.welcome(later).timeline, timeline);
    // Once a participant has done something it goes on.
    world.post(later, 1);
    world.say(later, &ClientMessage::Leave);
    persist(&mut world, old, b"on sunday", &[]);
    let last = announced(&mut world, version(5, 2));
    assert_eq!(begins_with(&world, last), Some((1, b"on friday".to_vec())));
    assert_eq!(world.events(last).len(), 1);
}

#[test]
fn a_session_is_in_one_room() {
    let mut world = world();
    announced(&mut world, version(1, 1));
    // Another password, name or version is another session, whatever else the client claims.
    let password = Some(password_key(9));
    let program = version(2, 1).program;
    for other in [
        version(2, 1),
        Join { name: Digest([7; 32]), ..version(2, 1) },
        Join { program, ..version(2, 2) },
    ] {
        for password_key in [None, password] {
            world.join_as(Join { password_key, ..other.clone() });
            world.pass(SECOND);
        }
    }
    assert_eq!(world.closed, []);
    assert_eq!(world.reflector.stats().sessions, 6);
    let owner = world.join_as(version(3, 1));
    assert_eq!(
        world.welcome(owner).seq,
        2,
        "the joins of the first two clients without a password"
    );
}

/// The only session of a room hands in a state.
fn snapshot(world: &mut World, from: ConnId, space: Digest, roots: Vec<Digest>) {
    world.got.clear();
    let begun = world.now;
    while world.votes_asked(from).is_empty() {
        assert!(world.now < begun + 25 * SECOND, "it goes on without a snapshot");
        world.pass(SECOND);
    }
    let seq = world.votes_asked(from)[0];
    let bytes = Envelope { persisted: None, roots, space }.wrap(STATE);
    world.vote(from, seq, Digest::of(&bytes));
    world.hand_in(from, seq, &bytes);
}

#[test]
fn the_store_of_blobs_hears_of_a_session_from_its_first_moment_to_its_last() {
    let snapshot_after_time = 20 * SECOND;
    let config = Config { max_idle_sessions: 0, snapshot_after_time, ..Config::default() };
    let mut world = World::new(config);
    let told = |world: &mut World| {
        let told = std::mem::take(&mut world.references).into_iter();
        told.map(|(session, space, holding)| {
            let session_of_room = Key::Session(version(1, 1).session());
            assert_eq!((session, space), (session_of_room, room(1).id));
            holding
        })
        .collect::<Vec<_>>()
    };
    let one = announced(&mut world, version(1, 1));
    assert_eq!(told(&mut world), [Holding::Awake(vec![])]);
    let roots = vec![Digest([7; 32])];
    snapshot(&mut world, one, room(1).id, roots.clone());
    assert_eq!(told(&mut world), [], "the session may go back");
    world.pass(10 * SECOND);
    let load = |world: &mut World, number| {
        let newcomer = world.join_as(version(number, 1));
        let snapshot = world.welcome(newcomer).snapshot.expect("there is one");
        world.say(newcomer, &ClientMessage::Loaded(snapshot.seq));
        world.say(newcomer, &ClientMessage::Leave);
    };
    load(&mut world, 2);
    assert_eq!(told(&mut world), [Holding::Snapshot(roots, 11)]);
    // It has no say about the blobs of other rooms.
    snapshot(&mut world, one, Digest([3; 32]), vec![]);
    load(&mut world, 3);
    assert_eq!(told(&mut world), []);
    world.say(one, &ClientMessage::Leave);
    assert_eq!(told(&mut world), [Holding::AtRest, Holding::Gone]);
}
