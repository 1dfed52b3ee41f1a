//! The versions of an app in one room: a client that joins, persists and leaves, with one connection at a time.

use teatime_reflector::storage::{Key, RoomId};
use teatime_reflector::{Config, ConnId};
use teatime_store::{Durability, MemoryDisk};
use teatime_wire::limits::MAX_SNAPSHOT_PART;
use teatime_wire::{
    ClientMessage, Digest, Envelope, Join, PersistedPart, Room, SecretKey, ServerMessage,
    SessionId, SnapshotPart, Vote,
};

use super::small;
use super::world::{Gate, SECOND, Slow, World};

/// The name of the room of the tests.
const NAME: Digest = Digest([4; 32]);

/// The number of its password.
pub(crate) const OWN: u8 = 5;

/// The key of the password of this number.
pub(crate) fn password(number: u8) -> SecretKey {
    SecretKey::of_password(&[number; 32])
}

/// The room of the tests.
pub(crate) fn room() -> RoomId {
    RoomId::of(&Room::new(NAME, Some(password(OWN).public()), 1))
}

/// Its key.
pub(crate) fn stored_room() -> Key {
    Key::Room(room())
}

/// The program of each version, if a test names no other.
fn program(version: u32) -> Digest {
    Digest([version as u8; 32])
}

/// The session of this version of the app.
pub(crate) fn session(version: u32) -> SessionId {
    SessionId::of(room().id, version, program(version))
}

/// A client in a world of its own.
pub(crate) struct Client {
    pub(crate) world: World,
    pub(crate) gate: Gate,
    connection: ConnId,
    /// The room that it names, and the number of the password that it knows.
    pub(crate) name: Digest,
    pub(crate) password: u8,
    /// The program of the session that it joins, if not the one of the version.
    pub(crate) program: Option<Digest>,
}

impl Client {
    pub(crate) fn new(disk: &MemoryDisk) -> Self {
        let gate = Gate::default();
        let store_config = small(Durability::Power, 700);
        let world = World::over(disk, Config::default(), store_config, |shared| {
            Box::new(Slow::new(shared, disk, gate.clone()))
        });
        Self { world, gate, connection: ConnId(0), name: NAME, password: OWN, program: None }
    }

    /// Joins with this version of the app, which has a session of its own.
    pub(crate) fn join(&mut self, version: u32) {
        self.connection = self.world.connect();
        let view = SecretKey::of_view(&[self.connection.0 as u8; 32]);
        let password = password(self.password);
        let join = Join {
            protocol: 1,
            program: self.program.unwrap_or(program(version)),
            name: self.name,
            version,
            view_key: view.public(),
            password_key: Some(password.public()),
            view_data: None,
            ticks_per_second: 1,
            attempt: self.connection.0,
            resume: None,
            agent: "test",
        };
        self.world.join(join, &view, Some(&password));
        self.pass(SECOND);
    }

    pub(crate) fn say(&mut self, message: &ClientMessage<'_>) {
        self.world.say(self.connection, message);
    }

    pub(crate) fn pass(&mut self, span: u64) {
        self.world.pass(span);
    }

    /// What it received since it joined.
    pub(crate) fn messages(&self) -> impl Iterator<Item = ServerMessage<'_>> {
        self.world.messages(self.connection)
    }

    /// Whether it has heard that the name is used with another password.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.messages().any(|message| message == ServerMessage::OtherPassword)
    }

    /// Whether the reflector has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.world.has_closed(self.connection)
    }

    pub(crate) fn votes(&self) -> Vec<u64> {
        let each = |message| match message {
            ServerMessage::VoteRequest(vote) => Some(vote.seq),
            _ => None,
        };
        self.messages().filter_map(each).collect()
    }

    /// Asks for a vote if none is being held, and waits for it.
    pub(crate) fn wait_for_vote(&mut self) {
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

    /// Waits for a vote that the reflector holds by itself.
    pub(crate) fn wait_for_retry(&mut self) {
        let (before, begun) = (self.votes().len(), self.world.now);
        while self.votes().len() == before {
            assert!(self.world.now < begun + 300 * SECOND, "no vote is held");
            self.say(&ClientMessage::Ping(1));
            self.pass(SECOND);
        }
    }

    /// Answers the newest vote with a state that persists this. Returns whether that was stored.
    pub(crate) fn answer(&mut self, data: &[u8]) -> bool {
        self.answer_with(data, &[])
    }

    pub(crate) fn answer_with(&mut self, data: &[u8], roots: &[u8]) -> bool {
        let seq = *self.votes().last().expect("it was asked");
        let roots = roots.iter().map(|root| Digest([*root; 32])).collect();
        let persisted = Some(PersistedPart { data: data.to_vec(), roots });
        let space = Room::new(self.name, Some(password(self.password).public()), 1).id;
        let envelope = Envelope { persisted, roots: Vec::new(), space };
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

    /// Why persisted data was not stored.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failures = self.messages().filter_map(|message| match message {
            ServerMessage::NotPersisted(answer) => answer.failure.map(str::to_owned),
            _ => None,
        });
        failures.collect()
    }

    /// Leaves, and waits until the reflector has no session in memory.
    pub(crate) fn forget(&mut self) {
        self.leave();
        self.pass(Config::default().max_idle_time + SECOND);
        assert_eq!(self.world.reflector.stats().sessions, 0);
    }

    pub(crate) fn persist_with(&mut self, data: &[u8], roots: &[u8]) -> bool {
        self.wait_for_vote();
        self.answer_with(data, roots)
    }

    pub(crate) fn persist(&mut self, data: &[u8]) -> bool {
        self.wait_for_vote();
        self.answer(data)
    }

    /// The persisted data that its session began with.
    pub(crate) fn begun_with(&self) -> Option<Vec<u8>> {
        let begun = self.messages().any(
            |message| matches!(message, ServerMessage::Welcome(welcome) if welcome.persisted.is_some()),
        );
        let parts = self.messages().filter_map(|message| match message {
            ServerMessage::SnapshotPart(part) => Some(part.to_vec()),
            _ => None,
        });
        begun.then(|| parts.collect::<Vec<_>>().concat())
    }

    pub(crate) fn leave(&mut self) {
        self.say(&ClientMessage::Leave);
    }

    /// How many events it received.
    pub(crate) fn events(&self) -> usize {
        self.messages().filter(|one| matches!(one, ServerMessage::Event(_))).count()
    }

    /// Whether it received anything.
    pub(crate) fn got_something(&self) -> bool {
        self.messages().next().is_some()
    }
}
