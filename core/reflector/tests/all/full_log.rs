//! A log that is full holds senders back until there is a snapshot.

use crate::support::{SECOND, World, id, in_envelope};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, CloseReason, Digest, Hold, ServerMessage};

/// What voters hand in.
fn snapshot() -> Vec<u8> {
    in_envelope(b"abc")
}

/// What they vote for.
fn hash() -> Digest {
    Digest::of(&snapshot())
}

/// A client posts until it is held back. Returns the counter of its newest post.
fn fill(world: &mut World, from: ConnId) -> u64 {
    let mut counter = 0;
    while !world.has(from, &ServerMessage::Hold(Hold::Pause)) {
        counter += 1;
        world.post(from, counter);
        assert!(counter < 1_000, "the log never fills");
    }
    counter
}

#[test]
fn a_full_log_holds_senders_back_until_a_snapshot_makes_room() {
    let config = Config {
        snapshot_after_bytes: 100,
        log_limit_bytes: 400,
        log_reserve_bytes: 200,
        ..Config::default()
    };
    let mut world = World::new(config);
    let one = world.join(1);
    world.pass(SECOND);
    let counter = fill(&mut world, one);
    // What was under way is still accepted.
    world.post(one, counter + 1);
    assert_eq!(world.events(one).len() as u64, counter + 1);
    world.pass(6 * SECOND);
    let seq = world.newest_vote(one).expect("a vote is held again");
    world.vote(one, seq, hash());
    world.hand_in(one, seq, &snapshot());
    assert!(world.has(one, &ServerMessage::Hold(Hold::Resume)));
    assert_eq!(world.reflector.stats().log_bytes, snapshot().len() as u64);
}

/// A session whose log is full, its one view, and the counter of its newest post.
fn full_log() -> (World, ConnId, u64) {
    let config = Config {
        log_limit_bytes: 20_000,
        log_reserve_bytes: 10_000,
        held_bytes_per_view: 2_000,
        ..Config::default()
    };
    let mut world = World::new(config);
    let one = world.join(1);
    world.pass(SECOND);
    let counter = fill(&mut world, one);
    (world, one, counter)
}

#[test]
fn a_client_that_sends_on_although_held_is_closed_and_harms_no_other() {
    let (mut world, one, counter) = full_log();
    let others: Vec<_> = (2..30).map(|number| world.join(number)).collect();
    world.pass(SECOND);
    assert!(others.iter().all(|other| world.has(*other, &ServerMessage::Hold(Hold::Pause))));
    for more in 1..100 {
        world.post(one, counter + more);
    }
    assert_eq!(world.closed, [(one, CloseReason::TooFast)]);
    // What an honest one had under way is accepted.
    world.post(others[0], 1);
    assert_eq!(world.events(others[1]).last().map(|event| event.1), Some(id(2)));
    // Even if many liars have used up the reserve, no client loses anything.
    for (at, liar) in others.iter().enumerate().skip(1) {
        (1..30).for_each(|counter| world.post(*liar, counter));
        assert_eq!(world.closed.len(), at + 1);
    }
    let full = world.reflector.stats().log_bytes;
    world.post(others[0], 2);
    assert_eq!(world.closed.last(), Some(&(others[0], CloseReason::Full)));
    assert!(CloseReason::Full.is_retryable());
    let back = world.join(2);
    assert_eq!((world.welcome(back).seamless, world.welcome(back).counter), (true, Some(1)));
    assert!(world.has(back, &ServerMessage::Hold(Hold::Pause)));
    // Clients that come and go do not fill it either, nor do requests for votes.
    for number in 100..=255 {
        let newcomer = world.join(number);
        assert_eq!(world.closed.last(), Some(&(newcomer, CloseReason::Full)));
        world.pass(SECOND);
        world.say(back, &ClientMessage::RequestVote);
        world.say(back, &ClientMessage::Ping(1));
    }
    let grown = world.reflector.stats().log_bytes - full;
    // The closed clients have exited, and there was a vote every minute.
    assert!(grown < 6_000, "{grown}");
    let before = world.newest_vote(back);
    for _ in 0..61 {
        if world.newest_vote(back) == before {
            world.pass(SECOND);
            world.say(back, &ClientMessage::Ping(1));
        }
    }
    let seq = world.newest_vote(back).filter(|seq| Some(*seq) > before).expect("votes go on");
    world.vote(back, seq, hash());
    world.hand_in(back, seq, &snapshot());
    assert!(world.has(back, &ServerMessage::Hold(Hold::Resume)));
    world.post(back, 2);
    assert_eq!(world.events(back).last().map(|event| event.2), Some(2));
}

#[test]
fn a_session_whose_log_is_full_lets_in_the_first_client_after_a_rest() {
    let (mut world, one, _) = full_log();
    let others: Vec<_> = (2..30).map(|number| world.join(number)).collect();
    world.pass(SECOND);
    for other in &others {
        (1..30).for_each(|counter| world.post(*other, counter));
    }
    world.say(one, &ClientMessage::Leave);
    world.pass(20 * SECOND);
    let first = world.join(50);
    world.welcome(first);
    world.pass(SECOND);
    let second = world.join(51);
    assert_eq!(world.closed.last(), Some(&(second, CloseReason::Full)));
}
