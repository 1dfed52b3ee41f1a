//! A reflector and its clients in virtual time, without sockets.

use teatime::{App, Cx, StateHash, handlers, model};
use teatime_reflector::storage::Storage as _;
use teatime_reflector::{Config as ReflectorConfig, ConnId, Greeter, Output, Reflector};
use teatime_session::{Action, Client, Config, Handling, Input, SessionEvent, Stepped};
use teatime_store::{MemoryDisk, Shared};
use teatime_wire::ClientMessage;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// Adds up numbers.
#[model(id = "sum", version = 1)]
pub(crate) struct Sum {
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

/// Why a client supplies no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vice {
    /// It votes, but supplies nothing.
    Stingy,
    /// It does not vote.
    Mute,
    /// It votes for a wrong hash.
    Liar,
}

pub(crate) struct Peer {
    pub(crate) client: Client,
    connection: Option<ConnId>,
    pub(crate) vice: Option<Vice>,
    pub(crate) verdicts: Vec<(u32, u32)>,
    pub(crate) held: bool,
    /// How often it had to reconnect.
    pub(crate) cuts: u32,
}

/// A reflector and its clients, connected without delay.
pub(crate) struct World {
    pub(crate) reflector: Reflector,
    greeter: Greeter,
    storage: Option<Shared<MemoryDisk>>,
    pub(crate) peers: Vec<Peer>,
    members: Vec<(ConnId, usize)>,
    next: u64,
    pub(crate) now: u64,
    /// Makes its clients different from those of other worlds.
    number: u8,
}

impl World {
    pub(crate) fn new(reflector: Reflector, clients: usize) -> Self {
        Self::with_storage(0, reflector, None, clients)
    }

    /// A world whose reflector continues the stored session.
    pub(crate) fn stored(
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
        let (peers, members, greeter) = (Vec::new(), Vec::new(), Greeter::new([number; 32]));
        let (next, now) = (0, SECOND);
        let mut world = Self { reflector, greeter, storage, peers, members, next, now, number };
        for _ in 0..clients {
            world.join();
        }
        world
    }

    /// Adds a client, and waits until it has caught up.
    pub(crate) fn join(&mut self) -> usize {
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
                    let (challenge, hello) = self.greeter.greet(None);
                    self.reflector.connected(self.now, connection, challenge);
                    let client = &mut self.peers[at].client;
                    client.handle(self.now, Input::Connected(None));
                    client.handle(self.now, Input::Frame(hello));
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
                Output::SendLog { connection, block } => {
                    let to = self.members.iter().find(|(member, _)| *member == connection);
                    if let Some((_, at)) = to {
                        for frame in block.frames_from(0) {
                            self.peers[*at].client.handle(self.now, Input::Frame(frame.to_vec()));
                        }
                    }
                }
                Output::Broadcast { frame, .. } => {
                    for (_, at) in &self.members {
                        self.peers[*at].client.handle(self.now, Input::Frame(frame.to_vec()));
                    }
                }
                // These participants show nothing of themselves.
                Output::Presences { .. } | Output::Enter { .. } | Output::References { .. } => {}
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

    /// Runs all until nothing is left to do.
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

    pub(crate) fn pass(&mut self, span: u64) {
        self.now += span;
        self.reflector.handle_timeout(self.now);
        self.settle();
    }

    /// Publishes `each` events from each client.
    pub(crate) fn publish(&mut self, each: u64, number: u64) {
        for peer in &mut self.peers {
            for n in 0..each {
                peer.client.publish(self.now, "sum", "add", &(number + n)).expect("there is room");
            }
        }
    }

    pub(crate) fn hashes(&self) -> Vec<(u64, StateHash)> {
        let state = |peer: &Peer| {
            let vm = peer.client.vm().expect("it has joined");
            (vm.seq(), vm.hash().expect("it can be saved"))
        };
        self.peers.iter().map(state).collect()
    }

    pub(crate) fn assert_equal(&mut self) {
        // Until a tick has brought all to the same time.
        self.pass(2 * SECOND);
        let hashes = self.hashes();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    }

    pub(crate) fn sum(&self) -> (u64, u64) {
        let sum = self.peers[0].client.vm().and_then(|vm| vm.root::<Sum>()).expect("it runs");
        (sum.count, sum.sum)
    }
}
