//! What one client may cost: it has an allowance, and no frame costs more because there are many views or sessions.

use std::hint::black_box;
use std::time::Duration;

use crate::support::keys::{prove, view_key};
use crate::support::{SECOND, World, join, world};
use cpu_time::ThreadTime;
use teatime_reflector::{Config, ConnId, Reflector};
use teatime_wire::{Challenge, ClientMessage, CloseReason, Digest, Join, Vote};

/// A reflector that reads ten frames per second of each view, twenty at once.
fn strict() -> World {
    let mut config = Config { frames_per_event: 1, ..Config::default() };
    (config.send_limits.per_second, config.send_limits.burst) = (10, 20);
    World::new(config)
}

#[test]
fn every_kind_of_frame_takes_from_the_allowance_and_joining_again_does_not_refill_it() {
    let vote = Vote { seq: 7, hash: Digest([7; 32]) };
    let kinds = [
        ClientMessage::RequestVote,
        ClientMessage::Persist,
        ClientMessage::Vote(vote),
        ClientMessage::Ping(1),
        ClientMessage::LeaveAfter(60_000),
    ];
    for kind in kinds {
        let mut world = strict();
        let flooder = world.join(1);
        let other = world.join(2);
        (0..70).for_each(|_| world.say(flooder, &kind));
        let resumes = world.now + 5 * SECOND;
        assert_eq!(world.reflector.may_read_at(flooder), resumes, "{kind:?}");
        assert!(world.reflector.may_read_at(other) <= world.now, "{kind:?}");
        let again = world.join(1);
        assert_eq!(world.reflector.may_read_at(again), resumes, "{kind:?}");
        assert_eq!(world.closed, [(flooder, CloseReason::Replaced)], "back-pressure is enough");
    }
    let mut world = strict();
    let flooder = world.join(1);
    world.post(flooder, 1);
    // The same send over and over, and frames that only the transport knows.
    (0..34).for_each(|_| world.post(flooder, 1));
    (0..35).for_each(|_| world.reflector.heard(world.now, flooder));
    assert_eq!(world.reflector.may_read_at(flooder), world.now + 5 * SECOND);
}

#[test]
fn bytes_take_from_the_allowance_but_not_those_of_a_snapshot_that_was_asked_for() {
    let mut world =
        World::new(Config { bytes_per_second: 1_000, byte_burst: 0, ..Config::default() });
    let sender = world.join(1);
    world.pass(SECOND);
    let before = world.reflector.may_read_at(sender);
    world.say_raw(sender, &ClientMessage::Persist.encode());
    let snapshot = crate::support::in_envelope(&[7; 50_000]);
    let seq = world.newest_vote(sender).expect("it was asked");
    world.vote(sender, seq, Digest(*blake3::hash(&snapshot).as_bytes()));
    world.hand_in(sender, seq, &snapshot);
    let after = world.reflector.may_read_at(sender);
    assert!(after < before.max(world.now) + SECOND / 5, "{before} {after}");
    // No test has asked for these.
    let payload = vec![7; 10_000];
    world.say(sender, &ClientMessage::Send(teatime_wire::Send { counter: 1, payload: &payload }));
    assert!(world.reflector.may_read_at(sender) >= world.now + 10 * SECOND);
}

#[test]
fn a_view_that_reconnects_may_not_send_faster_for_it() {
    let mut config = Config { stall_tolerance: 0, ..Config::default() };
    (config.send_limits.per_second, config.send_limits.burst) = (10, 5);
    let mut world = World::new(config);
    let mut last = world.join(1);
    for counter in 1..=5 {
        world.post(last, counter);
        last = world.join(1);
    }
    world.post(last, 6);
    assert_eq!(world.closed.last(), Some(&(last, CloseReason::TooFast)));
}

#[test]
fn a_client_whose_frames_wait_for_its_allowance_is_not_silent() {
    let mut world = world();
    let (held_back, silent) = (world.join(1), world.join(2));
    for _ in 0..50 {
        world.pass(SECOND);
        world.reflector.mark_unread(world.now, held_back);
    }
    assert_eq!(world.closed, [(silent, CloseReason::Silent)]);
}

#[test]
fn sixteen_control_frames_may_come_before_a_join_and_no_more() {
    let mut world = world();
    let (good, bad) = (world.connect(), world.connect());
    for connection in [good, bad] {
        (0..16).for_each(|_| world.reflector.heard(world.now, connection));
    }
    world.say_join(good, join(1));
    (0..100).for_each(|_| world.reflector.heard(world.now, good));
    world.reflector.heard(world.now, bad);
    world.obey();
    assert_eq!(world.closed, [(bad, CloseReason::NotJoined)]);
}

/// A join of one of many views, to one of many sessions.
fn numbered(session: u16, view: u16) -> Join<'static> {
    let bytes = |number: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let (name, program) = (Digest(bytes(session)), Digest(bytes(session)));
    Join { program, name, view_key: view_key(bytes(view)), ..join(1) }
}

/// A driver without clients: it only throws away what comes out.
struct Driver(Reflector);

impl Driver {
    fn new() -> Self {
        Self(Reflector::new(Config { max_idle_sessions: 1 << 16, ..Config::default() }, [0; 32]))
    }

    fn drain(&mut self) {
        while let Some(output) = self.0.poll_output() {
            black_box(output);
        }
    }

    fn join(&mut self, connection: u64, session: u16, view: u16) -> ConnId {
        let connection = ConnId(connection);
        let challenge = Challenge { nonce: Digest([7; 32]), channel: None };
        self.0.connected(0, connection, challenge);
        let join = Join { attempt: connection.0 + 1, ..numbered(session, view) };
        let join = prove(join, &challenge);
        self.0.received(0, connection, &join.encode());
        self.drain();
        connection
    }
}

/// The CPU time of the shortest of some runs: the others were disturbed.
fn fastest(mut run: impl FnMut()) -> Duration {
    let time = |()| {
        let started = ThreadTime::now();
        run();
        started.elapsed()
    };
    [(); 7].map(time).into_iter().min().unwrap_or_default()
}

/// Sixteen times as much may cost somewhat more, because of caches and of trees that are deeper. It would be sixteen times as
/// much if all were walked.
const GROWTH: u32 = 5;

#[test]
fn a_frame_costs_no_more_among_many_views() {
    let frames = [ClientMessage::RequestVote, ClientMessage::Persist, ClientMessage::Ping(1)];
    for frame in frames.map(|frame| frame.encode()) {
        let cost = |views: u16| {
            let mut driver = Driver::new();
            let mut last = ConnId(0);
            for view in 0..views {
                last = driver.join(u64::from(view), 1, view);
            }
            fastest(|| {
                for _ in 0..2_000 {
                    let next = driver.0.next_timeout();
                    driver.0.received(1, last, &frame);
                    black_box(next);
                    driver.drain();
                }
            })
        };
        let (few, many) = (cost(500), cost(8_000));
        assert!(many < few * GROWTH, "{frame:?}: {few:?} among 500 views, {many:?} among 8,000");
    }
}

#[test]
fn a_vote_costs_no_more_among_many_voters() {
    let cost = |views: u16| {
        let mut driver = Driver::new();
        let voters: Vec<_> = (0..views).map(|view| driver.join(u64::from(view), 1, view)).collect();
        driver.0.handle_timeout(SECOND);
        driver.0.received(SECOND, voters[0], &ClientMessage::RequestVote.encode());
        let mut seq = None;
        while let Some(output) = driver.0.poll_output() {
            if let teatime_reflector::Output::Broadcast { frame, .. } = output
                && let Ok(teatime_wire::ServerMessage::VoteRequest(vote)) =
                    teatime_wire::ServerMessage::decode(&frame)
            {
                seq = Some(vote.seq);
            }
        }
        let vote = Vote { seq: seq.expect("a vote begins"), hash: Digest([7; 32]) };
        let vote = ClientMessage::Vote(vote).encode();
        let started = ThreadTime::now();
        for voter in &voters {
            driver.0.received(SECOND, *voter, &vote);
            driver.drain();
        }
        started.elapsed() / u32::from(views)
    };
    let fastest = |views| (0..5).map(|_| cost(views)).min().unwrap_or_default();
    let (few, many) = (fastest(500), fastest(8_000));
    assert!(many < few * GROWTH, "a vote takes {few:?} among 500 voters, {many:?} among 8,000");
}

#[test]
fn a_client_that_comes_and_goes_costs_no_more_among_many_idle_sessions() {
    let cost = |sessions: u16| {
        let mut driver = Driver::new();
        for session in 0..sessions {
            let connection = driver.join(u64::from(session), session, 1);
            driver.0.disconnected(0, connection);
            driver.drain();
        }
        let mut next = u64::from(sessions);
        fastest(|| {
            for _ in 0..500 {
                let connection = driver.join(next, 0, 1);
                driver.0.disconnected(0, connection);
                driver.drain();
                next += 1;
            }
        })
    };
    let (few, many) = (cost(1_000), cost(16_000));
    assert!(many < few * GROWTH, "{few:?} among 1,000 sessions, {many:?} among 16,000");
}
