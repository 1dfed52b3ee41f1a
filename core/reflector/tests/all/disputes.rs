//! Votes that are not unanimous: who checks its state, what becomes of the snapshot, and who hears that programs disagree.

use crate::support::{MS, SECOND, World};
use crate::voting::{ask, asked_to_vote, diverged, hash, voters};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, Digest, Disagreement, ServerMessage};

const OTHER: Digest = Digest([6; 32]);

/// The first of the clients contradicts the others.
fn contradict(world: &mut World, all: &[ConnId], seq: u64) {
    world.vote(all[0], seq, OTHER);
    all[1..].iter().for_each(|one| world.vote(*one, seq, hash()));
}

fn confirm(world: &mut World, one: ConnId, seq: u64) {
    world.say(one, &ClientMessage::Confirm(seq));
}

/// The disagreements that this client heard of: for each side its hash and how many clients it has.
fn disagreements(world: &World, of: ConnId) -> Vec<(u64, Vec<(Digest, u32)>)> {
    let found = world.messages(of).into_iter().filter_map(|message| match message {
        ServerMessage::Disagreement(Disagreement { seq, sides }) => {
            Some((seq, sides.iter().map(|side| (side.hash, side.clients)).collect()))
        }
        _ => None,
    });
    found.collect()
}

#[test]
fn programs_that_confirm_different_states_are_made_known_to_all_clients_once() {
    let (mut world, all) = asked_to_vote(3);
    let seq = ask(&mut world, all[0]);
    contradict(&mut world, &all, seq);
    assert_eq!(diverged(&world, all[0]), [seq]);
    assert_eq!(diverged(&world, all[1]), []);
    // The log decides, so the majority checks its state, too.
    confirm(&mut world, all[0], seq);
    assert_eq!([1, 2].map(|at| diverged(&world, all[at])), [[seq], [seq]]);
    assert_eq!(disagreements(&world, all[0]), []);
    confirm(&mut world, all[2], seq);
    confirm(&mut world, all[1], seq);
    for one in &all {
        assert_eq!(disagreements(&world, *one), [(seq, vec![(hash(), 2), (OTHER, 1)])]);
        let named = world.messages(*one).into_iter().find_map(|message| match message {
            ServerMessage::Disagreement(found) => {
                Some(found.sides.into_iter().map(|side| side.agents).collect())
            }
            _ => None,
        });
        assert_eq!(named, Some(vec![vec!["test"], vec!["test"]]));
    }
}

#[test]
fn without_a_majority_a_disagreement_needs_both_to_confirm() {
    let (mut world, all) = asked_to_vote(2);
    let seq = ask(&mut world, all[0]);
    contradict(&mut world, &all, seq);
    confirm(&mut world, all[0], seq);
    world.pass(10 * SECOND);
    assert_eq!(disagreements(&world, all[1]), []);
    confirm(&mut world, all[1], seq);
    assert_eq!(disagreements(&world, all[1]).len(), 1);
}

#[test]
fn a_majority_that_does_not_answer_in_time_disagrees() {
    let (mut world, all) = asked_to_vote(3);
    let seq = ask(&mut world, all[0]);
    contradict(&mut world, &all, seq);
    confirm(&mut world, all[0], seq);
    world.pass(4 * SECOND);
    assert_eq!(disagreements(&world, all[0]), []);
    world.pass(2 * SECOND);
    assert_eq!(disagreements(&world, all[0]), [(seq, vec![(hash(), 2), (OTHER, 1)])]);
}

#[test]
fn a_majority_that_was_wrong_loads_the_log_and_does_not_disagree() {
    let (mut world, all) = asked_to_vote(3);
    let seq = ask(&mut world, all[0]);
    contradict(&mut world, &all, seq);
    confirm(&mut world, all[0], seq);
    // One reconnects before its old connection is known to be gone.
    world.cut(all[1]);
    let again = [2, 3].map(|number| world.join(number));
    world.pass(10 * SECOND);
    assert_eq!(disagreements(&world, all[0]), []);
    assert_eq!(again.map(|one| world.welcome(one).snapshot), [None, None]);
}

#[test]
fn a_snapshot_is_not_taken_against_a_client_that_has_confirmed_another_state() {
    let (mut world, all, seq) = voters();
    contradict(&mut world, &all, seq);
    confirm(&mut world, all[0], seq);
    world.pass(6 * SECOND);
    for one in all {
        assert!(!world.has(one, &ServerMessage::SnapshotWanted(seq)));
    }
    let joiner = world.join(4);
    assert_eq!(world.welcome(joiner).snapshot, None);
}

#[test]
fn a_client_that_contradicts_and_confirms_nothing_delays_a_snapshot_for_five_seconds() {
    let (mut world, all, seq) = voters();
    contradict(&mut world, &all, seq);
    world.pass(4 * SECOND);
    assert!(!world.has(all[1], &ServerMessage::SnapshotWanted(seq)));
    world.pass(2 * SECOND);
    assert!(world.has(all[1], &ServerMessage::SnapshotWanted(seq)));
}

/// A stranger must not be able to keep an open session from snapshots for good.
#[test]
fn a_dispute_that_lasts_for_ten_minutes_no_longer_stops_snapshots() {
    let config = Config { snapshot_after_events: 10, ..Config::default() };
    let mut world = World::new(config);
    let all = [1, 2, 3].map(|number| world.join(number));
    world.pass(SECOND);
    let mut taken = None;
    let mut counter = 0;
    let started = world.now;
    while taken.is_none() {
        world.pass(30 * SECOND);
        all.iter().for_each(|one| world.say(*one, &ClientMessage::Ping(1)));
        for _ in 0..12 {
            counter += 1;
            world.post(all[1], counter);
        }
        let seq = world.newest_vote(all[0]).expect("the log has grown");
        contradict(&mut world, &all, seq);
        confirm(&mut world, all[0], seq);
        let wanted = world.has(all[1], &ServerMessage::SnapshotWanted(seq));
        taken = wanted.then_some(world.now - started);
    }
    let minutes = taken.expect("it was taken") / (60 * SECOND);
    assert!((10..=12).contains(&minutes), "{minutes}");
}

#[test]
fn a_liar_makes_the_others_look_at_themselves_at_most_once_in_five_seconds() {
    for number in [2, 3] {
        let (mut world, all) = asked_to_vote(number);
        let mut told = 0;
        for _ in 0..50 {
            world.pass(200 * MS);
            let seq = ask(&mut world, all[0]);
            contradict(&mut world, &all, seq);
            confirm(&mut world, all[0], seq);
            told += 1;
            if number == 3 {
                assert_eq!(diverged(&world, all[0]).len(), told, "it hears so every time");
            }
        }
        assert_eq!(diverged(&world, all[1]).len(), 2);
        let wanted =
            |message: &ServerMessage<'_>| matches!(message, ServerMessage::SnapshotWanted(_));
        assert!(!world.messages(all[1]).iter().any(wanted), "no snapshot was due");
    }
}

#[test]
fn a_confirmation_of_a_vote_that_is_unknown_or_of_another_client_does_nothing() {
    let (mut world, all) = asked_to_vote(3);
    let seq = ask(&mut world, all[0]);
    contradict(&mut world, &all, seq);
    let late = world.join(4);
    for (one, seq) in [(late, seq), (all[0], seq + 1), (all[0], u64::MAX), (all[1], 0)] {
        confirm(&mut world, one, seq);
    }
    world.pass(10 * SECOND);
    assert!(all.iter().all(|one| disagreements(&world, *one).is_empty()));
    assert_eq!(diverged(&world, all[1]), []);
    assert_eq!(world.closed, []);
}
