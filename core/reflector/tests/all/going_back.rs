//! A stranger who was alone in a session has handed in junk: the session goes back to the history before it.

use crate::support::keys::password_key;
use crate::support::stored::StoredWorld;
use crate::support::{SECOND, World, in_envelope, join, world};
use teatime_reflector::storage::{Key, Request};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, CloseReason, Digest, Join, ServerMessage, SnapshotInfo};

const JUNK: &[u8] = b"no state of any model";

/// Joins as the view of this number, with this password.
fn with(number: u8, password: Option<u8>) -> Join<'static> {
    Join { password_key: password.map(password_key), ..join(number) }
}

/// Has a state taken as the snapshot. Returns the number of the vote.
fn snapshot(world: &mut World, from: ConnId, state: &[u8]) -> u64 {
    world.say(from, &ClientMessage::Persist);
    while world
        .newest_vote(from)
        .is_none_or(|seq| world.has(from, &ServerMessage::SnapshotWanted(seq)))
    {
        world.pass(SECOND);
        world.say(from, &ClientMessage::Ping(1));
    }
    let (seq, bytes) = (world.newest_vote(from).expect("it was asked"), in_envelope(state));
    world.vote(from, seq, Digest::of(&bytes));
    world.hand_in(from, seq, &bytes);
    seq
}

fn leave(world: &mut World, who: ConnId) {
    world.say(who, &ClientMessage::Leave);
}

/// Joins as the view of this number. Returns the connection, and the snapshot that it is given.
fn newcomer(world: &mut World, join: Join<'static>) -> (ConnId, Option<SnapshotInfo>) {
    let connection = world.join_as(join);
    let snapshot = world.welcome(connection).snapshot;
    world.pass(SECOND);
    (connection, snapshot)
}

/// A session in which an owner has sent three events and a stranger has handed in junk, and both have left. Returns the
/// number of the junk.
fn bricked(world: &mut World, password: Option<u8>) -> u64 {
    let (owner, _) = newcomer(world, with(1, password));
    (1..=3).for_each(|counter| world.post(owner, counter));
    leave(world, owner);
    let (stranger, _) = newcomer(world, with(66, password));
    let junk = snapshot(world, stranger, JUNK);
    world.post(stranger, 1);
    leave(world, stranger);
    junk
}

#[test]
fn a_session_goes_back_from_junk_and_loses_no_event() {
    for password in [None, Some(9)] {
        let mut world = world();
        let junk = bricked(&mut world, password);
        let (owner, given) = newcomer(&mut world, with(2, password));
        assert_eq!((given.map(|info| info.seq), world.events(owner).len()), (Some(junk), 1));
        let before = world.welcome(owner).seq;
        world.say(owner, &ClientMessage::Unusable(junk));
        assert_eq!(world.closed.last(), Some(&(owner, CloseReason::GoingAway)));
        let (owner, given) = newcomer(&mut world, with(3, password));
        assert_eq!(given, None, "it goes back to the beginning");
        let events: Vec<_> = world.events(owner).iter().map(|(_, _, counter)| *counter).collect();
        assert_eq!(events, [1, 2, 3, 1], "each is there once");
        assert!(world.welcome(owner).seq > before);
    }
}

#[test]
fn a_session_goes_back_past_all_snapshots_that_no_client_has_loaded() {
    let mut world = world();
    let (owner, _) = newcomer(&mut world, with(1, None));
    world.post(owner, 1);
    let good = snapshot(&mut world, owner, b"good");
    leave(&mut world, owner);
    let (loader, _) = newcomer(&mut world, with(2, None));
    world.say(loader, &ClientMessage::Loaded(good));
    leave(&mut world, loader);
    let (stranger, _) = newcomer(&mut world, with(66, None));
    snapshot(&mut world, stranger, JUNK);
    world.post(stranger, 1);
    let junk = snapshot(&mut world, stranger, b"more junk");
    leave(&mut world, stranger);
    let (owner, _) = newcomer(&mut world, with(3, None));
    world.say(owner, &ClientMessage::Unusable(junk));
    let (owner, given) = newcomer(&mut world, with(4, None));
    assert_eq!(
        given.map(|info| (info.seq, info.hash)),
        Some((good, Digest::of(&in_envelope(b"good"))))
    );
    assert_eq!(world.events(owner).len(), 1, "what came after the good one");
}

#[test]
fn a_liar_does_not_throw_away_a_snapshot_that_a_newcomer_has_loaded() {
    let mut world = world();
    let (owner, _) = newcomer(&mut world, with(1, None));
    let good = snapshot(&mut world, owner, b"good");
    let (honest, _) = newcomer(&mut world, with(2, None));
    world.say(honest, &ClientMessage::Loaded(good));
    let memory = world.reflector.stats().log_bytes;
    let (liar, _) = newcomer(&mut world, with(66, None));
    world.say(liar, &ClientMessage::Unusable(good));
    assert_eq!(world.closed, []);
    let (_, given) = newcomer(&mut world, with(3, None));
    assert_eq!(given.map(|info| info.seq), Some(good));
    assert!(world.reflector.stats().log_bytes > memory);
}

#[test]
fn only_a_newcomer_that_was_given_the_snapshot_proves_it_or_refuses_it() {
    let mut world = world();
    let (stranger, _) = newcomer(&mut world, with(66, None));
    let junk = snapshot(&mut world, stranger, JUNK);
    // It was not given any.
    world.say(stranger, &ClientMessage::Loaded(junk));
    world.say(stranger, &ClientMessage::Unusable(junk));
    // It was there when the snapshot came.
    let again = world.join_as(with(66, None));
    world.say(again, &ClientMessage::Loaded(junk));
    let (owner, _) = newcomer(&mut world, with(1, None));
    // Others than the one that it was given.
    world.say(owner, &ClientMessage::Loaded(junk - 1));
    world.say(owner, &ClientMessage::Unusable(junk + 1));
    assert_eq!(world.closed, [(stranger, CloseReason::Replaced)]);
    world.say(owner, &ClientMessage::Unusable(junk));
    assert_eq!(world.closed[1..], [(owner, CloseReason::GoingAway)]);
}

/// A client that goes on with its model, and others that were there, notice nothing.
#[test]
fn clients_with_a_model_are_not_disturbed() {
    let mut world = world();
    let (veteran, _) = newcomer(&mut world, with(1, None));
    world.post(veteran, 1);
    let junk = snapshot(&mut world, veteran, JUNK);
    let heard = world.messages(veteran).len();
    let joiner = world.join_as(with(2, None));
    world.say(joiner, &ClientMessage::Unusable(junk));
    assert_eq!((world.messages(veteran).len(), world.closed.len()), (heard, 1));
    world.post(veteran, 2);
    assert_eq!(world.events(veteran).len(), 2);
    let welcome = world.welcome(veteran);
    let resume = teatime_wire::Resume {
        timeline: welcome.timeline,
        seq: junk,
        chain: world.chain(veteran, junk),
    };
    let again = world.join_as(Join { resume: Some(resume), ..with(1, None) });
    assert!(world.welcome(again).resumed);
    assert_eq!(world.events(again).len(), 1);
}

#[test]
fn the_history_counts_into_the_limit_of_the_log_and_has_one_of_its_own() {
    drops_its_history(Config { log_limit_bytes: 4_000, ..Config::default() });
    let (history_limit_bytes, snapshot_after_bytes) = (4_000, 4_000);
    drops_its_history(Config { history_limit_bytes, snapshot_after_bytes, ..Config::default() });
}

fn drops_its_history(config: Config) {
    let mut world = World::new(config);
    let junk = bricked(&mut world, None);
    let (stranger, _) = newcomer(&mut world, with(67, None));
    // A history that does not fit is dropped: the log is never longer than a reflector can bear.
    (1..=20).for_each(|counter| world.post(stranger, counter));
    let before = world.reflector.stats().log_bytes;
    (21..=28).for_each(|counter| world.post(stranger, counter));
    assert!(
        world.reflector.stats().log_bytes < before + 9 * 100,
        "it goes before senders are held"
    );
    leave(&mut world, stranger);
    let (owner, given) = newcomer(&mut world, with(2, None));
    assert_eq!(given.map(|info| info.seq), Some(junk));
    world.say(owner, &ClientMessage::Unusable(junk));
    assert!(!world.closed.contains(&(owner, CloseReason::GoingAway)));
}

#[test]
fn histories_go_before_idle_sessions_when_memory_is_short() {
    let mut world = world();
    bricked(&mut world, None);
    let all = world.reflector.stats().log_bytes;
    let mut world = World::new(Config { max_idle_bytes: all - 1, ..Config::default() });
    bricked(&mut world, None);
    let stats = world.reflector.stats();
    assert_eq!(stats.sessions, 1);
    assert!(stats.log_bytes < all);
}

/// The same with a storage that answers late, and after restarts.
#[test]
fn a_stored_session_goes_back_too() {
    for (restarts_before, restarts_after) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let mut world = StoredWorld::new(Config::default());
        let owner = world.join_well(with(1, None));
        (1..=3).for_each(|counter| world.post(owner, counter));
        world.answer_all();
        world.say(owner, &ClientMessage::Leave);
        let stranger = world.join_well(with(66, None));
        let junk = stored_snapshot(&mut world, stranger);
        world.say(stranger, &ClientMessage::Leave);
        world.answer_all();
        if restarts_before {
            world.restart(Config::default());
        }
        let owner = world.join_well(with(2, None));
        assert_eq!(world.welcome(owner).snapshot.map(|info| info.seq), Some(junk));
        world.say(owner, &ClientMessage::Unusable(junk));
        world.answer_all();
        assert!(world.closed.contains(&(owner, CloseReason::GoingAway)));
        if restarts_after {
            world.restart(Config::default());
        }
        let owner = world.join_well(with(3, None));
        assert_eq!((world.welcome(owner).snapshot, world.events(owner).len()), (None, 3));
    }
}

fn stored_snapshot(world: &mut StoredWorld, from: ConnId) -> u64 {
    world.say(from, &ClientMessage::Persist);
    world.answer_all();
    let (seq, bytes) = (world.newest_vote(from).expect("it was asked"), in_envelope(JUNK));
    world.say(from, &ClientMessage::Vote(teatime_wire::Vote { seq, hash: Digest::of(&bytes) }));
    for part in crate::support::parts(seq, &bytes) {
        world.say(from, &part);
    }
    seq
}

#[test]
fn the_storage_hears_of_a_proof_and_of_going_back_after_the_checkpoint() {
    let config = Config { history_time: 90 * SECOND, ..Config::default() };
    let mut world = StoredWorld::new(config.clone());
    let owner = world.join_well(with(1, None));
    world.post(owner, 1);
    let seq = stored_snapshot(&mut world, owner);
    world.post(owner, 2);
    let joiner = world.join_as(with(2, None));
    world.say(joiner, &ClientMessage::Loaded(seq));
    let about_history = |request: &Request| match request {
        Request::Checkpoint { previous, .. } => Some(("checkpoint", *previous)),
        Request::Proven { seq, retain, .. } => Some(("proven", Some(*seq * 1_000 + *retain))),
        _ => None,
    };
    let mut seen = Vec::new();
    while let Some((_, request)) = world.waiting.front() {
        seen.extend(about_history(request));
        world.answer(0);
    }
    assert_eq!(seen, [("checkpoint", Some(0)), ("proven", Some(seq * 1_000 + 90))]);
    let stored = world.sessions.get(&Key::Session(join(1).session())).expect("it is stored");
    assert_eq!(stored.previous, None);
}
