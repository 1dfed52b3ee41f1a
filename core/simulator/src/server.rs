//! The reflector with its disk, driven as the server drives it: what it wants sent gathers until a flush,
//! and a flush sends nothing that is not stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use teatime_reflector::{
    Claims, ConnId, Output, RecordKind, Reflector, SessionKey, Storage, StorageError, Stored,
};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::{ClientMessage, CloseReason, Digest, SessionId};

use super::plan::{Keeps, Plan};
use super::planted::Bug;

const SECOND: u64 = 1_000_000;

/// What goes out on a connection.
pub(super) enum Down {
    Frame(Bytes),
    Close(CloseReason),
}

impl Down {
    /// In bytes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Close(_) => 0,
        }
    }
}

pub(super) struct Server {
    pub(super) reflector: Reflector,
    keeps: Keeps,
    store: Option<Shared<MemoryDisk>>,
    pub(super) disk: MemoryDisk,
    config: teatime_reflector::Config,
    bug: Option<Bug>,
    connections: BTreeMap<ConnId, Connection>,
    members: BTreeMap<SessionKey, Members>,
    dirty_connections: Vec<ConnId>,
    dirty_members: Vec<SessionKey>,
    out: Vec<(ConnId, Down)>,
    /// World time minus this is the time of its own clock, which starts anew with each process.
    started: i64,
    commits: u64,
    pub(super) taken_back: u64,
}

#[derive(Default)]
struct Connection {
    member_of: Option<SessionKey>,
    pending: Vec<Bytes>,
    close: Option<CloseReason>,
}

#[derive(Default)]
struct Members {
    connections: Vec<ConnId>,
    pending: Vec<Bytes>,
}

/// How a reflector's process comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Process,
    Power,
}

impl Server {
    pub(super) fn new(plan: &Plan, bug: Option<Bug>, seed: [u8; 32]) -> Result<Self, String> {
        let mut config = teatime_reflector::Config {
            rejoin_limit: if plan.patient { 25 * SECOND } else { 2 * SECOND },
            snapshot_after_events: 40,
            vote_timeout: SECOND,
            vote_retry: SECOND,
            upload_timeout: 2 * SECOND,
            silence_timeout: 15 * SECOND,
            ..teatime_reflector::Config::default()
        };
        if plan.forgetful {
            config.max_idle_sessions = 0;
        }
        if plan.tight {
            // Reached before a vote is through, when the line is bad.
            (config.log_limit_bytes, config.log_reserve_bytes) = (12 * 1024, 1024 * 1024);
        }
        if bug == Some(Bug::NeverSnapshots) {
            config.snapshot_after_events = u64::MAX;
            config.snapshot_after_bytes = u64::MAX;
            config.log_limit_bytes = u64::MAX / 2;
        }
        let mut server = Self {
            reflector: Reflector::new(config.clone(), seed),
            keeps: plan.storage,
            store: None,
            disk: MemoryDisk::default(),
            config,
            bug,
            connections: BTreeMap::new(),
            members: BTreeMap::new(),
            dirty_connections: Vec::new(),
            dirty_members: Vec::new(),
            out: Vec::new(),
            started: 0,
            commits: 0,
            taken_back: 0,
        };
        server.open(seed)?;
        Ok(server)
    }

    fn open(&mut self, seed: [u8; 32]) -> Result<(), String> {
        let durability = match self.keeps {
            Keeps::Nowhere => return Ok(()),
            Keeps::Process => Durability::Process,
            Keeps::Power => Durability::Power,
        };
        // Small segments, so that old ones go in every run.
        let config = teatime_store::Config {
            durability,
            segment_bytes: 64 * 1024,
            ..teatime_store::Config::default()
        };
        let store = MemoryStore::open(self.disk.clone(), config)
            .map_err(|error| format!("the store is refused: {error}"))?;
        let store = Shared::new(store);
        self.store = Some(store.clone());
        let storage: Box<dyn Storage> = match self.bug {
            Some(Bug::ForgetsTime) => Box::new(Timeless(store)),
            _ => Box::new(store),
        };
        self.reflector = Reflector::with_storage(self.config.clone(), seed, storage);
        Ok(())
    }

    /// The process ends; everything that was not sent is gone, and maybe what was not stored. Another one
    /// goes on with what is found.
    pub(super) fn restart(
        &mut self,
        now: u64,
        end: End,
        dice: u64,
        seed: [u8; 32],
    ) -> Result<(), String> {
        self.store = None;
        let bare = Reflector::new(self.config.clone(), seed);
        drop(std::mem::replace(&mut self.reflector, bare));
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
        self.out.clear();
        self.started = i64::try_from(now).unwrap_or(i64::MAX);
        let opened = self.open(seed);
        if opened.is_err() && end == End::Power && self.keeps == Keeps::Process {
            // As the operator has chosen: a log with holes is refused, and somebody begins a new store.
            self.disk = MemoryDisk::default();
            return self.open(seed);
        }
        opened
    }

    fn now(&self, world: u64) -> u64 {
        u64::try_from(i64::try_from(world).unwrap_or(i64::MAX) - self.started).unwrap_or(0)
    }

    pub(super) fn jump(&mut self, by: u64) {
        self.started -= i64::try_from(by).unwrap_or(0);
    }

    /// When the state machine wants to be woken, in world time.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        let at = i64::try_from(self.reflector.next_timeout()?).unwrap_or(i64::MAX);
        Some(u64::try_from(at.saturating_add(self.started)).unwrap_or(0))
    }

    pub(super) fn connected(&mut self, world: u64, id: ConnId) {
        let now = self.now(world);
        self.connections.insert(id, Connection::default());
        self.reflector.connected(now, id);
        self.obey();
    }

    pub(super) fn received(&mut self, world: u64, id: ConnId, frame: &[u8]) {
        let now = self.now(world);
        // What is persisted would lead to a snapshot.
        let is_deaf = self.bug == Some(Bug::NeverSnapshots)
            && matches!(ClientMessage::decode(frame), Ok(ClientMessage::Persist));
        if !is_deaf && self.connections.get(&id).is_some_and(|one| one.close.is_none()) {
            self.reflector.received(now, id, frame);
            self.obey();
        }
    }

    pub(super) fn disconnected(&mut self, world: u64, id: ConnId) {
        let now = self.now(world);
        self.leave(id);
        if self.connections.remove(&id).is_some_and(|connection| connection.close.is_none()) {
            self.reflector.disconnected(now, id);
        }
        self.obey();
    }

    pub(super) fn handle_timeout(&mut self, world: u64) {
        let now = self.now(world);
        self.reflector.handle_timeout(now);
        self.obey();
    }

    /// Tells everybody to come back.
    pub(super) fn shutdown(&mut self, world: u64) {
        let now = self.now(world);
        self.reflector.shutdown(now);
        self.obey();
    }

    /// Whoever does not read goes.
    pub(super) fn drop_slow(&mut self, world: u64, id: ConnId) {
        let now = self.now(world);
        self.reflector.disconnected(now, id);
        self.close(id, CloseReason::TooSlow);
        self.obey();
    }

    /// Whether something waits to be flushed.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty_connections.is_empty() || !self.dirty_members.is_empty()
    }

    /// Sends what has gathered, and only what is stored.
    pub(super) fn flush(&mut self) -> Vec<(ConnId, Down)> {
        if !self.commit() {
            // Those who have just been closed are no members any more.
            for id in self.dirty_connections.clone() {
                if self.connections.get(&id).is_some_and(|connection| connection.close.is_some()) {
                    self.drop_pending(id);
                }
            }
            self.obey();
        }
        for id in std::mem::take(&mut self.dirty_connections) {
            self.flush_connection(id);
        }
        for session in std::mem::take(&mut self.dirty_members) {
            self.flush_session(session);
        }
        self.obey();
        std::mem::take(&mut self.out)
    }

    fn commit(&mut self) -> bool {
        self.commits += 1;
        if self.bug == Some(Bug::SendsBeforeStoring) && !self.commits.is_multiple_of(100) {
            return true;
        }
        let committed = self.reflector.commit();
        self.taken_back += u64::from(!committed);
        committed
    }

    fn obey(&mut self) {
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    if let Some(one) = self.connections.get_mut(&connection) {
                        one.pending.push(frame);
                        self.dirty_connections.push(connection);
                    }
                }
                Output::Broadcast { session, frame } => {
                    self.members.entry(session).or_default().pending.push(frame);
                    self.dirty_members.push(session);
                }
                Output::References { .. } => {}
                Output::Retract { session } => self.retract(session),
                Output::Enter { connection, session } => {
                    self.flush_session(session);
                    if let Some(one) = self.connections.get_mut(&connection) {
                        one.member_of = Some(session);
                        self.members.entry(session).or_default().connections.push(connection);
                    }
                }
                Output::Close { connection, reason, .. } => {
                    let member_of = self.connections.get(&connection).and_then(|one| one.member_of);
                    if member_of.is_some_and(|session| !self.flush_session(session)) {
                        self.drop_pending(connection);
                    }
                    self.close(connection, reason);
                }
            }
        }
    }

    fn retract(&mut self, key: SessionKey) {
        let Some(members) = self.members.get_mut(&key) else { return };
        members.pending.clear();
        for id in &members.connections {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.pending.clear();
            }
        }
    }

    fn drop_pending(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pending.clear();
        }
    }

    fn flush_session(&mut self, key: SessionKey) -> bool {
        if !self.commit() && !self.reflector.has_session(key) {
            return false;
        }
        let Some(members) = self.members.get_mut(&key) else { return true };
        if members.pending.is_empty() {
            return true;
        }
        let frames = std::mem::take(&mut members.pending);
        for id in members.connections.clone() {
            // What is for it alone comes first: the welcome, above all.
            self.flush_connection(id);
            self.out.extend(frames.iter().map(|frame| (id, Down::Frame(frame.clone()))));
        }
        true
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

/// A storage that keeps the time of a session for itself.
struct Timeless(Shared<MemoryDisk>);

impl Storage for Timeless {
    fn begin(&mut self, session: SessionId, head: &[u8]) {
        self.0.begin(session, head);
    }

    fn append(&mut self, session: SessionId, seq: u64, kind: RecordKind, bytes: &[u8]) {
        if kind != RecordKind::Time {
            self.0.append(session, seq, kind, bytes);
        }
    }

    fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]) {
        self.0.checkpoint(session, seq, bytes);
    }

    fn keep(&mut self, room: SessionId, head: &[u8], seq: u64, bytes: Vec<u8>) {
        self.0.keep(room, head, seq, bytes);
    }

    fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)> {
        self.0.kept()
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        self.0.commit()
    }

    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        self.0.load(session)
    }

    fn claims(&self, name: Digest, id: Digest) -> Claims {
        self.0.claims(name, id)
    }

    fn release(&mut self, session: SessionId) {
        self.0.release(session);
    }

    fn era(&self) -> u64 {
        self.0.era()
    }
}
