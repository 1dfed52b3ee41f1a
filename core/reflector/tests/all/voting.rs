//! Votes, and the snapshots that follow from them.

use crate::support::{SECOND, World, id, in_envelope, world};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, CloseReason, Digest, ServerMessage, SnapshotPart, Verdict};

/// What voters hand in.
fn snapshot() -> Vec<u8> {
    in_envelope(b"abc")
}

/// What they vote for.
pub(crate) fn hash() -> Digest {
    Digest::of(&snapshot())
}

/// A session of three in which a snapshot is due after ten events.
pub(crate) fn voters() -> (World, [ConnId; 3], u64) {
    let mut world = World::new(Config { snapshot_after_events: 10, ..Config::default() });
    let all = [world.join(1), world.join(2), world.join(3)];
    world.pass(SECOND);
    (1..=9).for_each(|counter| world.post(all[0], counter));
    let seq = world.newest_vote(all[0]).expect("the log has grown");
    (world, all, seq)
}

#[test]
fn the_fastest_of_the_majority_hands_in_the_snapshot_and_the_log_is_cut() {
    let (mut world, all, seq) = voters();
    world.vote(all[2], seq, hash());
    world.vote(all[0], seq, Digest([6; 32]));
    world.vote(all[1], seq, hash());
    // The one that contradicts has time to check its state, and loads the right one.
    assert!(!world.has(all[2], &ServerMessage::SnapshotWanted(seq)));
    world.cut(all[0]);
    assert!(world.has(all[2], &ServerMessage::SnapshotWanted(seq)));
    let bytes = snapshot();
    let (front, back) = bytes.split_at(2);
    for (offset, data) in [(0, front), (2, back)] {
        let part = SnapshotPart { seq, offset, total: bytes.len() as u64, data };
        world.say(all[2], &ClientMessage::SnapshotPart(part));
    }
    world.post(all[1], 1);
    let joiner = world.join(4);
    let welcome = world.welcome(joiner);
    let info = welcome.snapshot.expect("there is one");
    assert_eq!((info.seq, info.hash, info.size), (seq, hash(), bytes.len() as u64));
    let messages = world.messages(joiner);
    assert_eq!(messages[1], ServerMessage::SnapshotPart(&bytes));
    assert_eq!(world.events(joiner), [(seq + 1, id(2), 1)]);
}

#[test]
fn a_client_that_hands_in_another_snapshot_than_voted_for_is_closed_and_the_next_is_asked() {
    let (mut world, all, seq) = voters();
    for one in all {
        world.vote(one, seq, hash());
    }
    world.hand_in(all[0], seq, &in_envelope(b"abd"));
    assert_eq!(world.closed, [(all[0], CloseReason::OutOfOrder)]);
    assert!(world.has(all[1], &ServerMessage::SnapshotWanted(seq)));
    let joiner = world.join(5);
    assert_eq!(world.welcome(joiner).snapshot, None, "a snapshot without votes reaches no client");
    world.hand_in(all[1], seq, &snapshot());
    let joiner = world.join(6);
    assert_eq!(world.welcome(joiner).snapshot.map(|info| info.hash), Some(hash()));
}

#[test]
fn a_snapshot_without_a_valid_envelope_is_refused_even_if_all_voted_for_it() {
    let (valid, short) = (snapshot(), snapshot()[..41].to_vec());
    let mut behind = valid.clone();
    behind.push(0);
    let mut long_form = valid.clone();
    long_form.splice(1..3, [0xc5, 0, 3]);
    let headless = valid[3..].to_vec();
    for invalid in [b"abc".to_vec(), short, behind, long_form, headless] {
        let (mut world, all, seq) = voters();
        for one in all {
            world.vote(one, seq, Digest::of(&invalid));
        }
        world.hand_in(all[0], seq, &invalid);
        assert_eq!(world.closed, [(all[0], CloseReason::OutOfOrder)]);
        let asked = |one: &ConnId| world.has(*one, &ServerMessage::SnapshotWanted(seq));
        assert!(!all[1..].iter().any(asked), "they would hand in the same");
        let joiner = world.join(5);
        assert_eq!(world.welcome(joiner).snapshot, None);
        // The session goes on, and takes the next snapshot.
        world.pass(6 * SECOND);
        world.post(all[1], 1);
        let next = world.newest_vote(all[1]).filter(|next| *next > seq).expect("a vote is held");
        for one in [all[1], all[2], joiner] {
            world.vote(one, next, hash());
        }
        world.hand_in(all[1], next, &snapshot());
        let joiner = world.join(6);
        assert_eq!(world.welcome(joiner).snapshot.map(|info| info.seq), Some(next));
    }
}

#[test]
fn a_client_that_asks_for_a_vote_before_its_join_is_announced_gets_it_afterwards() {
    let mut world = world();
    let early = world.join(1);
    world.say(early, &ClientMessage::RequestVote);
    world.pass(SECOND);
    let messages = world.messages(early);
    assert!(messages.iter().any(|message| matches!(message, ServerMessage::VoteRequest(_))));
}

#[test]
fn a_client_whose_peers_have_just_lost_their_connections_is_not_a_majority() {
    let (mut world, all, seq) = voters();
    world.cut(all[1]);
    world.cut(all[2]);
    world.vote(all[0], seq, hash());
    let verdict = Verdict { seq, hash: None, agreed: 1, of: 3 };
    assert!(world.has(all[0], &ServerMessage::Verdict(verdict)));
    assert!(!world.has(all[0], &ServerMessage::SnapshotWanted(seq)));
}

#[test]
fn a_client_that_never_votes_delays_a_majority_only_for_a_while() {
    let (mut world, all) = asked_to_vote(2);
    let mut verdicts = Vec::new();
    for _ in 0..5 {
        let seq = ask(&mut world, all[0]);
        world.vote(all[0], seq, hash());
        world.pass(6 * SECOND);
        verdicts.extend(world.messages(all[0]).into_iter().filter_map(|message| match message {
            ServerMessage::Verdict(Verdict { seq: of, hash, agreed, of: asked }) => {
                (of == seq).then_some((hash.is_some(), agreed, asked))
            }
            _ => None,
        }));
    }
    assert_eq!(verdicts, [(false, 1, 2), (false, 1, 2), (false, 1, 2), (true, 1, 1), (true, 1, 1)]);
    // It counts again as soon as it has voted.
    let seq = ask(&mut world, all[0]);
    world.vote(all[1], seq, hash());
    world.vote(all[0], seq, hash());
    world.pass(SECOND);
    let seq = ask(&mut world, all[0]);
    world.vote(all[0], seq, hash());
    let undecided = Verdict { seq, hash: None, agreed: 1, of: 2 };
    world.pass(6 * SECOND);
    assert!(world.has(all[0], &ServerMessage::Verdict(undecided)));
}

#[test]
fn without_a_majority_no_upload_begins_and_an_uploader_that_fails_is_replaced() {
    let (mut world, all, seq) = voters();
    for (at, hash) in [(0, 6), (1, 7), (2, 8)] {
        world.vote(all[at], seq, Digest([hash; 32]));
    }
    assert!(!all.iter().any(|one| world.has(*one, &ServerMessage::SnapshotWanted(seq))));
    let joiner = world.join(5);
    assert_eq!(world.welcome(joiner).snapshot, None);
    let (mut world, all, seq) = voters();
    for one in all {
        world.vote(one, seq, hash());
    }
    assert!(world.has(all[0], &ServerMessage::SnapshotWanted(seq)));
    world.cut(all[0]);
    assert!(world.has(all[1], &ServerMessage::SnapshotWanted(seq)));
    world.pass(11 * SECOND);
    assert!(world.has(all[2], &ServerMessage::SnapshotWanted(seq)));
    // What the slow one still sends is ignored, not punished.
    world.hand_in(all[1], seq, &snapshot());
    world.hand_in(all[2], seq, &snapshot());
    assert_eq!(world.closed, []);
    let joiner = world.join(5);
    assert_eq!(world.welcome(joiner).snapshot.map(|info| info.seq), Some(seq));
}

pub(crate) fn diverged(world: &World, of: ConnId) -> Vec<u64> {
    let each = |message| match message {
        ServerMessage::Diverged(seq) => Some(seq),
        _ => None,
    };
    world.messages(of).into_iter().filter_map(each).collect()
}

/// A session of this many clients and nothing else. One of them asks for a vote.
pub(crate) fn asked_to_vote(number: u8) -> (World, Vec<ConnId>) {
    let mut world = world();
    let all: Vec<_> = (1..=number).map(|number| world.join(number)).collect();
    world.pass(SECOND);
    (world, all)
}

pub(crate) fn ask(world: &mut World, from: ConnId) -> u64 {
    world.say(from, &ClientMessage::RequestVote);
    world.newest_vote(from).expect("a vote is held")
}

/// A session in which the third of three clients never votes in time, until it does not count.
fn slow_voter() -> (World, Vec<ConnId>, u64) {
    let (mut world, all) = asked_to_vote(3);
    let mut newest = 0;
    for of in [3, 3, 3, 2] {
        newest = ask(&mut world, all[0]);
        world.vote(all[0], newest, hash());
        world.vote(all[1], newest, hash());
        world.pass(6 * SECOND);
        let verdict = Verdict { seq: newest, hash: Some(hash()), agreed: 2, of };
        assert!(world.has(all[0], &ServerMessage::Verdict(verdict)));
    }
    (world, all, newest)
}

#[test]
fn a_vote_that_comes_too_late_makes_its_client_count_again() {
    let (mut world, all, late) = slow_voter();
    world.vote(all[2], late, hash());
    let seq = ask(&mut world, all[0]);
    world.vote(all[0], seq, hash());
    world.vote(all[1], seq, hash());
    world.pass(6 * SECOND);
    let verdict = Verdict { seq, hash: Some(hash()), agreed: 2, of: 3 };
    assert!(world.has(all[0], &ServerMessage::Verdict(verdict)));
    assert_eq!(diverged(&world, all[2]), []);
}

#[test]
fn a_wrong_vote_that_comes_too_late_is_answered_once_and_to_its_client_only() {
    let (mut world, all, late) = slow_voter();
    world.vote(all[2], late, Digest([6; 32]));
    world.vote(all[2], late, Digest([7; 32]));
    assert_eq!(diverged(&world, all[2]), [late]);
    let messages = world.messages(all[2]);
    let verdict = Verdict { seq: late, hash: Some(hash()), agreed: 2, of: 2 };
    // It may not have known what to do with the first one: it had not reached that vote.
    let verdicts = messages.iter().filter(|one| **one == ServerMessage::Verdict(verdict));
    assert_eq!(verdicts.count(), 2);
    assert_eq!((diverged(&world, all[0]), diverged(&world, all[1])), (vec![], vec![]));
}

#[test]
fn a_vote_of_long_ago_counts_for_nothing() {
    let (mut world, all, late) = slow_voter();
    for counter in 1..=8 {
        // So that it does not count as dead.
        world.post(all[2], counter);
        let seq = ask(&mut world, all[0]);
        world.vote(all[0], seq, hash());
        world.vote(all[1], seq, hash());
        world.pass(6 * SECOND);
    }
    world.vote(all[2], late, Digest([6; 32]));
    assert_eq!(diverged(&world, all[2]), []);
}

#[test]
fn without_a_majority_all_voters_check_their_state_and_no_snapshot_is_taken() {
    for hashes in [&[1, 2][..], &[1, 1, 2, 2], &[1, 2, 3]] {
        let (mut world, all) = asked_to_vote(hashes.len() as u8);
        let seq = ask(&mut world, all[0]);
        for (one, hash) in all.iter().zip(hashes) {
            world.vote(*one, seq, Digest([*hash; 32]));
        }
        for one in &all {
            assert_eq!(diverged(&world, *one), [seq]);
            assert!(!world.has(*one, &ServerMessage::SnapshotWanted(seq)));
        }
        world.hand_in(all[0], seq, &snapshot());
        assert_eq!(world.closed, [(all[0], CloseReason::OutOfOrder)]);
        let joiner = world.join(9);
        assert_eq!(world.welcome(joiner).snapshot, None);
    }
    // A silent voter has not voted for another state.
    let (mut world, all) = asked_to_vote(2);
    let seq = ask(&mut world, all[0]);
    world.vote(all[1], seq, hash());
    world.pass(6 * SECOND);
    assert_eq!(diverged(&world, all[1]), []);
}

#[test]
fn an_upload_in_drops_is_given_up() {
    let (mut world, all, seq) = voters();
    all.iter().for_each(|voter| world.vote(*voter, seq, hash()));
    for offset in 0..30 {
        let part = SnapshotPart { seq, offset, total: 100, data: b"x" };
        world.say(all[0], &ClientMessage::SnapshotPart(part));
        all[1..].iter().for_each(|other| world.say(*other, &ClientMessage::Ping(1)));
        world.pass(SECOND);
    }
    assert!(world.has(all[1], &ServerMessage::SnapshotWanted(seq)));
    assert_eq!(world.closed, []);
}
