//! What all sessions take together is bounded, and what one address causes of it.

use teatime_reflector::{AddressId, Budget, Config, ConnId, Owner, Shares};
use teatime_wire::{ClientMessage, CloseReason, Digest, Hold, Join, Room, Send, ServerMessage};

use crate::support::stored::StoredWorld;
use crate::support::{SECOND, World, in_envelope, join};

const KIB: u64 = 1024;
const POST: usize = 4 * 1024;

/// A reflector with little memory, whose logs could be larger than that.
fn world() -> World {
    World::new(Config {
        max_session_bytes: 1024 * KIB,
        max_session_bytes_per_address: 256 * KIB,
        held_bytes_per_view: 64 * KIB,
        ..Config::default()
    })
}

/// A client from an address joins a session of its own.
fn join_from(world: &mut World, address: u128, session: u8) -> ConnId {
    join_as(world, address, session, session)
}

/// A view from an address joins a session.
fn join_as(world: &mut World, address: u128, view: u8, session: u8) -> ConnId {
    let connection = world.connect();
    world.reflector.comes_from(connection, AddressId(address));
    let name = Room::new(Digest([session; 32]), None, 1).name;
    world.attempt += 1;
    let attempt = world.attempt;
    world.say_join(connection, Join { name, attempt, ..join(view) });
    connection
}

fn is_held(world: &World, one: ConnId) -> bool {
    world.has(one, &ServerMessage::Hold(Hold::Pause))
}

/// A client posts until it is asked to pause, or has posted this many KiB. Returns how many times it posted.
fn fill(world: &mut World, one: ConnId, most: u64) -> u64 {
    let mut posts = 0;
    while !is_held(world, one) && posts * 4 < most {
        posts += 1;
        world.post_bytes(one, posts, POST);
    }
    posts
}

fn bytes(world: &World) -> u64 {
    world.reflector.stats().log_bytes
}

#[test]
fn an_address_that_has_used_its_share_is_held_and_others_are_not() {
    let mut world = world();
    let greedy: Vec<_> = (1..=3).map(|session| join_from(&mut world, 1, session)).collect();
    let posts: Vec<_> = greedy.iter().map(|one| fill(&mut world, *one, 1024)).collect();
    assert!(greedy.iter().all(|one| is_held(&world, *one)));
    // All have what the least room for words is, and one has all that is left.
    let total: u64 = posts.iter().sum();
    assert!((50..=64 + 2 * 18).contains(&total), "{posts:?}");
    let other = join_from(&mut world, 2, 4);
    assert_eq!(fill(&mut world, other, 128), 32);
    assert!(!is_held(&world, other) && world.closed.is_empty());
    // Asked to pause, it does not. Then it is closed, and no more comes into the log.
    let before = bytes(&world);
    for more in 1..100 {
        world.post_bytes(greedy[0], posts[0] + more, POST);
    }
    assert!(
        matches!(world.closed[..], [(one, CloseReason::Full | CloseReason::TooFast)] if one == greedy[0])
    );
    assert!(bytes(&world) - before <= 100 * KIB);
    world.post_bytes(other, 33, POST);
    assert_eq!(world.events(other).len(), 33);
}

#[test]
fn many_addresses_use_up_the_memory_and_nobody_loses_a_session() {
    let mut world = world();
    let friend = join_from(&mut world, 100, 100);
    for session in 1..=20_u8 {
        let one = join_from(&mut world, session.into(), session);
        fill(&mut world, one, 1024);
    }
    let room_for_words = 20 * 68 * KIB;
    assert!(bytes(&world) <= 1024 * KIB + room_for_words, "{}", bytes(&world));
    let late = join_from(&mut world, 50, 50);
    assert_eq!(world.closed.last(), Some(&(late, CloseReason::Full)));
    // A session that is there can still be joined, and a few words said in it.
    let joiner = join_as(&mut world, 51, 51, 100);
    world.pass(SECOND);
    world.post_bytes(joiner, 1, 100);
    assert_eq!(world.events(friend).len(), 1);
    assert!(!is_held(&world, friend));
}

#[test]
fn senders_resume_when_others_have_left_memory_to_them() {
    let mut world = World::new(Config {
        max_session_bytes: 512 * KIB,
        max_idle_sessions: 1,
        ..Config::default()
    });
    let greedy: Vec<_> = (1..=4).map(|session| join_from(&mut world, 1, session)).collect();
    greedy.iter().for_each(|one| {
        fill(&mut world, *one, 128);
    });
    let one = join_from(&mut world, 2, 9);
    assert_eq!(world.closed, [(one, CloseReason::Full)]);
    assert!(is_held(&world, greedy[3]));
    greedy[..3].iter().for_each(|one| world.cut(*one));
    world.pass(10 * SECOND);
    assert!(world.has(greedy[3], &ServerMessage::Hold(Hold::Resume)));
    let one = join_from(&mut world, 2, 9);
    assert_eq!(fill(&mut world, one, 128), 32);
}

#[test]
fn a_snapshot_for_which_no_memory_is_left_is_not_taken_and_closes_no_one() {
    let mut world = world();
    let one = join_from(&mut world, 1, 1);
    world.pass(SECOND);
    world.say(one, &teatime_wire::ClientMessage::Persist);
    world.pass(SECOND);
    let seq = world.newest_vote(one).expect("a vote");
    let large = in_envelope(&vec![1; 300 * 1024]);
    world.vote(one, seq, Digest::of(&large));
    assert!(world.has(one, &ServerMessage::SnapshotWanted(seq)));
    world.hand_in(one, seq, &large);
    assert!(world.closed.is_empty() && bytes(&world) < 10 * KIB);
    world.post_bytes(one, 1, 100);
    assert_eq!(world.events(one).len(), 1);
}

/// A lone client hands in a snapshot of this size. Returns whether it was taken.
fn renew(world: &mut World, one: ConnId, bytes: usize, content: u8) -> bool {
    world.pass(20 * SECOND);
    let before = world.newest_vote(one);
    world.say(one, &teatime_wire::ClientMessage::Persist);
    while world.newest_vote(one) == before {
        world.pass(SECOND / 10);
    }
    let seq = world.newest_vote(one).expect("a vote");
    let snapshot = in_envelope(&vec![content; bytes]);
    world.vote(one, seq, Digest::of(&snapshot));
    world.hand_in(one, seq, &snapshot);
    let late = join_as(world, 77, 77, 1);
    let taken = world.welcome(late).snapshot.is_some_and(|info| info.seq == seq);
    world.say(late, &teatime_wire::ClientMessage::Leave);
    taken
}

#[test]
fn a_session_near_its_limit_can_renew_its_snapshot_because_only_the_difference_counts() {
    let mut world = World::new(Config {
        max_session_bytes_per_address: 256 * KIB,
        silence_timeout: 600 * SECOND,
        ..Config::default()
    });
    let one = join_from(&mut world, 1, 1);
    world.pass(SECOND);
    for round in 0..5 {
        assert!(renew(&mut world, one, 180 * 1024, round), "{round}");
    }
    assert!(!renew(&mut world, one, 300 * 1024, 9), "it is larger by more than what is left");
    assert!(renew(&mut world, one, 190 * 1024, 10));
    // Its history begins without a snapshot.
    assert!(bytes(&world) < 256 * KIB, "{}", bytes(&world));
}

#[test]
fn a_voter_that_has_used_up_its_share_does_not_keep_the_others_from_handing_in_the_snapshot() {
    let mut world = world();
    let greedy = join_from(&mut world, 1, 50);
    fill(&mut world, greedy, 1024);
    assert!(is_held(&world, greedy));
    let [two, one] = [2, 1].map(|view| join_as(&mut world, view.into(), view, 9));
    world.pass(SECOND);
    world.say(two, &teatime_wire::ClientMessage::Persist);
    world.pass(SECOND);
    let seq = world.newest_vote(one).expect("a vote");
    let large = in_envelope(&vec![1; 100 * 1024]);
    let wanted = ServerMessage::SnapshotWanted(seq);
    [one, two].into_iter().for_each(|voter| world.vote(voter, seq, Digest::of(&large)));
    assert!(world.has(one, &wanted) && !world.has(two, &wanted));
    world.hand_in(one, seq, &large);
    assert!(world.has(two, &wanted));
    world.hand_in(two, seq, &large);
    assert!(world.closed.is_empty() && bytes(&world) > 300 * KIB, "{}", bytes(&world));
}

/// A client from an address joins a stored session of its own.
fn join_stored(world: &mut StoredWorld, address: u128, session: u8) -> ConnId {
    let connection = world.connect();
    world.reflector.comes_from(connection, AddressId(address));
    world.attempt += 1;
    let (name, attempt) = (Digest([session; 32]), world.attempt);
    let frame = world.proven(connection, Join { name, attempt, ..join(session) });
    let now = world.now;
    world.reflector.received(now, connection, &frame);
    world.settle();
    world.answer_all();
    world.pass_well(SECOND);
    connection
}

/// It posts this many times, and the storage answers. Returns whether it is still there.
fn post_stored(world: &mut StoredWorld, one: ConnId, counters: std::ops::Range<u64>) -> bool {
    for counter in counters {
        if is_held(world, one) || world.closed.iter().any(|(closed, _)| *closed == one) {
            break;
        }
        world.say(one, &ClientMessage::Send(Send { counter, payload: &[7; POST] }));
        world.answer_all();
    }
    world.closed.iter().all(|(closed, _)| *closed != one)
}

#[test]
fn what_an_address_has_stored_counts_until_it_is_gone_also_after_a_restart() {
    let config = Config {
        max_stored_bytes_per_address: 256 * KIB,
        max_idle_time: SECOND,
        rejoin_limit: SECOND,
        ..Config::default()
    };
    let (greedy, other) = (AddressId(1), AddressId(2));
    let mut world = StoredWorld::new(config.clone());
    let budget = Budget::default();
    world.reflector.share_budget(budget.clone());
    let one = join_stored(&mut world, 1, 1);
    assert!(post_stored(&mut world, one, 1..1_000) && is_held(&world, one));
    assert!(budget.shares().used(greedy) > 250 * KIB);
    // It can look at other sessions, and does not begin any. Others are not affected.
    let more = join_stored(&mut world, 1, 2);
    assert_eq!(world.welcome(more).seq, 0);
    assert!(!post_stored(&mut world, more, 1..2));
    assert_eq!(world.closed, [(more, CloseReason::Full)]);
    let two = join_stored(&mut world, 2, 3);
    assert!(post_stored(&mut world, two, 1..11) && !is_held(&world, two));
    assert!((40 * KIB..60 * KIB).contains(&budget.shares().used(other)));
    // It counts on when the session is on disk only, for this process and the next.
    world.cut(one);
    world.pass_well(10 * SECOND);
    assert_eq!(world.reflector.stats().sessions, 1, "of the other address");
    let used = budget.shares().used(greedy);
    assert!(used > 250 * KIB);
    world.restart(config);
    let shares = Shares::read(&budget.shares().write()).expect("it was written");
    world.reflector.share_budget(Budget::new(shares.clone()));
    assert_eq!(shares.used(greedy), used);
    let more = join_stored(&mut world, 1, 4);
    assert!(!post_stored(&mut world, more, 1..2));
    let again = join_stored(&mut world, 1, 1);
    assert!(world.events(again).len() > 50, "its own session can be read");
    assert!(shares.used(greedy).abs_diff(used) < KIB, "{used} {}", shares.used(greedy));
    world.cut(again);
    world.pass_well(10 * SECOND);
    // The operator has deleted it.
    shares.reconcile(|owner| matches!(owner, Owner::Key(_)).then_some(0));
    assert_eq!(shares.used(greedy), 0);
    let more = join_stored(&mut world, 1, 5);
    assert!(post_stored(&mut world, more, 1..3));
}
