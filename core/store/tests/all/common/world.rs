//! A reflector, its clients' connections and a shared store, driven in virtual time as the server drives
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use teatime_reflector::storage::{Completion, Key, Request, Storage, Ticket};
use teatime_reflector::{Config, ConnId, Greeter, Output, Reflector, SessionKey};
use teatime_store::{Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::{
    Chain, Challenge, ClientMessage, CloseReason, Digest, Holding, Join, SecretKey, ServerMessage,
    SessionId, Welcome,
};

use super::handle::Handle;
use super::small;

pub(crate) const SECOND: u64 = 1_000_000;

/// A reflector with its connections and its storage.
pub(crate) struct World {
    pub(crate) reflector: Reflector,
    storage: Box<dyn Storage>,
    /// The handle of another thread of the same server.
    pub(crate) other: Handle<MemoryDisk>,
    pub(crate) disk: MemoryDisk,
    pub(crate) now: u64,
    next: u64,
    greeter: Greeter,
    /// What a join on the newest connection must be signed for.
    challenge: Option<Challenge>,
    pub(crate) got: Vec<(ConnId, Vec<u8>)>,
    pub(crate) closed: Vec<(ConnId, CloseReason)>,
    pub(crate) members: Vec<(ConnId, SessionKey)>,
    /// What the store of blobs was told exactly.
    pub(crate) references: Vec<(Key, Holding)>,
}

/// Different for every reflector: no two sessions may have the same timeline.
fn new_seed() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed
}

impl World {
    pub(crate) fn new(
        disk: &MemoryDisk,
        config: Config,
        durability: Durability,
        segment_bytes: u64,
    ) -> Self {
        Self::over(disk, config, small(durability, segment_bytes), |shared| Box::new(shared))
    }

    pub(crate) fn over(
        disk: &MemoryDisk,
        config: Config,
        store_config: teatime_store::Config,
        storage: impl FnOnce(Shared<MemoryDisk>) -> Box<dyn Storage>,
    ) -> Self {
        let store = MemoryStore::open(disk.clone(), store_config).expect("it opens");
        let shared = Shared::new(store);
        let other = Handle::new(shared.clone());
        let storage = storage(shared);
        Self {
            reflector: Reflector::with_storage(config, new_seed(), 0, storage.opened()),
            storage,
            other,
            disk: disk.clone(),
            now: 0,
            next: 0,
            greeter: Greeter::new(new_seed()),
            challenge: None,
            got: Vec::new(),
            closed: Vec::new(),
            members: Vec::new(),
            references: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> ConnId {
        self.next += 1;
        let (challenge, _) = self.greeter.greet(None);
        self.challenge = Some(challenge);
        self.reflector.connected(self.now, ConnId(self.next), challenge);
        ConnId(self.next)
    }

    /// Joins over the newest connection, with the keys that the join names.
    pub(crate) fn join(&mut self, join: Join<'_>, view: &SecretKey, password: Option<&SecretKey>) {
        let challenge = self.challenge.expect("there is a connection");
        self.say(ConnId(self.next), &join.prove(&challenge, view, password));
    }

    pub(crate) fn say(&mut self, from: ConnId, message: &ClientMessage<'_>) {
        self.reflector.received(self.now, from, &message.encode());
        self.obey();
    }

    pub(crate) fn disconnect(&mut self, connection: ConnId) {
        self.members.retain(|(member, _)| *member != connection);
        self.reflector.disconnected(self.now, connection);
        self.obey();
    }

    pub(crate) fn pass(&mut self, span: u64) {
        let end = self.now + span;
        while let Some(at) = self.reflector.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.reflector.handle_timeout(self.now);
            self.obey();
        }
        self.now = end;
        self.obey();
    }

    /// Does what the reflector wants, until it wants nothing more.
    pub(crate) fn obey(&mut self) {
        loop {
            while let Some(output) = self.reflector.poll_output() {
                self.obey_one(output);
            }
            if self.reflector.needs_flush() {
                self.reflector.flush(self.now);
                continue;
            }
            self.storage.flush();
            let Some((ticket, answer)) = self.storage.completed() else { return };
            self.reflector.stored(self.now, ticket, answer);
        }
    }

    fn obey_one(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => self.got.push((connection, frame.to_vec())),
            Output::SendLog { connection, block } => {
                self.got.extend(block.frames_from(0).map(|frame| (connection, frame.to_vec())));
            }
            Output::Broadcast { session, frame } => {
                let inside = self.members.iter().filter(|(_, of)| *of == session);
                self.got.extend(inside.map(|(member, _)| (*member, frame.to_vec())));
            }
            // What participants show is not stored.
            Output::Presences { .. } => {}
            Output::Enter { connection, session } => self.members.push((connection, session)),
            Output::Close { connection, reason, .. } => {
                self.members.retain(|(member, _)| *member != connection);
                self.closed.push((connection, reason));
            }
            Output::References { holder, holding, .. } => {
                if matches!(holding, Holding::Exactly(_)) {
                    self.references.push((holder, holding));
                }
            }
            Output::Store { ticket, request } => self.storage.submit(ticket, request),
            Output::Release(key) => self.storage.release(key),
        }
    }

    pub(crate) fn messages(&self, of: ConnId) -> impl Iterator<Item = ServerMessage<'_>> {
        let frames = self.got.iter().filter(move |(connection, _)| *connection == of);
        frames.map(|(_, frame)| ServerMessage::decode(frame).expect("it is a message"))
    }

    /// The chain after everything that a connection has got that has the session from its beginning on.
    pub(crate) fn chain(&self, of: ConnId, session: SessionId) -> Digest {
        let frames = self.got.iter().filter(|(connection, _)| *connection == of);
        let ordered = frames.map(|(_, frame)| frame).filter(|frame| {
            let message = ServerMessage::decode(frame).expect("it is a message");
            use ServerMessage::{Event, Views, VoteRequest};
            matches!(message, Event(_) | Views(_) | VoteRequest(_))
        });
        let start = Chain::start(session, None);
        ordered.fold(start, |chain, frame| chain.next(frame)).value()
    }

    pub(crate) fn welcome(&self, of: ConnId) -> Welcome {
        let welcome = self.messages(of).find_map(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        welcome.expect("it was let in")
    }

    /// The counters of the events that a connection received.
    pub(crate) fn counters(&self, of: ConnId) -> Vec<u64> {
        let counter = |message| match message {
            ServerMessage::Event(event) => Some(event.counter),
            _ => None,
        };
        self.messages(of).filter_map(counter).collect()
    }

    pub(crate) fn has_closed(&self, connection: ConnId) -> bool {
        self.closed.iter().any(|(closed, _)| *closed == connection)
    }
}

/// What happens to persisted data on its way to the disk.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    is_shut: Arc<AtomicBool>,
    fails_next: Arc<AtomicBool>,
}

impl Gate {
    /// While it is shut, persisted data waits.
    pub(crate) fn set_shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::Relaxed);
    }

    /// The disk fails when it syncs the next persisted data.
    pub(crate) fn fail_next(&self) {
        self.fails_next.store(true, Ordering::Relaxed);
    }
}

/// A storage with a gate for persisted data.
pub(crate) struct Slow {
    storage: Shared<MemoryDisk>,
    disk: MemoryDisk,
    gate: Gate,
    waiting: Vec<(Ticket, Request)>,
}

impl Slow {
    pub(crate) fn new(storage: Shared<MemoryDisk>, disk: &MemoryDisk, gate: Gate) -> Self {
        Self { storage, disk: disk.clone(), gate, waiting: Vec::new() }
    }
}

impl Storage for Slow {
    fn set_waker(&mut self, waker: Waker) {
        self.storage.set_waker(waker);
    }

    fn submit(&mut self, ticket: Ticket, request: Request) {
        if matches!(request, Request::Persist { .. }) {
            self.waiting.push((ticket, request));
            assert_eq!(self.waiting.len(), 1, "one after the other");
        } else {
            self.storage.submit(ticket, request);
        }
    }

    fn flush(&mut self) {
        self.storage.flush();
        if !self.gate.is_shut.load(Ordering::Relaxed) {
            for (ticket, request) in self.waiting.drain(..) {
                if self.gate.fails_next.swap(false, Ordering::Relaxed) {
                    self.disk.fail_next_sync();
                }
                self.storage.submit(ticket, request);
            }
        }
        self.storage.flush();
    }

    fn completed(&mut self) -> Option<Completion> {
        self.storage.completed()
    }

    fn release(&mut self, key: Key) {
        self.storage.release(key);
    }
}
