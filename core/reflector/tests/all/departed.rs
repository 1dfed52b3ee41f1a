//! What the reflector remembers of the sends of views that have gone.

use crate::persisting::hand_in;
use crate::support::keys::view_key;
use crate::support::stored::StoredWorld;
use crate::support::{SECOND, World, in_envelope, join};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, Join, Send};

/// One more than the default limit.
const MANY: u16 = 1_001;

fn join_of(number: u16) -> Join<'static> {
    let mut secret = [7; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    Join { view_key: view_key(secret), ..join(0) }
}

#[test]
fn a_view_whose_sends_are_forgotten_hears_that_and_others_hear_their_counter() {
    let mut world = World::new(Config::default());
    for number in 0..MANY {
        let one = world.join_as(join_of(number));
        world.pass(SECOND);
        world.post(one, 1);
        world.say(one, &ClientMessage::Leave);
    }
    let counter = |world: &mut World, number: u16| {
        let one = world.join_as(join_of(number));
        world.welcome(one).counter
    };
    // The newest thousand are remembered.
    assert_eq!(
        [0, 1, MANY - 1].map(|number| counter(&mut world, number)),
        [None, Some(1), Some(1)]
    );
    // A connection on which nothing was sent does not change that.
    assert_eq!(counter(&mut world, 0), None);
    // Nor does an exit.
    world.pass(20 * SECOND);
    assert_eq!(counter(&mut world, 0), None);
    // A view that has never been here has sent nothing.
    let first = world.connect();
    world.say_join(first, join_of(MANY));
    assert_eq!(world.welcome(first).counter, Some(0));
}

/// Lets a snapshot take the place of the log, by the vote of this client alone.
fn take_snapshot(world: &mut StoredWorld, voter: ConnId) {
    for member in world.members.clone() {
        if member != voter {
            world.cut(member);
        }
    }
    world.pass_well(20 * SECOND);
    world.say(voter, &ClientMessage::Persist);
    world.answer_all();
    let seq = world.newest_vote(voter).expect("it is asked");
    hand_in(world, voter, seq, &in_envelope(b"state"));
    world.answer_all();
}

#[test]
fn what_was_forgotten_stays_forgotten_over_restarts_with_and_without_a_snapshot() {
    let config = Config { max_departed: 2, ..Config::default() };
    let mut world = StoredWorld::new(config.clone());
    for number in 0..3 {
        let one = world.join_well(join_of(number));
        world.say(one, &ClientMessage::Send(Send { counter: 1, payload: b"post" }));
        world.answer_all();
        world.say(one, &ClientMessage::Leave);
        world.answer_all();
    }
    for has_snapshot in [false, true, true] {
        let back = [0, 1, 2].map(|number| world.join_well(join_of(number)));
        let counters = back.map(|one| world.welcome(one).counter);
        assert_eq!(counters, [None, Some(1), Some(1)], "{has_snapshot}");
        if has_snapshot {
            take_snapshot(&mut world, back[2]);
        }
        world.restart(config.clone());
    }
}

/// Otherwise its client gives up what it has sent, although nothing of it can have arrived.
#[test]
fn a_view_that_has_sent_nothing_is_known_after_a_restart_with_a_log_and_with_a_snapshot() {
    for has_snapshot in [false, true] {
        let mut world = StoredWorld::new(Config::default());
        let one = world.join_well(join(1));
        if has_snapshot {
            take_snapshot(&mut world, one);
        }
        world.restart(Config::default());
        let back = world.join_well(join(1));
        assert_eq!(world.welcome(back).counter, Some(0), "{has_snapshot}");
    }
}
