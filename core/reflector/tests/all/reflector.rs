//! The reflector's promises, in virtual time and without sockets.

use crate::support::{MS, SECOND, World, id, join, world};
use teatime_reflector::Config;
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Join, Resume, Send, ServerMessage, SnapshotPart, ViewId,
};

#[test]
fn acceptance_6_joins_and_exits_of_200_ms_travel_as_one_message() {
    let mut world = world();
    let watcher = world.join(1);
    world.pass(SECOND);
    let leaver = world.join(2);
    world.pass(SECOND);
    world.say(leaver, &ClientMessage::Leave);
    world.pass(100 * MS);
    world.join(3);
    world.pass(99 * MS);
    world.join(4);
    assert_eq!(world.views(watcher).len(), 2);
    world.pass(2 * MS);
    assert_eq!(world.views(watcher)[2..], [(vec![id(2)], vec![id(3), id(4)])]);
    assert_eq!(world.closed, [(leaver, CloseReason::Left)]);
}

#[test]
fn acceptance_8_a_join_and_a_leave_within_one_batch_cancel() {
    let mut world = world();
    let watcher = world.join(1);
    world.pass(SECOND);
    let short = world.join(2);
    world.pass(100 * MS);
    world.say(short, &ClientMessage::Leave);
    world.pass(SECOND);
    assert_eq!(world.views(watcher), [(vec![], vec![id(1)])]);
    // The other way round: gone and back.
    let back = world.join(3);
    world.pass(SECOND);
    world.say(back, &ClientMessage::Leave);
    world.pass(100 * MS);
    let again = world.join(3);
    world.pass(SECOND);
    assert!(world.welcome(again).seamless);
    assert_eq!(world.views(watcher).len(), 2);
}

#[test]
fn acceptance_12_a_short_outage_gives_no_event_and_a_long_one_exit_and_join() {
    let mut world = world();
    let watcher = world.join(1);
    let sleeper = world.join(2);
    world.pass(SECOND);
    world.cut(sleeper);
    world.pass(9 * SECOND);
    let sleeper = world.join(2);
    world.pass(11 * SECOND);
    assert!(world.welcome(sleeper).seamless);
    // A client that is silent for half a minute counts as dead.
    world.say(watcher, &ClientMessage::Ping(1));
    assert_eq!(world.views(watcher).len(), 1);
    world.cut(sleeper);
    world.pass(11 * SECOND);
    let sleeper = world.join(2);
    world.pass(SECOND);
    assert!(!world.welcome(sleeper).seamless);
    let expected = [(vec![id(2)], vec![]), (vec![], vec![id(2)])];
    assert_eq!(world.views(watcher)[1..], expected);
}

#[test]
fn acceptance_9_a_cold_start_orders_the_exits_of_all_absent_views_before_the_first_join() {
    let mut world = world();
    let all = [world.join(1), world.join(2)];
    world.pass(SECOND);
    all.iter().for_each(|one| world.cut(*one));
    world.pass(3600 * SECOND);
    let back = world.join(2);
    world.pass(SECOND);
    let views = world.views(back);
    assert_eq!(views[1..], [(vec![id(1), id(2)], vec![id(2)])]);
}

#[test]
fn acceptance_33_session_time_stands_still_without_connections() {
    let mut world = world();
    let one = world.join(1);
    world.pass(5 * SECOND);
    world.cut(one);
    world.pass(3600 * SECOND);
    let back = world.join(1);
    assert_eq!(world.welcome(back).time, 5 * SECOND);
    world.pass(SECOND);
    let ticks = world.messages(back).into_iter().filter_map(|message| match message {
        ServerMessage::Tick(time) => Some(time),
        _ => None,
    });
    assert_eq!(ticks.max(), Some(6 * SECOND));
}

#[test]
fn acceptance_19_all_clients_get_the_same_order_with_the_sender_stamped() {
    let mut world = world();
    let (one, two) = (world.join(1), world.join(2));
    world.pass(SECOND);
    for counter in 1..=3 {
        world.post(two, counter);
        world.post(one, counter);
    }
    let seen = world.events(one);
    assert_eq!(seen, world.events(two));
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0], (2, id(2), 1));
    assert!(seen.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
}

#[test]
fn what_is_sent_twice_counts_once_and_a_gap_ends_the_connection() {
    let mut world = world();
    let (one, two) = (world.join(1), world.join(2));
    world.pass(SECOND);
    world.post(one, 1);
    world.post(one, 1);
    world.post(one, 2);
    world.cut(one);
    let one = world.join_as(Join { resume: None, ..join(1) });
    assert_eq!(world.welcome(one).counter, Some(2));
    world.post(one, 2);
    world.post(one, 3);
    assert_eq!(world.events(two).iter().map(|event| event.2).collect::<Vec<_>>(), [1, 2, 3]);
    world.post(one, 5);
    assert_eq!(world.closed, [(one, CloseReason::OutOfOrder)]);
    assert_eq!(world.events(two).len(), 3);
}

#[test]
fn a_client_that_resumes_gets_only_what_it_missed() {
    let mut world = world();
    let (one, two) = (world.join(1), world.join(2));
    world.pass(SECOND);
    world.post(one, 1);
    world.cut(two);
    world.post(one, 2);
    world.post(one, 3);
    let timeline = world.welcome(one).timeline;
    let right = Resume { timeline, seq: 2, chain: world.chain(one, 2) };
    let resumed = world.join_as(Join { resume: Some(right), ..join(2) });
    assert!(world.welcome(resumed).resumed && world.welcome(resumed).seamless);
    assert_eq!(world.events(resumed), [(3, id(1), 2), (4, id(1), 3)]);
    for resume in [
        Resume { timeline: timeline ^ 1, ..right },
        Resume { seq: 99, ..right },
        Resume { seq: 3, ..right },
        Resume { chain: Digest([0; 32]), ..right },
    ] {
        let fresh = world.join_as(Join { resume: Some(resume), ..join(3) });
        assert!(!world.welcome(fresh).resumed);
        assert_eq!(world.events(fresh).len(), 3);
    }
}

#[test]
fn a_join_that_was_overtaken_by_a_newer_one_is_refused() {
    let mut world = world();
    let (old, new, late) = (world.connect(), world.connect(), world.connect());
    world.say_join(old, Join { attempt: 1, ..join(1) });
    world.say_join(new, Join { attempt: 3, ..join(1) });
    world.say_join(late, Join { attempt: 2, ..join(1) });
    assert_eq!(world.closed, [(old, CloseReason::Replaced), (late, CloseReason::Replaced)]);
    assert_eq!(world.members, [new]);
}

#[test]
fn a_join_that_arrives_after_its_view_has_left_is_refused() {
    let mut world = world();
    let watcher = world.join(2);
    let (old, new) = (world.connect(), world.connect());
    world.say_join(new, Join { attempt: 3, ..join(1) });
    world.pass(SECOND);
    world.say(new, &ClientMessage::Leave);
    world.pass(SECOND);
    // It was sent before, over a line that stood still.
    world.say_join(old, Join { attempt: 2, ..join(1) });
    assert_eq!(world.closed.last(), Some(&(old, CloseReason::Replaced)));
    let later = world.connect();
    world.say_join(later, Join { attempt: 4, ..join(1) });
    world.pass(SECOND);
    let own = |views: &[ViewId]| views.contains(&id(1));
    let joins = world.views(watcher).iter().filter(|(_, joined)| own(joined)).count();
    assert_eq!(joins, 2);
}

#[test]
fn bad_frames_close_only_their_own_connection_with_the_right_code() {
    let mut world = world();
    let watcher = world.join(1);
    world.pass(SECOND);
    let before = world.messages(watcher).len();
    let version = Join { protocol: 2, ..join(2) };
    let elsewhere = world.connect();
    // A join of a version to come may have any shape behind its version.
    let newer = vec![0x92, 1, 0x93, 0xcd, 0x01, 0x00, 0xc0, 0x80];
    let large = vec![0; 80_000];
    let cases: [(Vec<u8>, CloseReason); 8] = [
        (b"nonsense".to_vec(), CloseReason::Malformed),
        (Vec::new(), CloseReason::Malformed),
        (large, CloseReason::TooLarge),
        (world.proven(elsewhere, version), CloseReason::Version),
        (newer, CloseReason::Version),
        (world.proven(elsewhere, join(2)), CloseReason::BadProof),
        (ClientMessage::Ping(1).encode(), CloseReason::NotJoined),
        (ClientMessage::Send(Send { counter: 1, payload: b"" }).encode(), CloseReason::NotJoined),
    ];
    for (frame, expected) in cases {
        let connection = world.connect();
        world.say_raw(connection, &frame);
        assert_eq!(world.closed.pop(), Some((connection, expected)));
    }
    let joined = world.join(2);
    let part = SnapshotPart { seq: 1, offset: 0, total: 1, data: b"x" };
    world.say(joined, &ClientMessage::SnapshotPart(part));
    assert_eq!(world.closed.pop(), Some((joined, CloseReason::OutOfOrder)));
    let twice = world.join(3);
    world.say_join(twice, join(3));
    assert_eq!(world.closed.pop(), Some((twice, CloseReason::OutOfOrder)));
    assert_eq!(world.messages(watcher).len(), before);
    world.post(watcher, 1);
    assert_eq!(world.events(watcher).len(), 1);
}

/// PROTOCOL.md, section 2.4.
#[test]
fn what_a_later_client_sends_is_ignored_or_refused_as_its_tag_says() {
    let mut world = world();
    let (later, watcher) = (world.join(1), world.join(2));
    world.pass(SECOND);
    for tag in [65, 99, 127] {
        world.say_raw(later, &[0x92, tag, 0x92, 0xc4, 1, 7, 0xc0]);
        world.say_raw(later, &[0x92, tag, 0xc0]);
    }
    world.post(later, 1);
    // A send and a ping with further fields.
    world.say_raw(later, &[0x92, 2, 0x94, 2, 0xc4, 1, 7, 0xc0, 0x91, 5]);
    assert_eq!((world.closed.len(), world.events(watcher).len()), (0, 2));
    for (tag, place) in [(0, later), (13, watcher), (63, world.join(3))] {
        world.say_raw(place, &[0x92, tag, 0xc0]);
        assert_eq!(world.closed.pop(), Some((place, CloseReason::Version)), "{tag}");
    }
    let outside = world.connect();
    world.say_raw(outside, &[0x92, 65, 0xc0]);
    assert_eq!(world.closed.pop(), Some((outside, CloseReason::NotJoined)));
}

#[test]
fn a_client_that_sends_too_fast_or_stays_silent_is_closed() {
    let mut config = Config::default();
    config.send_limits.per_second = 10;
    config.send_limits.burst = 5;
    config.stall_tolerance = 0;
    let mut world = World::new(config);
    let (fast, silent, alive) = (world.join(1), world.join(2), world.join(3));
    (1..=6).for_each(|counter| world.post(fast, counter));
    assert_eq!(world.closed, [(fast, CloseReason::TooFast)]);
    let unjoined = world.connect();
    for _ in 0..50 {
        world.pass(SECOND);
        world.say(alive, &ClientMessage::Ping(1));
    }
    assert_eq!(world.closed[1..], [(unjoined, CloseReason::Silent), (silent, CloseReason::Silent)]);
}

#[test]
fn idle_sessions_stay_within_their_limit_the_oldest_go_first() {
    let mut world = World::new(Config { max_idle_sessions: 2, ..Config::default() });
    for number in 1..=3 {
        let one = world.join_as(Join { program: Digest([number; 32]), ..join(1) });
        world.pass(SECOND);
        world.cut(one);
    }
    assert_eq!(world.reflector.stats().sessions, 2);
    let kept = world.join_as(Join { program: Digest([3; 32]), ..join(1) });
    assert_eq!(world.welcome(kept).seq, 1);
    let gone = world.join_as(Join { program: Digest([1; 32]), ..join(1) });
    assert_eq!(world.welcome(gone).seq, 0);
}
