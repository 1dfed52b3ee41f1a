//! What is persisted in rooms, on a disk that can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::small;
use proptest::prelude::*;
use teatime_reflector::{
    Claims, Config, ConnId, Output, RecordKind, Reflector, SessionKey, Storage, StorageError,
    Stored,
};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, Shared, Storage as _};
use teatime_wire::limits::{MAX_PERSISTED, MAX_SNAPSHOT_PART};
use teatime_wire::{
    ClientMessage, Digest, Envelope, Holding, Join, PersistedPart, Room, Send, ServerMessage,
    SessionId, SnapshotPart, ViewSecret, Vote,
};

const SECOND: u64 = 1_000_000;

/// A reflector with one connection at a time.
struct World {
    reflector: Reflector,
    now: u64,
    connection: ConnId,
    got: Vec<Vec<u8>>,
    closed: bool,
    disk: MemoryDisk,
    /// Another thread of the same server.
    other: Shared<MemoryDisk>,
    /// The name of the room that is told, and its id.
    name: Digest,
    id: Digest,
    /// If it is not that of the version.
    session: Option<SessionId>,
    /// As whose member it gets what all of them get.
    inside: Option<SessionKey>,
    /// Of rooms.
    references: Vec<(SessionId, Holding)>,
}

/// A storage that writes what is to be kept only as long as its gate is open.
struct Slow {
    storage: Shared<MemoryDisk>,
    is_shut: Arc<AtomicBool>,
    waiting: Vec<(SessionId, Vec<u8>, u64, Vec<u8>)>,
}

impl Storage for Slow {
    fn begin(&mut self, session: SessionId, head: &[u8]) {
        self.storage.begin(session, head);
    }

    fn append(&mut self, session: SessionId, seq: u64, kind: RecordKind, bytes: &[u8]) {
        self.storage.append(session, seq, kind, bytes);
    }

    fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]) {
        self.storage.checkpoint(session, seq, bytes);
    }

    fn keep(&mut self, room: SessionId, head: &[u8], seq: u64, bytes: Vec<u8>) {
        self.waiting.push((room, head.to_vec(), seq, bytes));
        assert_eq!(self.waiting.len(), 1, "one after the other");
    }

    fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)> {
        if !self.is_shut.load(Ordering::Relaxed) {
            for (room, head, seq, bytes) in self.waiting.drain(..) {
                self.storage.keep(room, &head, seq, bytes);
            }
        }
        self.storage.kept()
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        self.storage.commit()
    }

    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        self.storage.load(session)
    }

    fn claims(&self, name: Digest, id: Digest) -> Claims {
        self.storage.claims(name, id)
    }

    fn release(&mut self, session: SessionId) {
        self.storage.release(session);
    }
}

impl World {
    fn new(disk: &MemoryDisk) -> Self {
        Self::over(disk, Config::default(), |shared| Box::new(shared))
    }

    fn over(
        disk: &MemoryDisk,
        config: Config,
        storage: impl FnOnce(Shared<MemoryDisk>) -> Box<dyn Storage>,
    ) -> Self {
        let store = MemoryStore::open(disk.clone(), small(Durability::Power, 700));
        let shared = Shared::new(store.expect("it opens"));
        let other = shared.clone();
        let reflector = Reflector::with_storage(config, [7; 32], storage(shared));
        let (name, id) = (Digest([4; 32]), Digest([5; 32]));
        let (connection, got) = (ConnId(0), Vec::new());
        let disk = disk.clone();
        let (session, inside, references) = (None, None, Vec::new());
        let closed = false;
        Self {
            reflector,
            now: 0,
            connection,
            got,
            closed,
            disk,
            other,
            name,
            id,
            session,
            inside,
            references,
        }
    }

    /// Joins as a version of the app, which has a session of its own.
    fn join(&mut self, version: u32) {
        self.connection.0 += 1;
        (self.closed, self.inside, self.got) = (false, None, Vec::new());
        self.reflector.connected(self.now, self.connection);
        self.say(&ClientMessage::Join(Join {
            protocol: 1,
            session: self.session.unwrap_or(SessionId([version as u8; 32])),
            room: Room { name: self.name, id: self.id, version },
            secret: ViewSecret([self.connection.0 as u8; 32]),
            password_proof: Some(self.id),
            view_data: None,
            ticks_per_second: 1,
            attempt: self.connection.0,
            resume: None,
            agent: "test",
        }));
        self.pass(SECOND);
    }

    fn say(&mut self, message: &ClientMessage<'_>) {
        self.reflector.received(self.now, self.connection, &message.encode());
        self.obey();
    }

    fn pass(&mut self, span: u64) {
        let end = self.now + span;
        while let Some(at) = self.reflector.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.reflector.handle_timeout(self.now);
            self.obey();
        }
        self.now = end;
    }

    fn obey(&mut self) {
        self.reflector.commit();
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Enter { connection, session } if connection == self.connection => {
                    self.inside = Some(session);
                }
                Output::Send { connection, frame } if connection == self.connection => {
                    self.got.push(frame.to_vec());
                }
                Output::Broadcast { session, frame } if self.inside == Some(session) => {
                    self.got.push(frame.to_vec());
                }
                Output::Close { .. } => self.closed = true,
                Output::References { session, holding, .. } => {
                    if matches!(holding, Holding::Exactly(_)) {
                        self.references.push((session, holding));
                    }
                }
                Output::Enter { .. }
                | Output::Send { .. }
                | Output::Broadcast { .. }
                | Output::Retract { .. } => {}
            }
        }
    }

    fn messages(&self) -> impl Iterator<Item = ServerMessage<'_>> {
        self.got.iter().map(|frame| ServerMessage::decode(frame).expect("it is a message"))
    }

    fn votes(&self) -> Vec<u64> {
        let each = |message| match message {
            ServerMessage::VoteRequest(vote) => Some(vote.seq),
            _ => None,
        };
        self.messages().filter_map(each).collect()
    }

    /// Asks for a vote if it is not asked for already, and waits until it is held.
    fn wait_for_vote(&mut self) {
        let before = self.votes().len();
        self.say(&ClientMessage::Persist);
        for _ in 0..200 {
            if self.votes().len() > before {
                return;
            }
            self.say(&ClientMessage::Ping(1));
            self.pass(SECOND);
        }
        panic!("no vote is held");
    }

    /// Answers the newest vote with a state of which this is persisted. Whether that is kept.
    fn answer(&mut self, data: &[u8]) -> bool {
        self.answer_with(data, &[])
    }

    fn answer_with(&mut self, data: &[u8], roots: &[u8]) -> bool {
        let seq = *self.votes().last().expect("it was asked");
        let roots = roots.iter().map(|root| Digest([*root; 32])).collect();
        let persisted = Some(PersistedPart { data: data.to_vec(), roots });
        let envelope = Envelope { persisted, roots: Vec::new(), space: Digest([5; 32]) };
        let bytes = envelope.wrap(b"state");
        let hash = Digest(*blake3::hash(&bytes).as_bytes());
        self.say(&ClientMessage::Vote(Vote { seq, hash }));
        let (mut offset, total) = (0, bytes.len() as u64);
        for data in bytes.chunks(MAX_SNAPSHOT_PART) {
            self.say(&ClientMessage::SnapshotPart(SnapshotPart { seq, offset, total, data }));
            offset += data.len() as u64;
        }
        self.messages().any(|message| message == ServerMessage::Persisted(seq))
    }

    /// Why what was persisted is not kept.
    fn failures(&self) -> Vec<String> {
        let told = self.messages().filter_map(|message| match message {
            ServerMessage::NotPersisted(told) => told.failure.map(str::to_owned),
            _ => None,
        });
        told.collect()
    }

    /// Everybody leaves, and nothing stays in memory.
    fn forget(&mut self) {
        self.leave();
        self.pass(Config::default().max_idle_time + SECOND);
        assert_eq!(self.reflector.stats().sessions, 0);
    }

    fn persist_with(&mut self, data: &[u8], roots: &[u8]) -> bool {
        self.wait_for_vote();
        self.answer_with(data, roots)
    }

    fn persist(&mut self, data: &[u8]) -> bool {
        self.wait_for_vote();
        self.answer(data)
    }

    fn begun_with(&self) -> Option<Vec<u8>> {
        let begun = self.messages().any(
            |message| matches!(message, ServerMessage::Welcome(welcome) if welcome.persisted.is_some()),
        );
        let parts = self.messages().filter_map(|message| match message {
            ServerMessage::SnapshotPart(part) => Some(part.to_vec()),
            _ => None,
        });
        begun.then(|| parts.collect::<Vec<_>>().concat())
    }

    fn leave(&mut self) {
        self.say(&ClientMessage::Leave);
    }
}

/// The name under which the room of the tests is stored.
fn stored_room() -> SessionId {
    let mut room = [0; 32];
    room[..16].copy_from_slice(b"teatime room\0\0\0\0");
    let name = [Digest([4; 32]).0, Digest([5; 32]).0].concat();
    let hash = blake3::derive_key("teatime v1 stored room", &name);
    room[16..].copy_from_slice(&hash[..16]);
    SessionId(room)
}

#[test]
fn what_is_kept_survives_the_loss_of_power_and_the_session_that_began_with_it_does_too() {
    for seed in 0..5 {
        let disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        world.join(1);
        assert!(world.persist(b"first") && world.persist(b"second"));
        let disk = disk.crash(Crash::Power, seed);
        let mut world = World::new(&disk);
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"second"[..]));
        world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
        world.leave();
        world.join(1);
        // Who was there before may come back until then, and counts.
        world.pass(15 * SECOND);
        assert!(world.persist(b"third"));
        // The second version has had no snapshot, and goes on with what it began with.
        let disk = disk.crash(Crash::Power, seed);
        let mut world = World::new(&disk);
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"second"[..]));
        world.leave();
        world.join(3);
        assert_eq!(world.begun_with().as_deref(), Some(&b"third"[..]));
    }
}

#[test]
fn a_disk_that_fails_leaves_what_was_kept_and_it_is_tried_again() {
    let large = vec![9; 50_000];
    let fails: [fn(&MemoryDisk); 2] = [
        |disk| {
            let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
            disk.set_capacity(Some(used as u64 + 20_000));
        },
        |disk| disk.fail_next_sync(),
    ];
    for (at, fail) in fails.into_iter().enumerate() {
        let disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        world.join(1);
        assert!(world.persist(b"first"));
        world.wait_for_vote();
        fail(&disk);
        assert!(!world.answer(&large), "{at}");
        // Everybody is told why.
        let told = world.failures();
        assert_eq!((told.len(), told[0] == "the disk is full"), (1, at == 0), "{told:?}");
        // It can be had as it was, and the session goes on.
        let mut other = World::new(&disk.copy());
        other.join(2);
        assert_eq!(other.begun_with().as_deref(), Some(&b"first"[..]), "{at}");
        assert!(!world.closed, "{at}");
        disk.set_capacity(None);
        // Without being asked for again.
        let before = world.votes().len();
        while world.votes().len() == before {
            world.say(&ClientMessage::Ping(1));
            world.pass(SECOND);
            assert!(world.now < 300 * SECOND, "{at}");
        }
        assert!(world.answer(&large), "{at}");
        world.leave();
        world.join(2);
        assert_eq!(world.begun_with(), Some(large.clone()), "{at}");
    }
}

#[test]
fn a_version_that_was_only_looked_at_begins_anew_after_a_restart_too() {
    for seed in 0..5 {
        let disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        world.join(1);
        assert!(world.persist(b"on monday"));
        world.leave();
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"on monday"[..]));
        world.leave();
        let mut world = World::new(&disk.crash(Crash::Power, seed));
        world.join(1);
        world.pass(15 * SECOND);
        assert!(world.persist(b"on friday"));
        world.leave();
        let disk = world.disk.clone();
        let mut world = World::new(&disk.crash(Crash::Power, seed));
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"on friday"[..]));
        // It has taken the place of the other in the store, too.
        world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
        let disk = world.disk.clone();
        let mut world = World::new(&disk.crash(Crash::Power, seed));
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"on friday"[..]));
        let events = world.messages().filter(|one| matches!(one, ServerMessage::Event(_)));
        assert_eq!(events.count(), 1);
    }
}

#[test]
fn what_could_not_be_kept_when_everybody_left_is_kept_once_somebody_comes_back() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.wait_for_vote();
    disk.fail_next_sync();
    assert!(!world.answer(b"second"));
    world.leave();
    world.join(1);
    // It takes what is in the snapshot for kept, and does not ask.
    while world.votes().is_empty() {
        world.say(&ClientMessage::Ping(1));
        world.pass(SECOND);
        assert!(world.now < 300 * SECOND, "no vote is held");
    }
    assert!(world.answer(b"second"));
    world.leave();
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"second"[..]));
}

#[test]
fn a_session_that_comes_without_its_room_brings_along_what_it_has_persisted() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.leave();
    let disk = world.disk.copy();
    drop(world);
    // As an export of the session takes it to another store.
    let mut from = World::new(&disk);
    let stored = from.other.load(SessionId([1; 32])).expect("it is whole").expect("it is there");
    let mut world = World::new(&MemoryDisk::default());
    world.other.begin(SessionId([1; 32]), &stored.head);
    let (seq, bytes) = stored.checkpoint.expect("it has a snapshot");
    world.other.checkpoint(SessionId([1; 32]), seq, &bytes);
    world.other.commit().expect("the disk works");
    world.join(1);
    world.leave();
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
}

#[test]
fn a_crafted_room_is_refused_and_harms_no_other() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.leave();
    let copy = world.disk.copy();
    drop(world);
    let mut world = World::new(&copy);
    let room = stored_room();
    let stored = world.other.load(room).expect("it is whole").expect("it is there");
    let (_, bytes) = stored.checkpoint.expect("it has one");
    // What is kept as MessagePack: a byte string.
    let first = b"\xc4\x05first";
    let at = bytes.windows(first.len()).position(|part| part == first).expect("it is there");
    let with = |data: &[u8]| [&bytes[..at], data, &bytes[at + first.len()..]].concat();
    let length = u32::try_from(MAX_PERSISTED + 1).expect("it fits").to_be_bytes();
    let large = [&[0xc6], &length[..], &vec![7; MAX_PERSISTED + 1]].concat();
    let crafted = [(u64::MAX, bytes.clone()), (2, with(b"\xc4\x00")), (2, with(&large))];
    for (attempt, (changes, bytes)) in crafted.into_iter().enumerate() {
        let copy = world.disk.copy();
        let mut world = World::new(&copy);
        world.other.keep(room, b"", changes, bytes);
        assert_eq!(world.other.kept(), [(room, Ok(()))]);
        world.other.release(room);
        world.join(2);
        assert!(world.closed && world.begun_with().is_none(), "{attempt}");
        world.name = Digest([6; 32]);
        world.join(3);
        assert!(!world.closed && world.persist(b"other"), "{attempt}");
    }
}

#[test]
fn a_new_version_belongs_to_those_who_can_read_what_is_kept_after_a_restart_too() {
    let (own, other) = (Digest([5; 32]), Digest([8; 32]));
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    let join_as = |world: &mut World, id, version| {
        world.id = id;
        world.join(version);
        world.closed
    };
    // They have a session, in which nothing is persisted.
    assert!(!join_as(&mut world, own, 1));
    world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    world.leave();
    let mut world = World::new(&world.disk.crash(Crash::Power, 1));
    assert!(!join_as(&mut world, other, 9));
    assert!(world.persist(b"strange"));
    world.leave();
    // So they are let into a new one, but others who come late are not.
    let mut world = World::new(&world.disk.crash(Crash::Power, 1));
    assert!(join_as(&mut world, Digest([6; 32]), 2));
    assert!(!join_as(&mut world, own, 2));
    assert_eq!(world.begun_with(), None);
    world.leave();
    // The usual case.
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    assert!(!join_as(&mut world, other, 2));
    world.leave();
    assert!(!join_as(&mut world, own, 1));
    assert!(world.persist(b"work"));
    world.leave();
    let mut world = World::new(&world.disk.crash(Crash::Power, 1));
    // He has a look of his own stored, which is no claim.
    for version in [3, 2] {
        assert!(join_as(&mut world, other, version));
        assert!(world.got.is_empty());
        assert!(!join_as(&mut world, own, version));
        assert_eq!(world.begun_with().as_deref(), Some(&b"work"[..]));
        world.leave();
    }
}

#[test]
fn as_much_as_an_app_may_persist_begins_a_session() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    let most: Vec<u8> = (0..MAX_PERSISTED).map(|at| at as u8).collect();
    assert!(world.persist(&most));
    world.leave();
    world.join(2);
    assert!(world.begun_with().as_ref() == Some(&most));
    let mut world = World::new(&disk.crash(Crash::Power, 1));
    world.join(2);
    assert!(world.begun_with() == Some(most));
}

#[test]
fn who_names_another_room_takes_nothing_from_those_who_are_served_elsewhere() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    drop(world);
    let mut world = World::new(&disk.copy());
    world.name = Digest([6; 32]);
    world.join(1);
    assert!(world.closed && world.got.is_empty());
    // A session of its own in a room of that id has nothing of it, and keeps nobody from it.
    world.join(2);
    assert_eq!((world.closed, world.begun_with()), (false, None));
    assert!(world.persist(b"other"));
    let session = world.other.load(SessionId([1; 32]));
    assert!(session.is_ok_and(|stored| stored.is_some()));
    world.name = Digest([4; 32]);
    world.join(3);
    assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
}

#[test]
fn a_look_at_a_session_from_another_room_keeps_nobody_out() {
    for is_restarted in [false, true] {
        let disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        world.join(1);
        assert!(world.persist(b"first"));
        world.leave();
        let own = std::mem::replace(&mut world.name, Digest([6; 32]));
        world.join(2);
        assert_eq!((world.closed, world.begun_with()), (false, None));
        world.leave();
        world.name = own;
        if is_restarted {
            world = World::new(&world.disk.crash(Crash::Power, 1));
        }
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
    }
}

#[test]
fn whenever_a_crash_comes_what_was_acknowledged_is_there() {
    let works: [(u32, &[u8]); 4] = [(1, b"first"), (1, b"second"), (2, b"third"), (2, b"fourth")];
    let mut cuts = 0;
    loop {
        let disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        disk.die_after(cuts);
        let (mut acknowledged, mut tried) = (None, None);
        let mut version = 0;
        for (its, data) in works {
            if version != its {
                version = its;
                world.leave();
                world.join(version);
            }
            let before = world.votes().len();
            world.say(&ClientMessage::Persist);
            for _ in 0..60 {
                if world.closed || world.votes().len() > before {
                    break;
                }
                world.say(&ClientMessage::Ping(1));
                world.pass(SECOND);
            }
            if world.votes().len() == before {
                break;
            }
            tried = Some(data);
            if !world.answer(data) {
                break;
            }
            acknowledged = Some(data);
        }
        let power = (0..4).map(|seed| disk.crash(Crash::Power, seed));
        for found in power.chain([disk.crash(Crash::Process, 0)]) {
            let mut world = World::new(&found);
            world.join(3);
            let begun = world.begun_with();
            let is_right = [acknowledged, tried].contains(&begun.as_deref());
            assert!(is_right, "{cuts}: {begun:?} after {acknowledged:?} and {tried:?}");
            // Each session has what it must have, and can be begun.
            for version in [1, 2] {
                world.leave();
                world.join(version);
                assert!(!world.closed, "{cuts}");
            }
            // Who was there before may come back until then, and counts.
            world.pass(15 * SECOND);
            assert!(world.persist(b"and on"), "{cuts}");
        }
        if acknowledged == Some(b"fourth") {
            break;
        }
        cuts += 1;
        assert!(cuts < 1_000, "it never works");
    }
    assert!(cuts > 40, "only {cuts} changes of the disk");
}

#[test]
fn nobody_waits_for_what_is_to_be_kept_and_it_counts_when_it_is_stored() {
    let disk = MemoryDisk::default();
    let gate = Arc::new(AtomicBool::new(false));
    let is_shut = gate.clone();
    let mut world = World::over(&disk, Config::default(), |storage| {
        Box::new(Slow { storage, is_shut, waiting: Vec::new() })
    });
    let set_shut = |shut| gate.store(shut, Ordering::Relaxed);
    let kept = |world: &World| {
        let each = |message| match message {
            ServerMessage::Persisted(seq) => Some(seq),
            _ => None,
        };
        world.messages().filter_map(each).collect::<Vec<_>>()
    };
    world.join(1);
    assert!(world.persist(b"first"));
    set_shut(true);
    world.wait_for_vote();
    assert!(!world.answer(b"second"));
    // It goes on, and something else is persisted.
    world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    let events = world.messages().filter(|one| matches!(one, ServerMessage::Event(_)));
    assert_eq!(events.count(), 1);
    world.wait_for_vote();
    assert!(!world.answer(b"third"));
    let votes = world.votes();
    assert_eq!((kept(&world), world.failures().len()), (vec![votes[0]], 0));
    world.leave();
    // Meanwhile a version begins with what there was.
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
    world.leave();
    world.join(1);
    set_shut(false);
    world.pass(SECOND);
    assert_eq!(kept(&world), votes[1..]);
    world.leave();
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"third"[..]));
    world.leave();
    // Nothing of it is in memory any more when it is stored, and what another version persists comes on top of it.
    world.join(1);
    world.pass(15 * SECOND);
    world.wait_for_vote();
    set_shut(true);
    assert!(!world.answer(b"fourth"));
    world.forget();
    world.join(3);
    assert_eq!(world.begun_with().as_deref(), Some(&b"third"[..]));
    world.wait_for_vote();
    assert!(!world.answer(b"of the third version"));
    world.forget();
    set_shut(false);
    world.pass(SECOND);
    for (version, data) in [(2, &b"fourth"[..]), (4, b"of the third version")] {
        world.join(version);
        assert_eq!(world.begun_with().as_deref(), Some(data));
        world.leave();
    }
    // Should it fail in the end, that is told, and it is tried again.
    world.join(3);
    world.pass(15 * SECOND);
    world.wait_for_vote();
    set_shut(true);
    assert!(!world.answer(b"fifth"));
    disk.fail_next_sync();
    set_shut(false);
    world.pass(SECOND);
    assert_eq!(world.failures().len(), 1);
    world.leave();
    world.join(5);
    assert_eq!(world.begun_with().as_deref(), Some(&b"of the third version"[..]));
    world.leave();
    world.join(3);
    let before = world.votes().len();
    while world.votes().len() == before {
        world.say(&ClientMessage::Ping(1));
        world.pass(SECOND);
        assert!(world.now < 5_000 * SECOND, "no vote is held");
    }
    assert!(world.answer(b"fifth"));
}

#[test]
fn a_room_that_cannot_be_read_keeps_nothing_and_stays_as_it_is() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    world.forget();
    let name: String = stored_room().0.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = |disk: &MemoryDisk| {
        let mut files = disk.files().into_iter().filter(|(file, _)| file.contains(&name));
        let file = files.next().expect("it is there");
        assert_eq!(files.next(), None);
        file
    };
    let (path, _) = file(&disk);
    disk.rot(&path, 20);
    let damaged = file(&disk);
    // A new version would begin without it.
    world.join(2);
    assert!(world.closed && world.got.is_empty());
    // Who has a session goes on with it.
    world.join(1);
    let events = world.messages().filter(|one| matches!(one, ServerMessage::Event(_)));
    assert_eq!((world.closed, events.count()), (false, 1));
    world.say(&ClientMessage::Send(Send { counter: 2, payload: b"done" }));
    assert!(!world.persist(b"second"));
    let (failures, votes) = (world.failures(), world.votes());
    assert!(failures[0].contains("checksum"), "{failures:?}");
    // Which nobody tries again and again.
    (0..5).for_each(|_| {
        world.say(&ClientMessage::Ping(1));
        world.pass(20 * SECOND);
    });
    assert_eq!((world.failures().len(), world.votes()), (1, votes));
    world.leave();
    world.join(2);
    assert!(world.closed && world.got.is_empty());
    assert_eq!(file(&disk), damaged);
    // Nor does anybody remove it who removes what is not used.
    let other = Storage::load(&mut world.other, stored_room());
    assert!(matches!(other, Err(StorageError::Io(_))), "{other:?}");
    // Once it is whole again, everything is as it should be.
    disk.rot(&path, 20);
    world.join(1);
    world.pass(15 * SECOND);
    assert!(world.persist(b"third"));
    world.leave();
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"third"[..]));
}

#[test]
fn what_could_not_be_kept_is_kept_when_the_session_is_loaded_again() {
    for restarts in [false, true] {
        let mut disk = MemoryDisk::default();
        let mut world = World::new(&disk);
        world.join(1);
        assert!(world.persist(b"first"));
        world.wait_for_vote();
        disk.fail_next_sync();
        assert!(!world.answer(b"second"));
        if restarts {
            disk = disk.crash(Crash::Power, 1);
            world = World::new(&disk);
        } else {
            world.forget();
        }
        world.join(1);
        assert!(world.failures().is_empty());
        assert_eq!(world.votes(), [0; 0], "nobody is asked");
        world.leave();
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"second"[..]));
        // And what came later is not replaced by that.
        world.forget();
        world.join(1);
        world.pass(15 * SECOND);
        assert!(world.persist(b"third"));
        world.forget();
        world.join(1);
        world.leave();
        world.join(2);
        assert_eq!(world.begun_with().as_deref(), Some(&b"third"[..]));
    }
}

#[test]
fn another_session_of_a_version_replaces_what_it_has_begun_with_and_nothing_else_by_being_loaded() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.leave();
    // A repaired build of the same number.
    world.session = Some(SessionId([100; 32]));
    world.join(1);
    assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
    world.wait_for_vote();
    disk.fail_next_sync();
    assert!(!world.answer(b"repaired"));
    world.forget();
    world.join(1);
    world.forget();
    world.session = None;
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"repaired"[..]));
    world.leave();
    // The one before has something else in its snapshot, which is not newer.
    world.join(1);
    world.forget();
    world.session = Some(SessionId([101; 32]));
    world.join(3);
    assert_eq!(world.begun_with().as_deref(), Some(&b"repaired"[..]));
}

#[test]
fn what_could_not_be_kept_does_not_replace_what_another_session_persists_after_it_was_loaded() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.wait_for_vote();
    disk.fail_next_sync();
    assert!(!world.answer(b"late"));
    world.forget();
    // It comes to memory, but nobody comes into it.
    let own = std::mem::replace(&mut world.id, Digest([8; 32]));
    world.join(1);
    assert!(world.closed);
    world.id = own;
    world.session = Some(SessionId([100; 32]));
    world.join(1);
    assert_eq!(world.begun_with().as_deref(), Some(&b"first"[..]));
    assert!(world.persist(b"newer"));
    world.leave();
    world.session = None;
    world.join(1);
    world.leave();
    world.join(2);
    assert_eq!(world.begun_with().as_deref(), Some(&b"newer"[..]));
}

#[test]
fn what_a_session_has_begun_with_is_kept_again_if_it_is_lost() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist_with(&[7; 300], &[1, 2]));
    world.leave();
    world.join(2);
    world.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    world.forget();
    world.references.clear();
    let mut store = world.other.store();
    store.remove(&stored_room().0).expect("it is there");
    store.remove(&[1; 32]).expect("it is there");
    teatime_store::Storage::commit(&mut *store).expect("the disk works");
    drop(store);
    world.join(2);
    world.pass(SECOND);
    let roots = [1, 2].map(|root| Digest([root; 32])).to_vec();
    let held = (stored_room(), Holding::Exactly(roots));
    assert_eq!(world.references.last(), Some(&held));
    world.leave();
    world.join(3);
    assert_eq!(world.begun_with(), Some(vec![7; 300]));
}

/// What may happen to the versions of an app in a room, one after the other.
#[derive(Debug, Clone)]
enum Act {
    /// Somebody persists something in one of three sessions.
    Persist(usize),
    /// What is to be kept is written, or waits.
    Shut(bool),
    /// Everybody leaves, and nothing stays in memory.
    Forget,
    PowerCut(u64),
    FailSync,
    FailWrite,
    Full(u64),
}

/// Two of the first version of the app, for one build was repaired, and one of the second.
const SESSIONS: [(u32, u8); 3] = [(1, 1), (1, 100), (2, 2)];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..SESSIONS.len()).prop_map(Act::Persist),
        3 => any::<bool>().prop_map(Act::Shut),
        3 => Just(Act::Forget),
        2 => any::<u64>().prop_map(Act::PowerCut),
        2 => Just(Act::FailSync),
        1 => Just(Act::FailWrite),
        1 => (0..400u64).prop_map(Act::Full),
    ]
}

/// The versions of an app in a room, and what they were told.
struct Versions {
    world: World,
    gate: Arc<AtomicBool>,
    inside: Option<usize>,
    /// Session, vote, and what was persisted at it: a number, and each is higher than the one before.
    handed_in: Vec<(usize, u64, u32)>,
    /// Of each version, what was acknowledged.
    acknowledged: [u32; 3],
}

impl Versions {
    fn over(disk: &MemoryDisk) -> (World, Arc<AtomicBool>) {
        let gate = Arc::new(AtomicBool::new(false));
        let is_shut = gate.clone();
        let world = World::over(disk, Config::default(), |storage| {
            Box::new(Slow { storage, is_shut, waiting: Vec::new() })
        });
        (world, gate)
    }

    fn happen(&mut self, act: &Act) {
        match *act {
            Act::Persist(session) => self.persist(session),
            Act::Shut(shut) => {
                self.gate.store(shut, Ordering::Relaxed);
                self.world.pass(SECOND);
            }
            Act::Forget => {
                self.world.leave();
                self.inside = None;
                self.world.pass(Config::default().max_idle_time + SECOND);
            }
            Act::PowerCut(seed) => {
                let disk = self.world.disk.crash(Crash::Power, seed);
                disk.set_capacity(None);
                (self.world, self.gate) = Self::over(&disk);
                self.inside = None;
            }
            Act::FailSync => self.world.disk.fail_next_sync(),
            Act::FailWrite => self.world.disk.fail_next_write(),
            Act::Full(room) => {
                let files = self.world.disk.files();
                let used: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
                self.world.disk.set_capacity(Some(used as u64 + room));
            }
        }
        self.hear();
    }

    fn persist(&mut self, session: usize) {
        if self.inside != Some(session) || self.world.closed {
            self.world.leave();
            let (version, number) = SESSIONS[session];
            self.world.session = Some(SessionId([number; 32]));
            self.world.join(version);
            self.inside = Some(session);
            // Who was there before may come back until then, and counts.
            self.world.pass(15 * SECOND);
        }
        let before = self.world.votes().len();
        self.world.say(&ClientMessage::Persist);
        for _ in 0..60 {
            if self.world.closed {
                self.world.disk.set_capacity(None);
                return;
            }
            if let Some(seq) = self.world.votes().get(before).copied() {
                let number = self.handed_in.len() as u32 + 1;
                self.handed_in.push((session, seq, number));
                self.world.answer(&number.to_be_bytes());
                return;
            }
            self.world.say(&ClientMessage::Ping(1));
            self.world.pass(SECOND);
        }
    }

    fn hear(&mut self) {
        let Some(inside) = self.inside else { return };
        let newest = self.handed_in.iter().rev();
        for message in self.world.messages() {
            let ServerMessage::Persisted(seq) = message else { continue };
            let number = newest.clone().find(|one| (one.0, one.1) == (inside, seq));
            let acknowledged = &mut self.acknowledged[SESSIONS[inside].0 as usize];
            *acknowledged = (*acknowledged).max(number.map_or(0, |one| one.2));
        }
    }

    /// Whoever begins a version now begins with nothing older than what was acknowledged.
    fn check(&self, seed: u64) {
        let disk = self.world.disk.crash(Crash::Power, seed);
        disk.set_capacity(None);
        for version in [1, 2] {
            let mut found = World::new(&disk);
            found.session = Some(SessionId([200 + version as u8; 32]));
            found.join(version);
            let begun = found
                .begun_with()
                .map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("it is a number")));
            let by = self.handed_in.iter().find(|one| one.2 == begun);
            let by = by.map_or(0, |one| SESSIONS[one.0].0);
            let newest = (0..=version).rev().find(|one| self.acknowledged[*one as usize] > 0);
            assert!(by >= newest.unwrap_or(0) && by <= version, "{begun} of {by} for {version}");
            assert!(begun >= self.acknowledged[by as usize], "{begun}: {:?}", self.acknowledged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Two versions of an app side by side, and all that can happen to the disk and the server.
    #[test]
    fn no_version_begins_with_less_than_was_acknowledged(
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let (world, gate) = Versions::over(&MemoryDisk::default());
        let (handed_in, acknowledged) = (Vec::new(), [0; 3]);
        let mut versions = Versions { world, gate, inside: None, handed_in, acknowledged };
        for (at, act) in acts.iter().enumerate() {
            versions.happen(act);
            versions.check(at as u64);
        }
    }
}
