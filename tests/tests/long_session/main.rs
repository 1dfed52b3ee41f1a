//! Very long sessions: millions of events, counters beyond 32 bits, logs without snapshots. The real state machines, in
//! virtual time and without sockets.

mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use teatime::StateHash;
use teatime_reflector::storage::{Key, Stored};
use teatime_reflector::{Config as ReflectorConfig, ConnId, Greeter, Output, Reflector};
use teatime_store::{MemoryDisk, MemoryStore, Shared};
use teatime_tests::pace::assert_in_time;
use teatime_tests::usage::memory;
use teatime_wire::{ClientMessage, ServerMessage, SessionId, SnapshotInfo};

use world::{MS, SECOND, Vice, World};

/// One test at a time, because they measure the memory of their process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `TEATIME_EVENTS=N` plays N events.
fn events() -> u64 {
    let number = std::env::var("TEATIME_EVENTS").ok().and_then(|events| events.parse().ok());
    number.unwrap_or(10_000_000)
}

#[test]
fn a_session_of_ten_million_events_needs_no_more_memory() {
    let _alone = alone();
    const EACH: u64 = 250;
    let events = events();
    let started = Instant::now();
    let mut world = World::new(Reflector::new(ReflectorConfig::default(), [7; 32]), 2);
    let (mut largest_log, mut early, mut late) = (0, 0, 0);
    let rounds = events / (2 * EACH);
    for round in 0..rounds {
        world.publish(EACH, round);
        world.pass(EACH * MS);
        largest_log = world.reflector.stats().log_bytes.max(largest_log);
        let used = memory(std::process::id()).filter(|_| round % 100 == 0).unwrap_or(0);
        // After a tenth the allocator's own memory has settled.
        if round < rounds / 5 { early = used.max(early) } else { late = used.max(late) }
    }
    assert_eq!(world.sum().0, rounds * 2 * EACH, "every event is there, once");
    assert!(world.peers.iter().all(|peer| peer.cuts == 0));
    let played = started.elapsed();
    let joining = Instant::now();
    let joiner = world.join();
    let joined = joining.elapsed();
    world.assert_equal();
    world.peers[joiner].client.request_vote().expect("it is live");
    world.pass(SECOND);
    assert!(world.peers.iter().all(|peer| peer.verdicts.last() == Some(&(3, 3))));
    println!(
        "{{\"events\": {events}, \"seconds\": {:.1}, \"session_minutes\": {}, \"votes\": {}, \
         \"largest_log_bytes\": {largest_log}, \"memory_first_fifth\": {early}, \
         \"memory_later\": {late}, \"late_join_ms\": {:.1}}}",
        played.as_secs_f64(),
        world.now / SECOND / 60,
        world.peers[0].verdicts.len(),
        joined.as_secs_f64() * 1e3,
    );
    let config = ReflectorConfig::default();
    assert!(largest_log < 2 * config.snapshot_after_bytes, "{largest_log}");
    assert!(late <= early + 4 * 1024 * 1024, "memory grew from {early} to {late} bytes");
    // As fast as in a new session: a snapshot, and less than 2 × 10,000 events.
    assert_in_time(joined, Duration::from_secs(2));
}

#[test]
fn memory_is_bounded_while_no_snapshot_comes_and_no_event_is_lost() {
    let _alone = alone();
    for vice in [Vice::Stingy, Vice::Mute, Vice::Liar] {
        without_snapshots(vice);
    }
}

fn without_snapshots(vice: Vice) {
    let config = ReflectorConfig {
        snapshot_after_bytes: 256 * 1024,
        log_limit_bytes: 4 * 1024 * 1024,
        log_reserve_bytes: 1024 * 1024,
        ..ReflectorConfig::default()
    };
    let most = config.log_limit_bytes + config.log_reserve_bytes;
    let mut world = World::new(Reflector::new(config, [7; 32]), 3);
    world.peers.iter_mut().for_each(|peer| peer.vice = Some(vice));
    let (mut published, mut refused, mut largest) = (0, 0, 0);
    let mut used = Vec::new();
    for round in 0..4_000 {
        for peer in &mut world.peers {
            for n in 0..50u64 {
                let publish = peer.client.publish(world.now, "sum", "add", &(round + n));
                published += u64::from(publish.is_ok());
                refused += u64::from(publish.is_err());
            }
        }
        world.pass(50 * MS);
        largest = world.reflector.stats().log_bytes.max(largest);
        used.extend(memory(std::process::id()).filter(|_| round % 100 == 50));
    }
    assert!(world.peers.iter().all(|peer| peer.held), "all clients are held");
    assert!(refused > 0, "publishing more is refused");
    assert!(world.peers.iter().all(|peer| peer.cuts == 0), "no connection was closed");
    assert!(largest <= most, "{largest} of {most}");
    // Held for nine tenths of the time, the log does not grow, in the reflector nor in the two clients.
    let (held, end) = (used[used.len() / 2], used[used.len() - 1]);
    println!(
        "{{\"vice\": \"{vice:?}\", \"published\": {published}, \"refused\": {refused}, \"largest_log_bytes\": {largest}, \
         \"limit\": {most}, \"memory_held\": {held}, \"memory_end\": {end}}}"
    );
    assert!(end <= held + 2 * 1024 * 1024, "memory grew from {held} to {end} bytes");
    // Snapshots come again.
    world.peers.iter_mut().for_each(|peer| peer.vice = None);
    (0..600).for_each(|_| world.pass(50 * MS));
    assert!(world.peers.iter().all(|peer| !peer.held), "no client is held");
    assert!(world.reflector.stats().log_bytes < 512 * 1024);
    assert_eq!(world.sum().0, published, "every event is there, once");
    world.join();
    world.assert_equal();
}

fn in_memory() -> Shared<MemoryDisk> {
    let store = MemoryStore::open(MemoryDisk::default(), teatime_store::Config::default());
    Shared::new(store.expect("an empty disk opens"))
}

/// The same session, as if it had run for much longer.
fn aged(stored: &Stored, id: SessionId, seq: u64, time: u64) -> Shared<MemoryDisk> {
    use rmpv::Value;
    let checkpoint = &stored.checkpoint.as_ref().expect("there was a snapshot").bytes;
    let read = |bytes: &[u8]| rmpv::decode::read_value(&mut &*bytes).expect("MessagePack");
    let write = |value: &Value| {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).expect("memory takes it");
        bytes
    };
    let mut checkpoint = read(checkpoint);
    let Value::Array(fields) = &mut checkpoint else { panic!("not a struct") };
    let parts = fields[2].as_array().expect("parts").iter();
    let snapshot: Vec<u8> = parts.flat_map(|part| part.as_slice().expect("bin").to_vec()).collect();
    let (state, envelope) = teatime_wire::Envelope::open(&[&snapshot]).expect("it is whole");
    let mut state = read(&snapshot[state]);
    let Value::Array(vm) = &mut state else { panic!("not an array of parts") };
    (vm[3], vm[4]) = (time.into(), seq.into());
    let snapshot = envelope.wrap(&write(&state));
    let hash = teatime_wire::Digest(StateHash::of(&snapshot).0);
    let chain = teatime_wire::Digest([0; 32]);
    let info = SnapshotInfo { seq, time, hash, size: snapshot.len() as u64, chain };
    fields[1] = read(&rmp_serde::to_vec(&info).expect("plain data"));
    fields[2] = Value::Array(vec![Value::Binary(snapshot)]);
    (fields[3], fields[4]) = (seq.into(), time.into());
    let (storage, key) = (in_memory(), Key::Session(id));
    let mut store = storage.store();
    store.begin(key, &stored.head).expect("it is new");
    store.commit().expect("there is room");
    store.checkpoint(key, seq, &write(&checkpoint)).expect("there is room");
    drop(store);
    storage
}

#[test]
fn sequence_numbers_and_times_beyond_32_bits_are_numbers_like_any_other() {
    let _alone = alone();
    const WRAP: u64 = 1 << 32;
    let config = ReflectorConfig { snapshot_after_events: 500, ..ReflectorConfig::default() };
    let storage = in_memory();
    let mut world = World::stored(0, 7, config.clone(), &storage, 2);
    for round in 0..10 {
        world.publish(100, round);
        world.pass(100 * MS);
    }
    world.pass(2 * SECOND);
    drop(world);
    let keys: Vec<_> = storage.store().infos().iter().map(|info| info.key).collect();
    let is_session = |key: &Key| matches!(key, Key::Session(_));
    let Some(&key @ Key::Session(id)) = keys.iter().find(|key| is_session(key)) else {
        panic!("a session is stored")
    };
    let stored = storage.store().load(key).expect("it can be read").expect("it is there");
    let old = aged(&stored, id, WRAP - 1_000, WRAP - 20 * SECOND);
    let mut world = World::stored(1, 8, config, &old, 2);
    // Until the former participants have exited.
    world.pass(15 * SECOND);
    world.peers.iter_mut().for_each(|peer| peer.verdicts.clear());
    let position = |world: &World| world.hashes()[0].0;
    assert!(position(&world) < WRAP);
    for round in 0..50 {
        world.publish(100, round);
        world.pass(100 * MS);
    }
    assert!(position(&world) > WRAP + 5_000, "{}", position(&world));
    assert!(world.peers[0].client.now().as_micros() > WRAP);
    assert!(world.peers[0].verdicts.iter().all(|verdict| *verdict == (2, 2)));
    assert!(world.peers[0].verdicts.len() > 5);
    world.join();
    world.assert_equal();
    // And the stored session is restored.
    let expected = world.sum();
    drop(world);
    let again = World::stored(2, 9, ReflectorConfig::default(), &old, 1);
    assert_eq!(again.sum(), expected);
    assert!(position(&again) > WRAP);
}

/// The counters of a view's sends.
#[test]
fn counters_of_sends_beyond_32_bits_are_numbers_like_any_other() {
    let _alone = alone();
    let mut reflector = Reflector::new(ReflectorConfig::default(), [7; 32]);
    let key = teatime_wire::SecretKey::of_view(&[1; 32]);
    let join = teatime_wire::Join {
        protocol: teatime_wire::PROTOCOL_VERSION,
        program: teatime_wire::Digest([1; 32]),
        name: teatime_wire::Digest([1; 32]),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: None,
        ticks_per_second: 1,
        attempt: 1 << 33,
        resume: None,
        agent: "test",
    };
    let (challenge, _) = Greeter::new([7; 32]).greet(None);
    reflector.connected(0, ConnId(1), challenge);
    reflector.received(0, ConnId(1), &join.prove(&challenge, &key, None).encode());
    let from = (1 << 32) - 5;
    for counter in (from..from + 10).chain(from..from + 10) {
        let send = ClientMessage::Send(teatime_wire::Send { counter, payload: b"" });
        reflector.received(1, ConnId(1), &send.encode());
    }
    let outputs = std::iter::from_fn(|| reflector.poll_output());
    let counters = outputs.filter_map(|output| match output {
        Output::Broadcast { frame, .. } => match ServerMessage::decode(&frame) {
            Ok(ServerMessage::Event(event)) => Some(event.counter),
            _ => None,
        },
        Output::Close { reason, .. } => panic!("{reason:?}"),
        _ => None,
    });
    assert_eq!(counters.collect::<Vec<_>>(), (from..from + 10).collect::<Vec<_>>());
}
