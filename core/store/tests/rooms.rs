//! What is persisted in rooms, on a disk that can fail.

mod common;

use common::small;
use teatime_reflector::{Config, ConnId, Output, Reflector};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::limits::{MAX_PERSISTED, MAX_SNAPSHOT_PART};
use teatime_wire::{
    ClientMessage, Digest, Join, PersistedPart, References, Room, Send, ServerMessage, SessionId,
    SnapshotPart, Trailer, ViewSecret, Vote,
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
}

impl World {
    fn new(disk: &MemoryDisk) -> Self {
        let store = MemoryStore::open(disk.clone(), small(Durability::Power, 100_000));
        let shared = Shared::new(store.expect("it opens"));
        let other = shared.clone();
        let reflector = Reflector::with_storage(Config::default(), [7; 32], Box::new(shared));
        let (name, id) = (Digest([4; 32]), Digest([5; 32]));
        let (connection, got) = (ConnId(0), Vec::new());
        let disk = disk.clone();
        Self { reflector, now: 0, connection, got, closed: false, disk, other, name, id }
    }

    /// Joins as a version of the app, which has a session of its own.
    fn join(&mut self, version: u32) {
        self.connection.0 += 1;
        (self.closed, self.got) = (false, Vec::new());
        self.reflector.connected(self.now, self.connection);
        self.say(&ClientMessage::Join(Join {
            protocol: 1,
            session: SessionId([version as u8; 32]),
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
                Output::Send { frame, .. } | Output::Broadcast { frame, .. } => {
                    self.got.push(frame.to_vec());
                }
                Output::Close { .. } => self.closed = true,
                Output::Enter { .. } | Output::References { .. } | Output::Retract { .. } => {}
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
        let seq = *self.votes().last().expect("it was asked");
        let mut bytes = b"state".to_vec();
        let references = References { space: Digest([5; 32]), roots: Vec::new() };
        let persisted = Some(PersistedPart { data: data.to_vec(), roots: Vec::new() });
        Trailer { references, persisted }.append(&mut bytes);
        let hash = Digest(*blake3::hash(&bytes).as_bytes());
        self.say(&ClientMessage::Vote(Vote { seq, hash }));
        let (mut offset, total) = (0, bytes.len() as u64);
        for data in bytes.chunks(MAX_SNAPSHOT_PART) {
            self.say(&ClientMessage::SnapshotPart(SnapshotPart { seq, offset, total, data }));
            offset += data.len() as u64;
        }
        self.messages().any(|message| message == ServerMessage::Persisted(seq))
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
        let told: Vec<_> = world
            .messages()
            .filter_map(|message| match message {
                ServerMessage::NotPersisted(told) => told.failure.map(str::to_owned),
                _ => None,
            })
            .collect();
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
    use teatime_reflector::Storage as _;
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
    use teatime_reflector::Storage as _;
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk);
    world.join(1);
    assert!(world.persist(b"first"));
    world.leave();
    let copy = world.disk.copy();
    drop(world);
    let mut world = World::new(&copy);
    let mut room = [0; 32];
    room[..16].copy_from_slice(b"teatime room\0\0\0\0");
    let name = [Digest([4; 32]).0, Digest([5; 32]).0].concat();
    let hash = blake3::derive_key("teatime v1 stored room", &name);
    room[16..].copy_from_slice(&hash[..16]);
    let room = SessionId(room);
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
    for version in [2, 3] {
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
    use teatime_reflector::Storage as _;
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
