//! When persisted data counts, and what clients hear if the storage does not store it.

use crate::support::stored::StoredWorld;
use crate::support::{MS, SECOND, join, parts, room};
use teatime_reflector::storage::Request;
use teatime_reflector::{Config, ConnId};
use teatime_wire::{
    ClientMessage, Digest, Envelope, NotPersisted, PersistedPart, ServerMessage, Vote,
};

fn world() -> StoredWorld {
    StoredWorld::new(Config::default())
}

/// A lone client votes, and hands in what it voted for.
pub(crate) fn hand_in(world: &mut StoredWorld, from: ConnId, seq: u64, snapshot: &[u8]) {
    world.say(from, &ClientMessage::Vote(Vote { seq, hash: Digest::of(snapshot) }));
    parts(seq, snapshot).for_each(|part| world.say(from, &part));
}

fn is_persist(request: &Request) -> bool {
    matches!(request, Request::Persist { .. })
}

/// Number of votes that this client was asked for.
fn votes(world: &StoredWorld, of: ConnId) -> usize {
    let messages = world.messages(of).into_iter();
    messages.filter(|message| matches!(message, ServerMessage::VoteRequest(_))).count()
}

#[test]
fn a_request_to_persist_nothing_costs_one_vote() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.say(one, &ClientMessage::Persist);
    world.answer_all();
    let seq = world.newest_vote(one).expect("it is asked");
    let envelope = Envelope { persisted: None, roots: Vec::new(), space: room(1).id };
    hand_in(&mut world, one, seq, &envelope.wrap(b"state"));
    world.answer_all();
    let failure = Some("the state persists nothing");
    assert!(world.has(one, &ServerMessage::NotPersisted(NotPersisted { seq, failure })));
    world.pass_well(100 * SECOND);
    assert_eq!(votes(&world, one), 1);
}

#[test]
fn a_request_that_comes_after_a_vote_is_answered_by_the_next_one() {
    let mut world = StoredWorld::new(Config { snapshot_after_events: 3, ..Config::default() });
    let one = world.join_well(join(1));
    (1..=2).for_each(|counter| world.post(one, counter));
    world.answer_all();
    let before = world.newest_vote(one).expect("the log has grown");
    // The model persists something after this vote.
    world.say(one, &ClientMessage::Persist);
    let envelope = Envelope { persisted: None, roots: Vec::new(), space: room(1).id };
    hand_in(&mut world, one, before, &envelope.wrap(b"state"));
    world.pass_well(10 * SECOND);
    let seq = world.newest_vote(one).filter(|seq| *seq > before).expect("it is asked again");
    let persisted = Some(PersistedPart { data: b"data".to_vec(), roots: Vec::new() });
    let envelope = Envelope { persisted, roots: Vec::new(), space: room(1).id };
    hand_in(&mut world, one, seq, &envelope.wrap(b"state"));
    world.answer_all();
    assert!(world.has(one, &ServerMessage::Persisted(seq)));
}

#[test]
fn data_that_is_too_large_to_persist_costs_one_vote() {
    let mut world = world();
    let all = [1, 2].map(|number| world.join_well(join(number)));
    world.say(all[0], &ClientMessage::Persist);
    world.answer_all();
    let seq = world.newest_vote(all[0]).expect("it is asked");
    let data = vec![0; teatime_wire::limits::MAX_PERSISTED + 1];
    let persisted = Some(PersistedPart { data, roots: Vec::new() });
    let envelope = Envelope { persisted, roots: Vec::new(), space: room(1).id };
    let snapshot = envelope.wrap(b"state");
    let hash = Digest::of(&snapshot);
    world.say(all[1], &ClientMessage::Vote(Vote { seq, hash }));
    hand_in(&mut world, all[0], seq, &snapshot);
    parts(seq, &snapshot).for_each(|part| world.say(all[1], &part));
    world.answer_all();
    let is_told = |message: &ServerMessage<'_>| matches!(message, ServerMessage::NotPersisted(_));
    let hears = |one: &ConnId| world.messages(*one).iter().any(is_told);
    assert!(all.iter().any(hears), "the client that did not hand it in hears why");
    let before = all.map(|one| votes(&world, one));
    world.pass_well(100 * SECOND);
    assert_eq!(all.map(|one| votes(&world, one)), before);
}

/// A lone client persists something. Returns the number of the vote.
fn persist(world: &mut StoredWorld, from: ConnId, data: &[u8]) -> u64 {
    world.say(from, &ClientMessage::Persist);
    world.answer_all();
    let persisted = Some(PersistedPart { data: data.to_vec(), roots: Vec::new() });
    let envelope = Envelope { persisted, roots: Vec::new(), space: room(1).id };
    let seq = world.newest_vote(from).expect("it is asked");
    hand_in(world, from, seq, &envelope.wrap(b"state"));
    seq
}

#[test]
fn persisted_data_counts_when_the_storage_says_so_and_not_before() {
    let mut world = world();
    let one = world.join_well(join(1));
    let seq = persist(&mut world, one, b"data");
    assert_eq!(world.waiting.iter().filter(|(_, one)| is_persist(one)).count(), 1);
    world.pass(100 * MS);
    // Everything else is stored.
    world.answer_some(|request| !is_persist(request));
    assert!(!world.has(one, &ServerMessage::Persisted(seq)));
    // At once, without a look at a clock.
    let now = world.now;
    world.answer_some(is_persist);
    assert!(world.has(one, &ServerMessage::Persisted(seq)) && world.now == now);
    world.answer_all();
    world.pass_well(10 * SECOND);
    let seq = persist(&mut world, one, b"newer");
    let at = world.waiting.iter().position(|(_, one)| is_persist(one)).expect("it waits");
    world.fail(at);
    let failure = Some("the disk is full");
    let told = ServerMessage::NotPersisted(NotPersisted { seq, failure });
    assert!(world.has(one, &told));
}

/// The votes whose data is not stored because the storage does not answer, as a client hears it.
fn unanswered(world: &StoredWorld, of: ConnId) -> Vec<u64> {
    let each = |message| match message {
        ServerMessage::NotPersisted(NotPersisted { seq, failure }) => {
            assert_eq!(failure, Some("the storage does not answer"));
            Some(seq)
        }
        _ => None,
    };
    world.messages(of).into_iter().filter_map(each).collect()
}

/// Time passes, and the storage answers everything at once but requests to persist.
fn pass_without_persisting(world: &mut StoredWorld, span: u64) {
    world.pass_with(span, |world| while world.answer_some(|one| !is_persist(one)) > 0 {});
}

#[test]
fn persisted_data_whose_write_the_storage_never_answers_is_reported_in_bounded_time() {
    let mut world = world();
    let one = world.join_well(join(1));
    let seq = persist(&mut world, one, b"data");
    pass_without_persisting(&mut world, 9 * SECOND);
    assert_eq!(unanswered(&world, one), []);
    pass_without_persisting(&mut world, 2 * SECOND);
    assert_eq!(unanswered(&world, one), [seq]);
    assert_eq!(world.closed, [], "the session goes on");
    world.say(one, &ClientMessage::Ping(1));
    // The reflector tries again, with a pause. Data that waits behind the first write is reported, too.
    pass_without_persisting(&mut world, 20 * SECOND);
    let again = world.newest_vote(one).filter(|again| *again > seq).expect("a vote is held");
    let persisted = Some(PersistedPart { data: b"newer".to_vec(), roots: Vec::new() });
    let envelope = Envelope { persisted, roots: Vec::new(), space: room(1).id };
    hand_in(&mut world, one, again, &envelope.wrap(b"state"));
    pass_without_persisting(&mut world, 11 * SECOND);
    assert_eq!(unanswered(&world, one), [seq, again]);
    // One write of a room is under way, however long that takes.
    assert_eq!(world.waiting.iter().filter(|(_, one)| is_persist(one)).count(), 1);
    world.answer_some(is_persist);
    assert!(world.has(one, &ServerMessage::Persisted(seq)), "it was stored after all");
    assert!(!world.has(one, &ServerMessage::Persisted(again)));
    world.answer_some(is_persist);
    assert!(world.has(one, &ServerMessage::Persisted(again)));
    world.say(one, &ClientMessage::Ping(2));
    pass_without_persisting(&mut world, 25 * SECOND);
    assert_eq!(unanswered(&world, one), [seq, again], "nothing is reported twice");
}
