//! Sessions that go on for very long: millions of events, counters beyond 32 bits, logs that nobody shortens.
//! The real state machines, in virtual time and without sockets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use teatime::{App, Cx, StateHash, handlers, model};
use teatime_reflector::storage::{Key, Storage as _, Stored};
use teatime_reflector::{Config as ReflectorConfig, ConnId, Output, Reflector};
use teatime_session::{Action, Client, Config, Handling, Input, SessionEvent, Stepped};
use teatime_store::{MemoryDisk, MemoryStore, Shared};
use teatime_tests::usage::memory;
use teatime_wire::{ClientMessage, ServerMessage, SessionId, SnapshotInfo};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// Adds up what it is told.
#[model(id = "sum", version = 1)]
struct Sum {
    count: u64,
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, (): &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        Self { count: 0, sum: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
        self.count += 1;
        self.sum = self.sum.rotate_left(5) ^ number;
    }
}

fn config() -> Config {
    let app = App::builder::<Sum>("teatime.sum").build().expect("it is sound");
    Config::new(app, "room", &()).expect("nothing can be encoded")
}

/// Why no snapshot comes of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vice {
    /// It votes, and hands in nothing.
    Stingy,
    /// It does not vote.
    Mute,
    /// It votes for something of its own.
    Liar,
}

struct Peer {
    client: Client,
    connection: Option<ConnId>,
    vice: Option<Vice>,
    verdicts: Vec<(u32, u32)>,
    held: bool,
    /// How often it had to make a new connection.
    cuts: u32,
}

/// A reflector and its clients, joined by lines that take no time.
struct World {
    reflector: Reflector,
    storage: Option<Shared<MemoryDisk>>,
    peers: Vec<Peer>,
    members: Vec<(ConnId, usize)>,
    next: u64,
    now: u64,
    /// Makes its clients others than those of other worlds.
    number: u8,
}

/// One test after the other: they look at the memory of their process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn new(reflector: Reflector, clients: usize) -> Self {
        Self::with_storage(0, reflector, None, clients)
    }

    /// A world whose reflector goes on with what is stored.
    fn stored(
        number: u8,
        seed: u8,
        config: ReflectorConfig,
        storage: &Shared<MemoryDisk>,
        clients: usize,
    ) -> Self {
        let storage = storage.clone();
        let reflector = Reflector::with_storage(config, [seed; 32], SECOND, storage.opened());
        Self::with_storage(number, reflector, Some(storage), clients)
    }

    fn with_storage(
        number: u8,
        reflector: Reflector,
        storage: Option<Shared<MemoryDisk>>,
        clients: usize,
    ) -> Self {
        let (peers, members) = (Vec::new(), Vec::new());
        let mut world = Self { reflector, storage, peers, members, next: 0, now: SECOND, number };
        for _ in 0..clients {
            world.join();
        }
        world
    }

    /// Another client, which has caught up when this returns.
    fn join(&mut self) -> usize {
        let at = self.peers.len();
        let mut entropy = [at as u8; 32];
        entropy[0] = self.number;
        let mut client = Client::new(config(), entropy).expect("it is sound");
        client.connect();
        let (vice, verdicts) = (None, Vec::new());
        self.peers.push(Peer { client, connection: None, vice, verdicts, held: false, cuts: 0 });
        self.obey_client(at);
        for _ in 0..100 {
            self.pass(10 * MS);
            if self.peers[at].client.is_synced() {
                return at;
            }
        }
        panic!("it does not catch up: {:?}", self.peers[at].client.connection_state());
    }

    fn obey_client(&mut self, at: usize) {
        while let Some(action) = self.peers[at].client.poll_action() {
            match action {
                Action::Connect { .. } => {
                    let connection = ConnId(self.next);
                    self.next += 1;
                    self.peers[at].connection = Some(connection);
                    self.members.push((connection, at));
                    self.reflector.connected(self.now, connection);
                    self.peers[at].client.handle(self.now, Input::Connected);
                }
                Action::Send(frame) => {
                    let frame = match (ClientMessage::decode(&frame), self.peers[at].vice) {
                        (Ok(ClientMessage::SnapshotPart(_)), Some(Vice::Stingy)) => continue,
                        (Ok(ClientMessage::Vote(_)), Some(Vice::Mute)) => continue,
                        (Ok(ClientMessage::Vote(vote)), Some(Vice::Liar)) => {
                            let hash = teatime_wire::Digest([at as u8; 32]);
                            ClientMessage::Vote(teatime_wire::Vote { hash, ..vote }).encode()
                        }
                        _ => frame,
                    };
                    if let Some(connection) = self.peers[at].connection {
                        self.reflector.received(self.now, connection, &frame);
                    }
                }
                Action::Close => {
                    if let Some(connection) = self.peers[at].connection.take() {
                        self.members.retain(|(member, _)| *member != connection);
                        self.reflector.disconnected(self.now, connection);
                    }
                }
            }
        }
    }

    fn obey_reflector(&mut self) {
        loop {
            self.reflector.flush(self.now);
            self.obey_outputs();
            let Some(storage) = &mut self.storage else { return };
            storage.flush();
            let Some((ticket, answer)) = storage.completed() else { return };
            self.reflector.stored(self.now, ticket, answer);
        }
    }

    fn obey_outputs(&mut self) {
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    let to = self.members.iter().find(|(member, _)| *member == connection);
                    if let Some((_, at)) = to {
                        self.peers[*at].client.handle(self.now, Input::Frame(frame.to_vec()));
                    }
                }
                Output::Broadcast { frame, .. } => {
                    for (_, at) in &self.members {
                        self.peers[*at].client.handle(self.now, Input::Frame(frame.to_vec()));
                    }
                }
                Output::Enter { .. } | Output::References { .. } => {}
                Output::Store { ticket, request } => {
                    self.storage.as_mut().expect("it has one").submit(ticket, request);
                }
                Output::Release(key) => self.storage.as_mut().expect("it has one").release(key),
                Output::Close { connection, reason, detail } => {
                    let to = self.members.iter().position(|(member, _)| *member == connection);
                    if let Some((_, at)) = to.map(|to| self.members.remove(to)) {
                        self.peers[at].connection = None;
                        self.peers[at].cuts += 1;
                        let close = Some((reason.code(), detail));
                        self.peers[at].client.handle(self.now, Input::Disconnected(close));
                        self.obey_client(at);
                    }
                }
            }
        }
    }

    /// Everybody does what there is to do, until nothing is.
    fn settle(&mut self) {
        for _ in 0..3 {
            (0..self.peers.len()).for_each(|at| self.obey_client(at));
            self.obey_reflector();
            for peer in &mut self.peers {
                while peer.client.step(self.now, &mut || true) == Stepped::Attention
                    || peer.client.poll_delivery(Handling::Queued).is_some()
                {
                    Self::listen(peer);
                }
                Self::listen(peer);
            }
        }
    }

    fn listen(peer: &mut Peer) {
        while let Some(event) = peer.client.poll_event() {
            match event {
                SessionEvent::Verdict { agreed, of, .. } => peer.verdicts.push((agreed, of)),
                SessionEvent::Held(held) => peer.held = held,
                _ => {}
            }
        }
    }

    fn pass(&mut self, span: u64) {
        self.now += span;
        self.reflector.handle_timeout(self.now);
        self.settle();
    }

    /// So many events of each client.
    fn publish(&mut self, each: u64, number: u64) {
        for peer in &mut self.peers {
            for n in 0..each {
                peer.client.publish(self.now, "sum", "add", &(number + n)).expect("there is room");
            }
        }
    }

    fn hashes(&self) -> Vec<(u64, StateHash)> {
        let state = |peer: &Peer| {
            let vm = peer.client.vm().expect("it has joined");
            (vm.seq(), vm.hash().expect("it can be saved"))
        };
        self.peers.iter().map(state).collect()
    }

    fn assert_equal(&mut self) {
        // Until a tick has told all of them the same time.
        self.pass(2 * SECOND);
        let hashes = self.hashes();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    }

    fn sum(&self) -> (u64, u64) {
        let sum = self.peers[0].client.vm().and_then(|vm| vm.root::<Sum>()).expect("it runs");
        (sum.count, sum.sum)
    }
}

/// `TEATIME_EVENTS=N` plays another number.
fn events() -> u64 {
    let number = std::env::var("TEATIME_EVENTS").ok().and_then(|events| events.parse().ok());
    number.unwrap_or(10_000_000)
}

#[test]
fn a_session_of_ten_million_events_goes_on_in_the_same_memory() {
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
        // What the allocator keeps has settled after a tenth.
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
    // As fast as a session that has just begun: a snapshot, and less than 2 × 10,000 events.
    assert!(joined.as_secs_f64() < 2.0, "{joined:?}");
}

#[test]
fn memory_is_bounded_while_no_snapshot_comes_and_nobody_loses_anything() {
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
    assert!(world.peers.iter().all(|peer| peer.held), "everybody was told to pause");
    assert!(refused > 0, "who went on was told that it is too much");
    assert!(world.peers.iter().all(|peer| peer.cuts == 0), "nobody was closed");
    assert!(largest <= most, "{largest} of {most}");
    // Held for nine tenths of the time: the log, and what two clients have kept of it, does not grow.
    let (held, end) = (used[used.len() / 2], used[used.len() - 1]);
    println!(
        "{{\"vice\": \"{vice:?}\", \"published\": {published}, \"refused\": {refused}, \"largest_log_bytes\": {largest}, \
         \"limit\": {most}, \"memory_held\": {held}, \"memory_end\": {end}}}"
    );
    assert!(end <= held + 2 * 1024 * 1024, "memory grew from {held} to {end} bytes");
    // Snapshots come again.
    world.peers.iter_mut().for_each(|peer| peer.vice = None);
    (0..600).for_each(|_| world.pass(50 * MS));
    assert!(world.peers.iter().all(|peer| !peer.held), "everybody may go on");
    assert!(world.reflector.stats().log_bytes < 512 * 1024);
    assert_eq!(world.sum().0, published, "every event is there, once");
    world.join();
    world.assert_equal();
}

fn in_memory() -> Shared<MemoryDisk> {
    let store = MemoryStore::open(MemoryDisk::default(), teatime_store::Config::default());
    Shared::new(store.expect("an empty disk is no problem"))
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
    let Value::Array(fields) = &mut checkpoint else { panic!("no struct") };
    let parts = fields[2].as_array().expect("parts").iter();
    let snapshot: Vec<u8> = parts.flat_map(|part| part.as_slice().expect("bin").to_vec()).collect();
    let (state, envelope) = teatime_wire::Envelope::open(&[&snapshot]).expect("it is whole");
    let mut state = read(&snapshot[state]);
    let Value::Array(vm) = &mut state else { panic!("no parts") };
    (vm[3], vm[4]) = (time.into(), seq.into());
    let snapshot = envelope.wrap(&write(&state));
    let hash = teatime_wire::Digest(StateHash::of(&snapshot).0);
    let info = SnapshotInfo { seq, time, hash, size: snapshot.len() as u64 };
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
    // Until those of before count as gone.
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
    // And what is stored is restored.
    let expected = world.sum();
    drop(world);
    let again = World::stored(2, 9, ReflectorConfig::default(), &old, 1);
    assert_eq!(again.sum(), expected);
    assert!(position(&again) > WRAP);
}

/// Sends of a view have counters of their own.
#[test]
fn counters_of_sends_beyond_32_bits_are_numbers_like_any_other() {
    let _alone = alone();
    let mut reflector = Reflector::new(ReflectorConfig::default(), [7; 32]);
    let join = teatime_wire::Join {
        protocol: teatime_wire::PROTOCOL_VERSION,
        session: SessionId([1; 32]),
        room: teatime_wire::Room {
            name: teatime_wire::Digest([1; 32]),
            id: teatime_wire::Digest([1; 32]),
            version: 1,
        },
        secret: teatime_wire::ViewSecret([1; 32]),
        password_proof: None,
        view_data: None,
        ticks_per_second: 1,
        attempt: 1 << 33,
        resume: None,
        agent: "test",
    };
    reflector.connected(0, ConnId(1));
    reflector.received(0, ConnId(1), &ClientMessage::Join(join).encode());
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
