//! Plays a reflector and its clients in virtual time from a seed.
//!
//! The real state machines of both sides run; only sockets and clocks are replaced. Connections
//! deliver in order, as TCP does, with random and sometimes long delays; they are cut with
//! everything that is under way, clients freeze, crash and join late, and a client's sends arrive
//! twice; the reflector crashes and comes back with what it has stored, and its disk is full for a
//! while. After a time of faults comes a time without, in which everybody must converge.
//!
//! Checked all the time: equal state hashes at equal positions, no fault in any model (an unpaired
//! join or exit is one), and whatever the model itself notices ([`Ledger`]).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime::StateHash;
use teatime_reflector::{ConnId, Output, Reflector, SessionKey};
use teatime_session::{
    Action, Client, Config, ConnectionState, DisconnectReason, Input, Receipt, SessionEvent,
    Stepped,
};
use teatime_wire::{ClientMessage, CloseReason};

use crate::ledger::{self, Entry, Ledger};
use crate::storage::MemoryStorage;

const SECOND: u64 = 1_000_000;

/// How a run is set.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// How long faults happen, in virtual seconds.
    pub fault_seconds: u64,
    /// In how many virtual seconds after that all must have converged.
    pub converge_seconds: u64,
    /// Most clients at once.
    pub clients: usize,
    /// Whether the model has its planted bug.
    pub buggy: bool,
}

impl Plan {
    /// A run of a minute with five clients.
    pub fn new(seed: u64) -> Self {
        Self { seed, fault_seconds: 60, converge_seconds: 60, clients: 5, buggy: false }
    }
}

/// What a run was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Digest of everything that happened: equal for equal plans.
    pub trace: [u8; 32],
    /// Virtual time in µs.
    pub simulated_us: u64,
    /// Positions at which at least two clients were compared.
    pub compared: u64,
    /// Votes that ended with everybody agreeing.
    pub unanimous: u64,
    /// Events that the model counted.
    pub entries: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Clients that crashed.
    pub crashes: u64,
    /// How often the reflector crashed and came back.
    pub restarts: u64,
    /// How often its storage had no room for a while.
    pub full_disks: u64,
    /// Hashes that clients sent in votes.
    pub votes_cast: u64,
}

/// What went wrong in a run, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Virtual time in µs.
    pub at_us: u64,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after {} µs: {}", self.at_us, self.what)
    }
}

/// Plays one run.
pub fn run(plan: Plan) -> Result<Report, Violation> {
    let mut world = World::new(plan);
    let played = world.play();
    let report = world.report();
    played.map(|()| report).map_err(|what| Violation { at_us: world.now, what })
}

enum Happening {
    /// A frame reaches the reflector.
    ToReflector(ConnId, Vec<u8>),
    /// A frame reaches a client, over this connection.
    ToClient(usize, ConnId, Vec<u8>),
    /// A client's attempt to connect, the newest of its attempts, gets through.
    Connect(usize, u64),
    /// The reflector learns that a connection has broken.
    GoneAtReflector(ConnId),
    /// A client learns that its connection has broken.
    GoneAtClient(usize, ConnId, Option<CloseReason>),
    /// A client's turn to step.
    Step(usize),
    /// The reflector's turn.
    Timeout,
    /// The disk has room again.
    DiskHasRoom,
    /// Something is done to the world.
    Mischief,
}

struct Participant {
    client: Client,
    alive: bool,
    connection: Option<ConnId>,
    attempt: u64,
    frozen_until: u64,
    sent: u64,
    last_receipt: Option<Receipt>,
    /// Frames in each direction arrive in order: not before these times.
    up_free: u64,
    down_free: u64,
}

struct World {
    plan: Plan,
    rng: ChaCha8Rng,
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    reflector: Reflector,
    storage: MemoryStorage,
    participants: Vec<Participant>,
    /// The client at the other end of each connection that stands.
    connections: HashMap<ConnId, usize>,
    members: BTreeMap<SessionKey, Vec<ConnId>>,
    next_connection: u64,
    /// The hash of each position, as whoever came first computed it.
    hashes: HashMap<u64, StateHash>,
    trace: blake3::Hasher,
    report: Report,
    quiet: bool,
    final_votes: u64,
}

type Outcome = Result<(), String>;

fn reflector(seed: [u8; 32], storage: &MemoryStorage) -> Reflector {
    let config = teatime_reflector::Config {
        rejoin_limit: 2 * SECOND,
        snapshot_after_events: 40,
        vote_timeout: SECOND,
        vote_retry: SECOND,
        silence_timeout: 15 * SECOND,
        ..teatime_reflector::Config::default()
    };
    Reflector::with_storage(config, seed, Box::new(storage.clone()))
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let storage = MemoryStorage::default();
        let reflector = reflector(seed, &storage);
        let report = Report {
            trace: [0; 32],
            simulated_us: 0,
            compared: 0,
            unanimous: 0,
            entries: 0,
            cuts: 0,
            crashes: 0,
            restarts: 0,
            full_disks: 0,
            votes_cast: 0,
        };
        Self {
            plan,
            rng,
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            reflector,
            storage,
            participants: Vec::new(),
            connections: HashMap::new(),
            members: BTreeMap::new(),
            next_connection: 0,
            hashes: HashMap::new(),
            trace: blake3::Hasher::new(),
            report,
            quiet: false,
            final_votes: 0,
        }
    }

    fn report(&self) -> Report {
        let trace = *self.trace.finalize().as_bytes();
        Report { trace, simulated_us: self.now, ..self.report }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.next_u64().is_multiple_of(one_in)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((time, self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn play(&mut self) -> Outcome {
        self.start_client();
        self.at(0, Happening::Timeout);
        self.at(SECOND / 2, Happening::Mischief);
        let faults_end = self.plan.fault_seconds * SECOND;
        self.play_until(faults_end)?;
        self.quiet = true;
        let end = faults_end + self.plan.converge_seconds * SECOND;
        while self.now < end {
            let next = (self.now + SECOND).min(end);
            self.play_until(next)?;
            if self.has_converged() {
                return self.check_the_end();
            }
        }
        Err(format!("no convergence: {}", self.standing()))
    }

    fn play_until(&mut self, end: u64) -> Outcome {
        while let Some(Reverse((time, order))) = self.queue.peek().copied() {
            if time > end {
                break;
            }
            self.queue.pop();
            self.now = time;
            let Some(happening) = self.happenings.remove(&order) else { continue };
            self.happen(happening)?;
        }
        self.now = end;
        Ok(())
    }

    fn note(&mut self, what: &[u8]) {
        self.trace.update(&self.now.to_be_bytes());
        self.trace.update(what);
    }

    fn happen(&mut self, happening: Happening) -> Outcome {
        match happening {
            Happening::ToReflector(connection, frame) => {
                self.note(&frame);
                self.reflector.received(self.now, connection, &frame);
                if !self.quiet && self.chance(3_000) {
                    // Before it has stored or sent what follows from it.
                    self.restart_reflector();
                }
                self.obey_reflector();
            }
            Happening::ToClient(at, connection, frame) => {
                if self.participants[at].connection == Some(connection) {
                    self.note(&frame);
                    self.input(at, Input::Frame(frame));
                }
            }
            Happening::Connect(at, attempt) => self.connect(at, attempt),
            Happening::GoneAtReflector(connection) => {
                self.note(b"gone");
                self.reflector.disconnected(self.now, connection);
                self.leave_members(connection);
                self.obey_reflector();
            }
            Happening::GoneAtClient(at, connection, reason) => {
                if self.participants[at].connection == Some(connection) {
                    self.participants[at].connection = None;
                    let close = reason.map(|reason| (reason.code(), String::new()));
                    self.input(at, Input::Disconnected(close));
                }
            }
            Happening::Step(at) => self.step(at)?,
            Happening::Timeout => {
                self.reflector.handle_timeout(self.now);
                self.obey_reflector();
                self.at(self.now + 10_000, Happening::Timeout);
            }
            Happening::DiskHasRoom => self.storage.set_full(false),
            Happening::Mischief => self.mischief(),
        }
        Ok(())
    }

    fn start_client(&mut self) {
        let mut config = Config::new(ledger::app(), "the ledger", &self.plan.buggy)
            .expect("the option is a bool")
            // A key derivation takes as long as a virtual minute; one run in eight has one.
            .password(self.plan.seed.is_multiple_of(8).then_some("sesame"));
        config.view_data = teatime::to_bytes(ledger::BROUGHT_ALONG).ok();
        let mut entropy = [0; 32];
        self.rng.fill_bytes(&mut entropy);
        let mut client = Client::new(config, entropy).expect("the configuration is sound");
        client.connect();
        let at = self.participants.len();
        self.participants.push(Participant {
            client,
            alive: true,
            connection: None,
            attempt: 0,
            frozen_until: 0,
            sent: 0,
            last_receipt: None,
            up_free: 0,
            down_free: 0,
        });
        self.obey_client(at);
        self.at(self.now, Happening::Step(at));
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.participants.len()).filter(|at| self.participants[*at].alive).collect()
    }

    /// Something is done to somebody.
    fn mischief(&mut self) {
        if self.quiet {
            return;
        }
        let alive = self.alive();
        let victim = alive[self.below(alive.len() as u64) as usize];
        match self.below(16) {
            0 | 1 if alive.len() < self.plan.clients => self.start_client(),
            2 | 3 => self.cut(victim),
            4 if alive.len() > 1 => self.crash(victim),
            5 => {
                let frozen = self.now + self.below(5 * SECOND);
                self.participants[victim].frozen_until = frozen;
            }
            6 if alive.len() > 1 => {
                self.participants[victim].client.leave();
                self.obey_client(victim);
                self.participants[victim].alive = false;
            }
            7 => alive.iter().for_each(|at| self.cut(*at)),
            8 => self.restart_reflector(),
            9 => {
                self.report.full_disks += 1;
                self.storage.set_full(true);
                let room_at = self.now + self.below(3 * SECOND);
                self.at(room_at, Happening::DiskHasRoom);
            }
            _ => {}
        }
        let pause = self.below(SECOND);
        self.at(self.now + pause, Happening::Mischief);
    }

    /// The reflector crashes with all connections, and comes back with what it has stored.
    fn restart_reflector(&mut self) {
        self.report.restarts += 1;
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        self.reflector = reflector(seed, &self.storage);
        self.members.clear();
        let mut broken: Vec<_> = std::mem::take(&mut self.connections).into_iter().collect();
        broken.sort_unstable();
        for (connection, at) in broken {
            let time = self.participants[at].down_free.max(self.now) + 1;
            self.at(time, Happening::GoneAtClient(at, connection, None));
        }
    }

    /// The connection breaks with all that is under way; each side learns it in its own time.
    fn cut(&mut self, at: usize) {
        let Some(connection) = self.participants[at].connection else { return };
        self.report.cuts += 1;
        self.connections.remove(&connection);
        let (up, down) = (self.below(SECOND), self.below(SECOND));
        self.at(self.now + up, Happening::GoneAtReflector(connection));
        self.at(self.now + down, Happening::GoneAtClient(at, connection, None));
    }

    /// The client is gone without a word.
    fn crash(&mut self, at: usize) {
        self.report.crashes += 1;
        self.participants[at].alive = false;
        if let Some(connection) = self.participants[at].connection.take() {
            self.connections.remove(&connection);
            let later = self.now + self.below(SECOND);
            self.at(later, Happening::GoneAtReflector(connection));
        }
    }

    fn delay(&mut self) -> u64 {
        let base = 200 + self.below(30_000);
        if !self.quiet && self.chance(50) { base + self.below(2 * SECOND) } else { base }
    }

    fn connect(&mut self, at: usize, attempt: u64) {
        let one = &self.participants[at];
        if !one.alive || one.attempt != attempt || one.connection.is_some() {
            return;
        }
        if !self.quiet && self.chance(8) {
            self.input(at, Input::Unreachable("no luck".into()));
            return;
        }
        let connection = ConnId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(connection, at);
        let one = &mut self.participants[at];
        one.connection = Some(connection);
        (one.up_free, one.down_free) = (self.now, self.now);
        self.reflector.connected(self.now, connection);
        self.input(at, Input::Connected);
        self.obey_reflector();
    }

    fn input(&mut self, at: usize, input: Input) {
        if self.participants[at].alive {
            self.participants[at].client.handle(self.now, input);
            self.obey_client(at);
        }
    }

    fn obey_client(&mut self, at: usize) {
        while let Some(action) = self.participants[at].client.poll_action() {
            match action {
                Action::Connect { after } => {
                    self.participants[at].attempt += 1;
                    let attempt = self.participants[at].attempt;
                    let time = self.now + after + self.delay();
                    self.at(time, Happening::Connect(at, attempt));
                }
                Action::Send(frame) => self.send_up(at, frame),
                Action::Close => {
                    if let Some(connection) = self.participants[at].connection.take() {
                        self.connections.remove(&connection);
                        let time = self.participants[at].up_free.max(self.now) + 1;
                        self.at(time, Happening::GoneAtReflector(connection));
                    }
                }
            }
        }
    }

    fn send_up(&mut self, at: usize, frame: Vec<u8>) {
        let Some(connection) = self.participants[at].connection else { return };
        if self.connections.get(&connection) != Some(&at) {
            return;
        }
        let time = (self.now + self.delay()).max(self.participants[at].up_free);
        self.participants[at].up_free = time;
        // A send may arrive twice: its counter tells.
        let is_send = matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Send(_)));
        if is_send && !self.quiet && self.chance(20) {
            self.at(time, Happening::ToReflector(connection, frame.clone()));
        }
        self.at(time, Happening::ToReflector(connection, frame));
    }

    fn send_down(&mut self, connection: ConnId, frame: Vec<u8>) {
        let Some(at) = self.connections.get(&connection).copied() else { return };
        let time = (self.now + self.delay()).max(self.participants[at].down_free);
        self.participants[at].down_free = time;
        self.at(time, Happening::ToClient(at, connection, frame));
    }

    fn obey_reflector(&mut self) {
        // If that fails nothing of it is among what is to be sent.
        self.reflector.commit();
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => self.send_down(connection, frame.to_vec()),
                Output::Broadcast { session, frame } => {
                    let members = self.members.get(&session).cloned().unwrap_or_default();
                    members.iter().for_each(|member| self.send_down(*member, frame.to_vec()));
                }
                // Nothing was sent before it was stored.
                Output::Retract { .. } => {}
                Output::Enter { connection, session } => {
                    self.members.entry(session).or_default().push(connection);
                }
                Output::Close { connection, reason, .. } => {
                    self.leave_members(connection);
                    if let Some(at) = self.connections.remove(&connection) {
                        let time = self.participants[at].down_free.max(self.now) + 1;
                        self.at(time, Happening::GoneAtClient(at, connection, Some(reason)));
                    }
                }
            }
        }
    }

    fn leave_members(&mut self, connection: ConnId) {
        for members in self.members.values_mut() {
            members.retain(|member| *member != connection);
        }
    }

    fn step(&mut self, at: usize) -> Outcome {
        if !self.participants[at].alive {
            return Ok(());
        }
        if self.participants[at].frozen_until <= self.now {
            // One message at a time, so that every position is compared.
            loop {
                let before = self.position(at);
                let stepped = self.participants[at].client.step(self.now, &mut || false);
                self.take_events(at)?;
                if stepped == Stepped::Budget && self.position(at) != before {
                    self.compare(at)?;
                }
                if stepped == Stepped::Done {
                    break;
                }
            }
            self.maybe_send(at);
            self.obey_client(at);
        }
        let pause = 5_000 + self.below(45_000);
        self.at(self.now + pause, Happening::Step(at));
        Ok(())
    }

    fn position(&self, at: usize) -> Option<u64> {
        self.participants[at].client.vm().map(teatime::Vm::seq)
    }

    /// Everybody who reaches a position must have the state that the first one had there.
    fn compare(&mut self, at: usize) -> Outcome {
        let Some(vm) = self.participants[at].client.vm() else { return Ok(()) };
        let (seq, hash) = (vm.seq(), vm.hash().expect("it can be saved"));
        self.trace.update(&hash.0);
        match self.hashes.get(&seq) {
            Some(known) if *known != hash => {
                return Err(format!("client {at} diverged at event {seq}"));
            }
            Some(_) => self.report.compared += 1,
            None => {
                self.hashes.insert(seq, hash);
            }
        }
        Ok(())
    }

    fn take_events(&mut self, at: usize) -> Outcome {
        while let Some(event) = self.participants[at].client.poll_event() {
            match event {
                SessionEvent::Fault(fault) => return Err(format!("client {at}: {fault}")),
                SessionEvent::State { .. } => self.report.votes_cast += 1,
                SessionEvent::Verdict { agreed, of, .. } if agreed == of => {
                    self.report.unanimous += 1;
                    self.final_votes += u64::from(self.quiet);
                }
                SessionEvent::Connection(_, Some(DisconnectReason::Diverged)) => {
                    return Err(format!("client {at} was told that it diverged"));
                }
                SessionEvent::Connection(ConnectionState::Failed, reason) => {
                    return Err(format!("client {at} failed: {reason:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn maybe_send(&mut self, at: usize) {
        let busy = if self.quiet { 200 } else { 8 };
        if self.quiet && self.chance(40) {
            // What cannot be asked for now will be asked for later.
            let _ = self.participants[at].client.request_vote();
        }
        if !self.chance(busy) {
            return;
        }
        let one = &mut self.participants[at];
        let entry = Entry { number: one.sent + 1 };
        if let Ok(receipt) = one.client.publish(self.now, "ledger", "enter", &entry) {
            one.sent += 1;
            one.last_receipt = Some(receipt);
        }
    }

    fn standing(&self) -> String {
        let each = |at: usize| {
            let client = &self.participants[at].client;
            let (state, seq) = (client.connection_state(), self.position(at));
            let failure = client.failure();
            format!("client {at} {state:?} at {seq:?} {failure:?}")
        };
        self.alive().into_iter().map(each).collect::<Vec<_>>().join("; ")
    }

    /// Everybody is there, has sent what it wanted to send and stands at the same position, and a
    /// vote was unanimous.
    fn has_converged(&self) -> bool {
        let settled = |at: usize| {
            let one = &self.participants[at];
            let live = one.client.connection_state() == ConnectionState::Live;
            live && one.last_receipt.is_none_or(|receipt| one.client.is_applied(receipt))
        };
        let mut positions: Vec<_> = self.alive().iter().map(|at| self.position(*at)).collect();
        positions.dedup();
        self.alive().into_iter().all(settled) && positions.len() == 1 && self.final_votes > 0
    }

    fn check_the_end(&mut self) -> Outcome {
        let alive = self.alive();
        for at in &alive {
            let client = &self.participants[*at].client;
            let ledger = client.vm().and_then(teatime::Vm::root::<Ledger>);
            let ledger = ledger.ok_or("a live client has no ledger")?;
            if ledger.violations() > 0 {
                return Err(format!("client {at}: {} violations", ledger.violations()));
            }
            if ledger.newest(client.view_id()) != self.participants[*at].sent {
                return Err(format!("client {at}: an accepted entry is lost"));
            }
            self.report.entries = ledger.entries();
            let here = client.vm().map_or(0, teatime::Vm::view_count) as usize;
            // Those who crashed last may still be within their rejoin limit.
            if here < alive.len() {
                return Err(format!("client {at}: {here} are here instead of {}", alive.len()));
            }
        }
        Ok(())
    }
}
