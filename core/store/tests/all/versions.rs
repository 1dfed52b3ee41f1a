//! Several versions of an app persist in one room, and disk and server fail at random.

use proptest::prelude::*;
use teatime_reflector::Config;
use teatime_store::{Crash, MemoryDisk};
use teatime_wire::{ClientMessage, Digest, ServerMessage};

use crate::common::room::Client;
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
    /// Session, vote, and the number that was persisted. Each number is higher than the one before.
    handed_in: Vec<(usize, u64, u32)>,
    /// The highest acknowledged number of each version.
    acknowledged: [u32; 3],
}

impl Versions {
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
            if let Some(seq) = self.client.votes().get(before).copied() {
                let number = self.handed_in.len() as u32 + 1;
                self.handed_in.push((session, seq, number));
                self.client.answer(&number.to_be_bytes());
                return;
            }
            self.client.say(&ClientMessage::Ping(1));
            self.client.pass(SECOND);
        }
    }

    fn hear(&mut self) {
        let Some(inside) = self.inside else { return };
        let newest = self.handed_in.iter().rev();
        for message in self.client.messages() {
            let ServerMessage::Persisted(seq) = message else { continue };
            let number = newest.clone().find(|one| (one.0, one.1) == (inside, seq));
            let acknowledged = &mut self.acknowledged[SESSIONS[inside].0 as usize];
            *acknowledged = (*acknowledged).max(number.map_or(0, |one| one.2));
        }
    }

    /// A session that begins now begins with nothing older than what was acknowledged.
    fn check(&self, seed: u64) {
        let disk = self.client.world.disk.crash(Crash::Power, seed);
        disk.set_capacity(None);
        for version in [1, 2] {
            let mut found = Client::new(&disk);
            found.program = Some(Digest([200 + version as u8; 32]));
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

    /// Two versions of an app side by side, and everything that can happen to the disk and the server.
    #[test]
    fn no_session_begins_with_less_than_was_acknowledged(
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let client = Client::new(&MemoryDisk::default());
        let (handed_in, acknowledged) = (Vec::new(), [0; 3]);
        let mut versions = Versions { client, inside: None, handed_in, acknowledged };
        for (at, act) in acts.iter().enumerate() {
            versions.happen(act);
            versions.check(at as u64);
        }
    }
}
