//! Several versions of an app persist in one room, and disk and server fail at random.

use proptest::prelude::*;
use teatime_reflector::{Config, persisted_records};
use teatime_store::{Config as StoreConfig, Crash, MemoryDisk, MemoryStore};
use teatime_wire::{ClientMessage, Digest, ServerMessage, SessionId};

use crate::common::room::{Client, room, stored_room};
use crate::common::used;
use crate::common::world::SECOND;

/// What may happen to the versions of an app in a room.
#[derive(Debug, Clone)]
enum Act {
    /// A client persists data in one of three sessions.
    Persist(usize),
    /// Persisted data waits, or is written.
    Shut(bool),
    /// All clients leave, and the reflector drops all sessions from memory.
    Forget,
    PowerCut(u64),
    FailSync,
    FailWrite,
    Full(u64),
}

/// Two of the first version of the app, because one build was repaired, and one of the second.
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

/// The versions of an app in a room, and what the reflector acknowledged.
struct Versions {
    client: Client,
    inside: Option<usize>,
    /// How often a client has joined.
    visit: u32,
    /// What was persisted. Each number is higher than the one before.
    handed_in: Vec<HandedIn>,
    /// The highest number of each version that was acknowledged to the client that has handed it in. What is acknowledged
    /// later may come late, and then takes no place of what other sessions have persisted since.
    acknowledged: [u32; 3],
    /// The highest acknowledged number of each session.
    stored: [u32; SESSIONS.len()],
}

struct HandedIn {
    visit: u32,
    session: usize,
    vote: u64,
    number: u32,
}

impl Versions {
    /// All this happens, one act after the other, and a session could begin after each.
    fn after(acts: &[Act]) -> Self {
        let client = Client::new(&MemoryDisk::default());
        let (handed_in, acknowledged, stored) = (Vec::new(), [0; 3], [0; SESSIONS.len()]);
        let mut versions = Self { client, inside: None, visit: 0, handed_in, acknowledged, stored };
        for (at, act) in acts.iter().enumerate() {
            versions.happen(act);
            versions.check(at as u64);
        }
        versions
    }

    fn happen(&mut self, act: &Act) {
        match *act {
            Act::Persist(session) => self.persist(session),
            Act::Shut(shut) => {
                self.client.gate.set_shut(shut);
                self.client.pass(SECOND);
            }
            Act::Forget => {
                self.client.leave();
                self.inside = None;
                self.client.pass(Config::default().max_idle_time + SECOND);
            }
            Act::PowerCut(seed) => {
                let disk = self.client.world.disk.crash(Crash::Power, seed);
                disk.set_capacity(None);
                self.client = Client::new(&disk);
                self.inside = None;
            }
            Act::FailSync => self.client.world.disk.fail_next_sync(),
            Act::FailWrite => self.client.world.disk.fail_next_write(),
            Act::Full(room) => {
                let disk = &self.client.world.disk;
                disk.set_capacity(Some(used(disk) + room));
            }
        }
        self.hear();
    }

    fn persist(&mut self, session: usize) {
        if self.inside != Some(session) || self.client.is_closed() {
            self.client.leave();
            let (version, number) = SESSIONS[session];
            self.client.program = Some(Digest([number; 32]));
            self.client.join(version);
            self.inside = Some(session);
            self.visit += 1;
            // Until then, a participant from before may come back, and counts in the vote.
            self.client.pass(15 * SECOND);
        }
        let before = self.client.votes().len();
        self.client.say(&ClientMessage::Persist);
        for _ in 0..60 {
            if self.client.is_closed() {
                self.client.world.disk.set_capacity(None);
                return;
            }
            if let Some(vote) = self.client.votes().get(before).copied() {
                let number = self.handed_in.len() as u32 + 1;
                self.handed_in.push(HandedIn { visit: self.visit, session, vote, number });
                self.client.answer(&number.to_be_bytes());
                return;
            }
            self.client.say(&ClientMessage::Ping(1));
            self.client.pass(SECOND);
        }
    }

    fn hear(&mut self) {
        let Some(inside) = self.inside else { return };
        for message in self.client.messages() {
            let ServerMessage::Persisted(seq) = message else { continue };
            let mut newest = self.handed_in.iter().rev();
            let acknowledged = newest.find(|one| (one.session, one.vote) == (inside, seq));
            let Some(&HandedIn { visit, number, .. }) = acknowledged else { continue };
            self.stored[inside] = self.stored[inside].max(number);
            if visit == self.visit {
                let highest = &mut self.acknowledged[SESSIONS[inside].0 as usize];
                *highest = (*highest).max(number);
            }
        }
    }

    /// The number that the room on this disk has of a session, or 0.
    fn stored_of(&self, disk: &MemoryDisk, session: usize) -> u32 {
        let store = MemoryStore::open(disk.clone(), StoreConfig::default()).expect("it opens");
        let Some(stored) = store.load(stored_room()).expect("it is readable") else { return 0 };
        let (version, program) = SESSIONS[session];
        let id = SessionId::of(room().id, version, Digest([program; 32]));
        let mut records = persisted_records(&stored).expect("it is valid").into_iter();
        let Some(record) = records.find(|record| record.session == id) else { return 0 };
        let is_it = |one: &&HandedIn| Digest::of(&one.number.to_be_bytes()) == record.hash;
        self.handed_in.iter().find(is_it).expect("it was handed in").number
    }

    /// The room has everything that was acknowledged, and a session that begins now begins with nothing older.
    fn check(&self, seed: u64) {
        let disk = self.client.world.disk.crash(Crash::Power, seed);
        disk.set_capacity(None);
        for (session, acknowledged) in self.stored.into_iter().enumerate() {
            let stored = self.stored_of(&disk, session);
            assert!(stored >= acknowledged, "{stored} of {session}: {:?}", self.stored);
        }
        for version in [1, 2] {
            let mut found = Client::new(&disk);
            found.program = Some(Digest([200 + version as u8; 32]));
            found.join(version);
            let begun = found
                .begun_with()
                .map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("it is a number")));
            let by = self.handed_in.iter().find(|one| one.number == begun);
            let by = by.map_or(0, |one| SESSIONS[one.session].0);
            let newest = (0..=version).rev().find(|one| self.acknowledged[*one as usize] > 0);
            assert!(by >= newest.unwrap_or(0) && by <= version, "{begun} of {by} for {version}");
            assert!(begun >= self.acknowledged[by as usize], "{begun}: {:?}", self.acknowledged);
        }
    }
}

proptest! {
    /// Two versions of an app side by side, and everything that can happen to the disk and the server.
    #[test]
    fn no_session_begins_with_less_than_was_acknowledged(
        acts in prop::collection::vec(act(), 1..40),
    ) {
        Versions::after(&acts);
    }
}

/// Data waits, the power is cut, and other data of the version is acknowledged. Then the first data comes late, and what
/// would replace it cannot be stored.
#[test]
fn data_that_comes_late_is_not_newer_than_what_was_acknowledged_before() {
    use Act::*;
    let acts = [Shut(true), Persist(1), PowerCut(0), Persist(0), Forget, FailSync, Persist(1)];
    let versions = Versions::after(&acts);
    assert_eq!(versions.acknowledged, [0, 2, 0]);
    // The late data is stored, too.
    let disk = versions.client.world.disk.crash(Crash::Power, 0);
    let stored = [0, 1, 2].map(|session| versions.stored_of(&disk, session));
    assert_eq!(stored, [2, 1, 0]);
}
