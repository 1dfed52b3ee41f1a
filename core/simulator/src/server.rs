//! The reflector with its storage, driven as the server drives it: what it wants stored and sent gathers until the turn ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use teatime_reflector::{AddressId, ConnId, Greeter, Output, Reflector, SessionKey};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::{Challenge, ClientMessage, CloseReason};

use crate::plan::{Plan, PlannedStorage};
use crate::planted::Bug;
use crate::storage::{Mood, SlowStorage};

const SECOND: u64 = 1_000_000;

/// Most bytes of logs and snapshots that one address may cause.
pub(crate) const MOST_BY_ADDRESS: u64 = 512 * 1024;

/// After this time in µs without a unanimous vote, a snapshot is taken although a client contradicts.
pub(crate) const DISPUTE_LIMIT: u64 = 30 * SECOND;

/// What the reflector sends on a connection.
pub(crate) enum Down {
    Frame(Bytes),
    Close(CloseReason),
}

impl Down {
    /// Its bytes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Close(_) => 0,
        }
    }
}

pub(crate) struct Server {
    reflector: Reflector,
    greeter: Greeter,
    planned: PlannedStorage,
    storage: Option<SlowStorage>,
    disk: MemoryDisk,
    config: teatime_reflector::Config,
    bug: Option<Bug>,
    connections: BTreeMap<ConnId, Connection>,
    members: BTreeMap<SessionKey, Members>,
    dirty_connections: Vec<ConnId>,
    dirty_members: Vec<SessionKey>,
    /// Those that may lack some of what participants show of themselves.
    uninformed: BTreeSet<ConnId>,
    /// How often it has sent what participants show.
    informed: u64,
    out: Vec<(ConnId, Down)>,
    /// World time minus this is the time of its own clock, which starts at zero with each process.
    started: i64,
    /// How many requests have failed.
    taken_back: u64,
    /// The first hello, if it is said on all connections.
    hello: Option<(Challenge, Vec<u8>)>,
}

#[derive(Default)]
struct Connection {
    member_of: Option<SessionKey>,
    /// How much it has of what participants show of themselves.
    presence_version: u64,
    pending: Vec<Bytes>,
    close: Option<CloseReason>,
}

#[derive(Default)]
struct Members {
    connections: Vec<ConnId>,
    pending: Vec<Bytes>,
}

/// How a reflector's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Process,
    Power,
}

impl Server {
    pub(crate) fn new(plan: &Plan, bug: Option<Bug>, seed: [u8; 32]) -> Result<Self, String> {
        let mut config = teatime_reflector::Config {
            rejoin_limit: if plan.patient { 25 * SECOND } else { 2 * SECOND },
            snapshot_after_events: 40,
            vote_timeout: SECOND,
            vote_retry: SECOND,
            dispute_limit: DISPUTE_LIMIT,
            max_session_bytes_per_address: MOST_BY_ADDRESS,
            upload_timeout: 2 * SECOND,
            silence_timeout: 15 * SECOND,
            // Shorter than most silences of a storage.
            storage_timeout: 3 * SECOND,
            join_timeout: 3 * SECOND,
            ..teatime_reflector::Config::default()
        };
        if plan.forgetful {
            config.max_idle_sessions = 0;
        }
        if plan.tight {
            // On a bad line the log reaches this before a vote is complete.
            (config.log_limit_bytes, config.log_reserve_bytes) = (12 * 1024, 1024 * 1024);
        }
        if bug == Some(Bug::NeverSnapshots) {
            config.snapshot_after_events = u64::MAX;
            config.snapshot_after_bytes = u64::MAX;
            config.log_limit_bytes = u64::MAX / 2;
        }
        let mut server = Self {
            reflector: Reflector::new(config.clone(), seed),
            greeter: Greeter::new(seed),
            planned: plan.storage,
            storage: None,
            disk: MemoryDisk::default(),
            config,
            bug,
            connections: BTreeMap::new(),
            members: BTreeMap::new(),
            dirty_connections: Vec::new(),
            dirty_members: Vec::new(),
            uninformed: BTreeSet::new(),
            informed: 0,
            out: Vec::new(),
            started: 0,
            taken_back: 0,
            hello: None,
        };
        server.open(seed)?;
        Ok(server)
    }

    fn open(&mut self, seed: [u8; 32]) -> Result<(), String> {
        let durability = match self.planned {
            PlannedStorage::Nowhere => return Ok(()),
            PlannedStorage::Process => Durability::Process,
            PlannedStorage::Power => Durability::Power,
        };
        // Small segments, so that the store deletes old ones in every run.
        let config = teatime_store::Config {
            durability,
            segment_bytes: 64 * 1024,
            ..teatime_store::Config::default()
        };
        let store = MemoryStore::open(self.disk.clone(), config)
            .map_err(|error| format!("the store is refused: {error}"))?;
        let storage = SlowStorage::new(Shared::new(store), self.bug);
        let opened = storage.opened();
        // The clock of a process begins with it.
        self.reflector = Reflector::with_storage(self.config.clone(), seed, 0, opened);
        self.storage = Some(storage);
        Ok(())
    }

    /// The process ends. It loses all frames that it has not sent, and perhaps requests that it has not stored. Another
    /// process continues with the rest.
    pub(crate) fn restart(
        &mut self,
        now: u64,
        end: End,
        dice: u64,
        seed: [u8; 32],
    ) -> Result<(), String> {
        self.storage = None;
        self.reflector = Reflector::new(self.config.clone(), seed);
        self.greeter = Greeter::new(seed);
        let crash = match end {
            End::Process => Crash::Process,
            End::Power => Crash::Power,
        };
        self.disk = self.disk.crash(crash, dice);
        if self.bug == Some(Bug::Rots)
            && let Some((name, data)) =
                self.disk.files().iter().find(|(name, _)| name.ends_with("seg"))
        {
            self.disk.rot(name, data.len() / 2);
        }
        self.connections.clear();
        self.members.clear();
        self.dirty_connections.clear();
        self.dirty_members.clear();
        self.uninformed.clear();
        self.out.clear();
        self.started = i64::try_from(now).unwrap_or(i64::MAX);
        let opened = self.open(seed);
        if opened.is_err() && end == End::Power && self.planned == PlannedStorage::Process {
            // The operator has chosen this: the store refuses a log with holes, and the operator begins a new store.
            self.disk = MemoryDisk::default();
            return self.open(seed);
        }
        opened
    }

    pub(crate) fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// Bytes of all logs and snapshots in the reflector's memory.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.reflector.stats().log_bytes
    }

    /// How many requests to the storage have failed.
    pub(crate) fn taken_back(&self) -> u64 {
        self.taken_back
    }

    fn now(&self, world: u64) -> u64 {
        u64::try_from(i64::try_from(world).unwrap_or(i64::MAX) - self.started).unwrap_or(0)
    }

    pub(crate) fn jump(&mut self, by: u64) {
        self.started -= i64::try_from(by).unwrap_or(0);
    }

    /// When the next timeout of the state machine or its storage is due, in world time. Requests that are already due
    /// wait for the end of the turn.
    pub(crate) fn next_timeout(&self, world: u64) -> Option<u64> {
        let due = self.storage.as_ref().and_then(SlowStorage::next_due);
        let storage = due.filter(|due| *due > self.now(world));
        let at = self.reflector.next_timeout().into_iter().chain(storage).min()?;
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Some(u64::try_from(at.saturating_add(self.started)).unwrap_or(0))
    }

    /// A connection has been made. What one with an address causes is limited.
    pub(crate) fn connected(&mut self, world: u64, id: ConnId, address: Option<AddressId>) {
        let now = self.now(world);
        let (mut challenge, mut hello) = self.greeter.greet(None);
        if self.bug == Some(Bug::RepeatsNonce) {
            (challenge, hello) = self.hello.get_or_insert((challenge, hello)).clone();
        }
        let pending = vec![hello.into()];
        self.connections.insert(id, Connection { pending, ..Connection::default() });
        self.dirty_connections.push(id);
        self.reflector.connected(now, id, challenge);
        if let Some(address) = address {
            self.reflector.comes_from(id, address);
        }
        self.obey(now);
    }

    pub(crate) fn received(&mut self, world: u64, id: ConnId, frame: &[u8]) {
        let now = self.now(world);
        // Persisted data would lead to a snapshot.
        let is_deaf = match self.bug {
            Some(Bug::NeverSnapshots) => {
                matches!(ClientMessage::decode(frame), Ok(ClientMessage::Persist))
            }
            Some(Bug::DeafToContradiction) => {
                matches!(ClientMessage::decode(frame), Ok(ClientMessage::Confirm(_)))
            }
            _ => false,
        };
        if !is_deaf && self.connections.get(&id).is_some_and(|one| one.close.is_none()) {
            self.reflector.received(now, id, frame);
            self.obey(now);
        }
    }

    /// Whether a connection stands, and the reflector has not closed it.
    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.connections.get(&id).is_some_and(|one| one.close.is_none())
    }

    pub(crate) fn disconnected(&mut self, world: u64, id: ConnId) {
        let now = self.now(world);
        self.leave(id);
        if self.connections.remove(&id).is_some_and(|connection| connection.close.is_none()) {
            self.reflector.disconnected(now, id);
        }
        self.obey(now);
    }

    pub(crate) fn handle_timeout(&mut self, world: u64) {
        let now = self.now(world);
        self.reflector.handle_timeout(now);
        self.obey(now);
    }

    /// Stops in good order: tells all clients to connect again.
    pub(crate) fn shutdown(&mut self, world: u64) {
        let now = self.now(world);
        self.reflector.shutdown(now);
        self.obey(now);
    }

    /// Drops a client that does not read.
    pub(crate) fn drop_slow(&mut self, world: u64, id: ConnId) {
        let now = self.now(world);
        self.reflector.disconnected(now, id);
        self.close(id, CloseReason::TooSlow);
        self.obey(now);
    }

    /// Puts the storage in a mood until then, in world time. Returns false without a storage.
    pub(crate) fn set_mood(&mut self, mood: Mood, world: u64, until: u64, dice: u64) -> bool {
        let (now, until) = (self.now(world), self.now(until));
        let storage = self.storage.as_mut().filter(|_| until > now);
        storage.map(|storage| storage.set_mood(mood, until, dice)).is_some()
    }

    /// Whether something waits for the end of the turn.
    pub(crate) fn is_dirty(&self, world: u64) -> bool {
        let due = self.storage.as_ref().and_then(SlowStorage::next_due);
        !self.dirty_connections.is_empty()
            || !self.dirty_members.is_empty()
            || !self.uninformed.is_empty()
            || self.reflector.needs_flush()
            || due.is_some_and(|due| due <= self.now(world))
    }

    /// Ends a turn: hands the storage what has gathered, takes its answers, and sends what may be sent.
    pub(crate) fn flush(&mut self, world: u64) -> Vec<(ConnId, Down)> {
        let now = self.now(world);
        loop {
            self.reflector.flush(now);
            self.obey(now);
            let answers = self.storage.as_mut().map_or_else(Vec::new, |storage| storage.run(now));
            if answers.is_empty() {
                break;
            }
            for (ticket, answer) in answers {
                self.taken_back += u64::from(answer.is_err());
                self.reflector.stored(now, ticket, answer);
            }
            self.obey(now);
        }
        for id in std::mem::take(&mut self.dirty_connections) {
            self.flush_connection(id);
        }
        for session in std::mem::take(&mut self.dirty_members) {
            self.flush_session(session);
        }
        for id in std::mem::take(&mut self.uninformed) {
            self.inform(id);
        }
        std::mem::take(&mut self.out)
    }

    /// Participants of a session show something new of themselves.
    fn mark_uninformed(&mut self, session: SessionKey) {
        if let Some(members) = self.members.get(&session) {
            self.uninformed.extend(&members.connections);
        }
    }

    fn inform(&mut self, id: ConnId) {
        let Some(one) = self.connections.get_mut(&id).filter(|one| one.close.is_none()) else {
            return;
        };
        let Some(session) = one.member_of else { return };
        while let Some((frame, version)) = self.reflector.presences(session, one.presence_version) {
            one.presence_version = version;
            self.informed += 1;
            if self.bug == Some(Bug::LosesPresence) && self.informed.is_multiple_of(20) {
                continue;
            }
            self.out.push((id, Down::Frame(frame)));
        }
    }

    fn obey(&mut self, now: u64) {
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    if let Some(one) = self.connections.get_mut(&connection) {
                        one.pending.push(frame);
                        self.dirty_connections.push(connection);
                    }
                }
                Output::SendLog { connection, block } => {
                    if let Some(one) = self.connections.get_mut(&connection) {
                        one.pending.extend(block.frames_from(0).cloned());
                        self.dirty_connections.push(connection);
                    }
                }
                Output::Broadcast { session, frame } => {
                    self.members.entry(session).or_default().pending.push(frame);
                    self.dirty_members.push(session);
                }
                Output::References { .. } => {}
                Output::Presences { session } => self.mark_uninformed(session),
                Output::Enter { connection, session } => {
                    self.flush_session(session);
                    if let Some(one) = self.connections.get_mut(&connection) {
                        one.member_of = Some(session);
                        self.members.entry(session).or_default().connections.push(connection);
                        self.uninformed.insert(connection);
                    }
                }
                Output::Close { connection, reason, .. } => {
                    let member_of = self.connections.get(&connection).and_then(|one| one.member_of);
                    if let Some(session) = member_of {
                        self.flush_session(session);
                    }
                    self.close(connection, reason);
                }
                Output::Store { ticket, request } => {
                    if let Some(storage) = &mut self.storage {
                        storage.submit(now, ticket, request);
                    }
                }
                Output::Release(key) => {
                    if let Some(storage) = &mut self.storage {
                        storage.release(now, key);
                    }
                }
            }
        }
    }

    fn flush_session(&mut self, key: SessionKey) {
        let Some(members) = self.members.get_mut(&key) else { return };
        if members.pending.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut members.pending);
        for id in members.connections.clone() {
            // What is for it alone comes first: the welcome, above all.
            self.flush_connection(id);
            self.out.extend(frames.iter().map(|frame| (id, Down::Frame(frame.clone()))));
        }
    }

    fn flush_connection(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let frames = std::mem::take(&mut connection.pending);
        self.out.extend(frames.into_iter().map(|frame| (id, Down::Frame(frame))));
        if let Some(reason) = connection.close {
            self.connections.remove(&id);
            self.out.push((id, Down::Close(reason)));
        }
    }

    fn close(&mut self, id: ConnId, reason: CloseReason) {
        self.leave(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.close.get_or_insert(reason);
            self.dirty_connections.push(id);
        }
    }

    fn leave(&mut self, id: ConnId) {
        let Some(key) = self.connections.get_mut(&id).and_then(|one| one.member_of.take()) else {
            return;
        };
        if let Some(members) = self.members.get_mut(&key) {
            members.connections.retain(|member| *member != id);
            if members.connections.is_empty() {
                self.members.remove(&key);
            }
        }
    }
}
