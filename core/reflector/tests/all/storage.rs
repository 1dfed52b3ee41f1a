//! What leaves a reflector depends on what its storage has acknowledged.

use crate::support::stored::StoredWorld;
use crate::support::{SECOND, in_envelope, join, parts, room};
use teatime_reflector::Config;
use teatime_reflector::storage::RecordKind::Ordered;
use teatime_reflector::storage::{Answer, Key, Request, RoomId, StorageError};
use teatime_wire::{ClientMessage, CloseReason, Digest, Hold, Join, Send, ServerMessage, Vote};

fn world() -> StoredWorld {
    StoredWorld::new(Config::default())
}

/// A client in the session of this number, which is in a room of its own.
fn other(session: u8, view: u8) -> Join<'static> {
    let digest = Digest([session; 32]);
    Join { program: digest, name: digest, ..join(view) }
}

fn is_append(request: &Request) -> bool {
    matches!(request, Request::Append(_))
}

#[test]
fn a_join_waits_for_the_storage_and_the_first_event_for_the_append_of_the_session() {
    let mut world = world();
    let one = world.join_as(join(1));
    let requests: Vec<_> = world.waiting.iter().map(|(_, request)| request.clone()).collect();
    let id = RoomId::of(&room(1));
    let expected = [Request::Load(Key::Session(join(1).session())), Request::Load(Key::Room(id))];
    assert_eq!(requests, expected, "all at once: one round trip");
    for _ in 0..2 {
        assert!(world.appends().is_empty() && world.got.is_empty());
        world.answer(0);
    }
    assert_eq!(world.welcome(one).seq, 0);
    assert_eq!(world.members, [one]);
    world.pass_well(SECOND);
    world.got.clear();
    world.post(one, 1);
    let [append] = world.appends()[..] else { panic!("one append") };
    let ordered: Vec<_> = append.records.iter().filter(|one| one.kind == Ordered).collect();
    assert!(append.begin.is_some() && ordered.iter().map(|one| one.seq).eq([1, 2]));
    assert!(world.got.is_empty(), "the session is not stored before");
    world.answer_all();
    assert_eq!(world.events(one).len(), 1);
}

#[test]
fn sessions_in_which_no_client_does_anything_leave_nothing_in_the_storage() {
    let mut world = StoredWorld::new(Config { max_idle_time: 10 * SECOND, ..Config::default() });
    for number in 1..=200 {
        let one = world.join_well(other(number, number));
        world.say(one, &ClientMessage::Ping(1));
        world.say(one, &ClientMessage::RequestVote);
        world.pass_well(SECOND);
        if number % 2 == 0 {
            world.say(one, &ClientMessage::Leave);
        } else {
            world.cut(one);
        }
    }
    world.pass_well(60 * SECOND);
    assert_eq!((world.sessions.len(), world.reflector.stats().sessions), (0, 0));
    assert!(world.references.is_empty(), "nor in the store of blobs");
}

#[test]
fn a_session_is_stored_from_its_beginning_on_when_something_has_happened_in_it() {
    for is_event in [true, false] {
        let mut world = world();
        let one = world.join_well(join(1));
        let two = world.join_well(join(2));
        world.say(two, &ClientMessage::Leave);
        world.pass_well(SECOND);
        if is_event {
            world.post(one, 1);
        } else {
            world.say(one, &ClientMessage::Persist);
            world.answer_all();
            let seq = world.newest_vote(one).expect("it is asked");
            let snapshot = in_envelope(b"state");
            world.say(one, &ClientMessage::Vote(Vote { seq, hash: Digest::of(&snapshot) }));
            parts(seq, &snapshot).for_each(|part| world.say(one, &part));
        }
        world.answer_all();
        let before = world.join_well(join(3));
        world.restart(Config::default());
        let after = world.join_well(join(4));
        let [before, after] = [before, after].map(|one| world.welcome(one));
        assert_eq!((before.timeline, before.snapshot), (after.timeline, after.snapshot));
        assert!(after.seq > before.seq && after.time >= before.time, "{before:?} {after:?}");
        assert_eq!(after.snapshot.is_none(), is_event);
    }
}

#[test]
fn answers_may_come_in_any_order() {
    for order in [[0, 0], [1, 0]] {
        let mut world = world();
        let one = world.join_as(join(1));
        order.into_iter().for_each(|at| world.answer(at));
        world.answer_all();
        assert_eq!(world.welcome(one).seq, 0, "{order:?}");
    }
}

#[test]
fn one_append_of_a_session_is_under_way_and_the_next_one_gathers() {
    let mut world = world();
    let one = world.join_well(join(1));
    let two = world.join_well(join(2));
    world.post(one, 1);
    world.answer_all();
    world.got.clear();
    world.post(one, 2);
    assert_eq!(world.appends().len(), 1);
    for counter in 1..=10 {
        world.post(two, counter);
    }
    assert_eq!(world.appends().len(), 1);
    assert_eq!(world.appends()[0].records.len(), 1);
    assert!(world.got.is_empty(), "nothing leaves before it is stored");
    world.answer(0);
    assert_eq!((world.events(one).len(), world.events(two).len()), (1, 1));
    assert_eq!(world.appends().len(), 1);
    assert_eq!(world.appends()[0].records.len(), 10, "they have gathered");
    world.answer(0);
    let seqs: Vec<_> = world.events(two).iter().map(|event| event.0).collect();
    assert!(seqs.is_sorted() && seqs.len() == 11);
    assert_eq!(world.events(one), world.events(two));
    assert!(world.waiting.is_empty());
}

#[test]
fn a_late_joiner_receives_nothing_of_the_log_that_is_not_stored() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.post(one, 1);
    let two = world.join_as(join(2));
    assert!(world.messages(two).is_empty(), "the log in its welcome has the event");
    world.answer(0);
    assert_eq!(world.welcome(two).seq, 2);
    assert_eq!(world.events(two).len(), 1, "once");
    assert_eq!(world.events(one).len(), 1);
}

#[test]
fn pings_are_answered_while_an_append_is_under_way() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.post(one, 1);
    world.say(one, &ClientMessage::Ping(7));
    assert!(world.has(one, &ServerMessage::Pong(7)));
    assert!(world.events(one).is_empty());
}

#[test]
fn sessions_do_not_wait_for_each_other() {
    let mut world = world();
    let one = world.join_well(other(1, 1));
    let two = world.join_well(other(2, 2));
    world.post(one, 1);
    world.post(two, 1);
    assert_eq!(world.appends().len(), 2);
    world.answer(1);
    assert_eq!((world.events(one).len(), world.events(two).len()), (0, 1));
    world.post(two, 2);
    world.answer(1);
    assert_eq!((world.events(one).len(), world.events(two).len()), (0, 2));
    world.answer(0);
    assert_eq!(world.events(one).len(), 1);
}

#[test]
fn a_failed_append_takes_back_what_depends_on_it_and_closes_that_session_only() {
    let mut world = world();
    let one = world.join_well(other(1, 1));
    let two = world.join_well(other(2, 2));
    world.post(one, 1);
    world.answer_all();
    world.got.clear();
    world.post(one, 2);
    let late = world.join_as(other(1, 3));
    world.fail(0);
    assert_eq!(world.events(one), []);
    assert!(world.messages(late).is_empty());
    let not_stored = CloseReason::NotStored;
    let mut closed = world.closed.clone();
    closed.sort_by_key(|(connection, _)| *connection);
    assert_eq!(closed, [(one, not_stored), (late, not_stored)]);
    world.released.sort();
    let room = RoomId::of(&other(1, 1).room());
    assert_eq!(world.released, [Key::Session(join(1).session()), Key::Room(room)]);
    world.post(two, 1);
    world.answer_all();
    assert_eq!(world.events(two).len(), 1);
    // What was acknowledged before is still there.
    let back = world.join_well(other(1, 1));
    assert_eq!(world.events(back).len(), 1);
    assert_eq!(world.welcome(back).counter, Some(1));
    world.post(back, 2);
    world.answer_all();
    assert_eq!(world.events(back).len(), 2);
}

#[test]
fn a_client_that_has_left_hears_so_even_if_its_last_event_could_not_be_stored() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.post(one, 1);
    world.say(one, &ClientMessage::Leave);
    assert_eq!(world.closed, [], "not before its exit is stored");
    world.fail(0);
    assert_eq!(world.closed, [(one, CloseReason::Left)]);
}

#[test]
fn a_storage_that_never_answers_closes_the_session_in_bounded_time_and_no_other() {
    let mut world = world();
    let one = world.join_well(other(1, 1));
    let two = world.join_well(other(2, 2));
    world.post(one, 1);
    let session = other(2, 2).session();
    let is_of_two =
        |request: &Request| matches!(request, Request::Append(one) if one.session == session);
    for _ in 0..9 {
        world.pass(SECOND / 2);
        world.answer_some(is_of_two);
        world.pass(SECOND / 2);
        world.answer_some(is_of_two);
    }
    assert_eq!(world.closed, []);
    let ticks = |world: &StoredWorld| {
        let messages = world.messages(two).into_iter();
        messages.filter(|message| matches!(message, ServerMessage::Tick(_))).count()
    };
    assert!(ticks(&world) > 80, "the other session goes on");
    world.pass(2 * SECOND);
    assert_eq!(world.closed, [(one, CloseReason::NotStored)]);
    // Its outcome is unknown: the session must not begin again beside it.
    let back = world.join_as(other(1, 1));
    let loads = |world: &StoredWorld| {
        let loads =
            world.waiting.iter().filter(|(_, one)| matches!(one, Request::Load(Key::Session(_))));
        loads.count()
    };
    assert_eq!(loads(&world), 0);
    // Joins wait no longer than any join does.
    world.pass(11 * SECOND);
    assert!(world.closed.contains(&(back, CloseReason::NotStored)));
    let back = world.join_as(other(1, 1));
    assert!(world.answer_some(is_append) > 0);
    assert_eq!(loads(&world), 1, "now it can be read");
    world.answer_all();
    assert_eq!(world.welcome(back).seq, 2, "and it was stored after all");
    assert_eq!(world.events(back).len(), 1);
}

#[test]
fn a_load_that_never_comes_ends_with_the_join_timeout() {
    let mut world = world();
    let one = world.join_as(join(1));
    let gone = world.join_as(join(2));
    world.cut(gone);
    world.pass(11 * SECOND);
    assert_eq!(world.closed, [(one, CloseReason::NotStored)]);
    // The answer comes when no client waits for it.
    world.answer_all();
    assert_eq!(world.released.len(), 2, "the session and its room");
    let back = world.join_well(join(1));
    assert_eq!(world.welcome(back).seq, 0);
}

#[test]
fn clients_that_wait_for_a_load_join_in_order_and_one_that_has_gone_does_not() {
    let mut world = world();
    let first = world.join_as(join(1));
    let gone = world.join_as(join(2));
    let last = world.join_as(join(3));
    assert_eq!(world.waiting.len(), 2, "they wait for the same answers");
    world.cut(gone);
    world.say(last, &ClientMessage::Ping(3));
    assert!(world.has(last, &ServerMessage::Pong(3)));
    world.say(last, &ClientMessage::Send(Send { counter: 1, payload: b"early" }));
    world.answer_all();
    assert_eq!(world.members, [first, last]);
    assert_eq!(world.events(first).len(), 1, "what it sent early counts, too");
    let leaver = world.join_as(other(5, 4));
    world.say(leaver, &ClientMessage::Leave);
    assert_eq!(world.closed, [(leaver, CloseReason::Left)]);
}

#[test]
fn a_load_that_fails_refuses_the_join_and_the_next_one_tries_again() {
    let mut world = world();
    let one = world.join_as(join(1));
    let two = world.join_as(join(2));
    world.fail(0);
    world.answer_some(|request| !matches!(request, Request::Load(Key::Session(_))));
    assert_eq!(world.closed, [(one, CloseReason::NotStored)]);
    world.answer_all();
    assert_eq!(world.members, [two]);
}

#[test]
fn a_room_that_cannot_be_read_lets_no_session_begin_and_is_read_again() {
    let mut world = world();
    let one = world.join_as(join(1));
    world.answer(0);
    world.fail(0);
    world.answer_all();
    assert_eq!(world.closed, [(one, CloseReason::NotStored)]);
    let two = world.join_well(join(2));
    assert_eq!(world.welcome(two).seq, 0);
}

#[test]
fn senders_are_held_back_when_too_much_waits_for_the_storage() {
    let mut world = StoredWorld::new(Config { storage_backlog_bytes: 1_000, ..Config::default() });
    let one = world.join_well(join(1));
    world.got.clear();
    let payload = [7; 400];
    for counter in 1..=4 {
        world.say(one, &ClientMessage::Send(Send { counter, payload: &payload }));
    }
    let pause = ServerMessage::Hold(Hold::Pause);
    assert_eq!(world.messages(one), [pause], "past the gate");
    world.answer(0);
    assert_eq!(world.events(one).len(), 1);
    assert!(!world.has(one, &ServerMessage::Hold(Hold::Resume)), "too much has gathered since");
    world.answer_all();
    assert_eq!(world.events(one).len(), 4, "nothing is lost");
    assert_eq!(world.messages(one).last(), Some(&ServerMessage::Hold(Hold::Resume)));
}

#[test]
fn a_checkpoint_leaves_after_the_records_that_it_depends_on() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.post(one, 1);
    let is_checkpoint = |request: &Request| matches!(request, Request::Checkpoint { .. });
    let count =
        |world: &StoredWorld| world.waiting.iter().filter(|(_, one)| is_checkpoint(one)).count();
    world.answer_all();
    world.say(one, &ClientMessage::Persist);
    world.answer_all();
    let seq = world.newest_vote(one).expect("it is asked");
    let snapshot = in_envelope(b"state");
    world.say(one, &ClientMessage::Vote(Vote { seq, hash: Digest::of(&snapshot) }));
    // An event that is not stored yet, before the snapshot is there.
    world.post(one, 2);
    parts(seq, &snapshot).for_each(|part| world.say(one, &part));
    assert_eq!(count(&world), 0);
    world.answer_some(is_append);
    assert_eq!(count(&world), 1);
    world.answer_all();
    world.restart(Config::default());
    let back = world.join_well(join(1));
    assert_eq!(world.welcome(back).snapshot.map(|info| info.seq), Some(seq));
    assert_eq!(world.welcome(back).counter, Some(2));
}

#[test]
fn a_session_at_rest_stays_in_memory_until_it_is_stored() {
    let config = Config { max_idle_sessions: 0, ..Config::default() };
    let mut world = StoredWorld::new(config);
    let one = world.join_well(join(1));
    world.post(one, 1);
    world.answer_all();
    world.say(one, &ClientMessage::Leave);
    assert_eq!(world.reflector.stats().sessions, 1);
    assert_eq!(world.closed, []);
    assert_eq!(world.released, []);
    world.answer_all();
    assert_eq!(world.reflector.stats().sessions, 0);
    assert_eq!(world.closed, [(one, CloseReason::Left)]);
    assert_eq!(world.released.len(), 2);
    let back = world.join_well(join(2));
    assert_eq!(world.events(back).len(), 1);
    assert!(!world.reflector.is_storing());
}

#[test]
fn a_shutdown_waits_for_what_is_under_way() {
    let mut world = world();
    let one = world.join_well(join(1));
    world.post(one, 1);
    let now = world.now;
    world.reflector.shutdown(now);
    world.settle();
    assert!(world.reflector.is_storing() && world.closed.is_empty());
    world.answer_all();
    assert_eq!(world.events(one).len(), 1);
    assert_eq!(world.closed, [(one, CloseReason::GoingAway)]);
    assert!(!world.reflector.is_storing());
}

#[test]
fn an_answer_that_comes_twice_or_of_the_wrong_kind_does_no_harm() {
    let mut world = world();
    let one = world.join_as(join(1));
    let ticket = world.waiting[0].0;
    world.waiting.pop_front();
    world.tell(ticket, Ok(Answer::Done));
    world.tell(ticket, Err(StorageError::Full));
    world.answer_all();
    assert_eq!(world.closed, [(one, CloseReason::NotStored)]);
}
