//! A reflector and clients that may compute wrongly, or lie.

use std::cell::Cell;
use std::collections::BTreeMap;

use teatime_reflector::{ConnId, Greeter, Output, Reflector, SessionKey};
use teatime_session::{
    Action, Client, Config, ConnectionState, Disagreement, DisconnectReason, Divergence, Input,
    SessionEvent, Stepped,
};
use teatime_vm::{App, Cx, Vm, handlers, model};
use teatime_wire::{Challenge, ClientMessage};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

thread_local! {
    /// Whether the client that runs now computes wrongly.
    pub(crate) static WRONG: Cell<bool> = const { Cell::new(false) };
}

/// Adds, wrongly if [`WRONG`] is set.
#[model(id = "sum", version = 1)]
pub(crate) struct Sum {
    pub(crate) additions: u64,
    pub(crate) parts: Vec<(u64, u64)>,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        cx.subscribe("sum", "say", Self::say);
        Self { additions: 0, parts: Vec::new() }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
        self.additions += 1;
        let is_wrong = WRONG.get() && number == 5;
        self.parts.push((self.additions, number + u64::from(is_wrong)));
    }

    fn say(&mut self, _cx: &mut Cx<Self>, _text: String) {}
}

pub(crate) fn app() -> App {
    App::builder::<Sum>("test.sum").build().expect("it is sound")
}

pub(crate) struct Peer {
    pub(crate) client: Client,
    /// It computes wrongly.
    pub(crate) wrong: bool,
    pub(crate) connection: Option<ConnId>,
    /// Its line is dead.
    pub(crate) offline: bool,
    /// When it wants to connect.
    pub(crate) connects_at: Option<u64>,
    pub(crate) events: Vec<SessionEvent>,
}

/// A reflector and its clients; what is sent arrives at once.
pub(crate) struct World {
    pub(crate) reflector: Reflector,
    greeter: Greeter,
    pub(crate) now: u64,
    pub(crate) next: u64,
    pub(crate) members: Vec<ConnId>,
    /// The session of each member, and how much it has of what participants show of themselves there.
    presence_versions: BTreeMap<ConnId, (SessionKey, u64)>,
    pub(crate) by_connection: BTreeMap<ConnId, usize>,
    pub(crate) peers: Vec<Peer>,
    /// What is for one client alone comes before what is for all.
    pub(crate) hasty: bool,
    /// Votes for another hash than that of its state.
    pub(crate) liar: Option<usize>,
    /// The newest join of a client, as a stranger may see it.
    pub(crate) join: Vec<u8>,
    /// What connections receive that belong to no client.
    pub(crate) strange: Vec<(ConnId, Vec<u8>)>,
    /// What the reflector shows a client in the place of a frame, if it lies.
    pub(crate) twist: Option<Twist>,
}

/// Client and frame in, frames out.
pub(crate) type Twist = Box<dyn FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>>;

impl World {
    pub(crate) fn new(
        number: usize,
        config: teatime_reflector::Config,
        password: Option<&str>,
    ) -> Self {
        let mut world = Self {
            reflector: Reflector::new(config, [0; 32]),
            greeter: Greeter::new([0; 32]),
            now: 0,
            next: 0,
            members: Vec::new(),
            presence_versions: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            peers: Vec::new(),
            hasty: false,
            liar: None,
            join: Vec::new(),
            strange: Vec::new(),
            twist: None,
        };
        (0..number).for_each(|_| world.add(password));
        world.pass(SECOND);
        assert!(world.peers.iter().all(Peer::is_live));
        world
    }

    pub(crate) fn add(&mut self, password: Option<&str>) {
        let config = Config::new(app(), "room", &()).expect("nothing can be encoded");
        let entropy = [self.peers.len() as u8 + 1; 32];
        let mut client = Client::new(config.password(password), entropy).expect("it is sound");
        client.connect();
        let (connection, connects_at, events) = (None, None, Vec::new());
        self.peers.push(Peer {
            client,
            wrong: false,
            offline: false,
            connection,
            connects_at,
            events,
        });
        self.run();
    }

    pub(crate) fn publish(&mut self, from: usize, number: u64) {
        let client = &mut self.peers[from].client;
        client.publish(self.now, "sum", "add", &number).expect("there is room");
        self.run();
    }

    pub(crate) fn vote(&mut self) {
        self.pass(200 * MS);
        let asking = self.peers.iter_mut().find(|peer| peer.is_live()).expect("a client is live");
        asking.client.request_vote().expect("it is live");
        self.run();
    }

    /// Does all that is due within this span in µs.
    pub(crate) fn pass(&mut self, span: u64) {
        let end = self.now + span;
        while self.now < end {
            self.now = (self.now + 10 * MS).min(end);
            self.reflector.handle_timeout(self.now);
            self.run();
        }
    }

    /// Until nothing more happens.
    pub(crate) fn run(&mut self) {
        loop {
            let mut quiet = true;
            let mut outputs: Vec<_> = std::iter::from_fn(|| self.reflector.poll_output()).collect();
            quiet &= outputs.is_empty();
            if self.hasty {
                // What is for one client alone overtakes what is for all.
                outputs.sort_by_key(|output| matches!(output, Output::Broadcast { .. }));
            }
            outputs.into_iter().for_each(|output| self.pass_on(output));
            for at in 0..self.peers.len() {
                quiet &= !self.act(at);
            }
            if quiet {
                return;
            }
        }
    }

    pub(crate) fn hear(&mut self, at: usize, input: Input) {
        WRONG.set(self.peers[at].wrong);
        self.peers[at].client.handle(self.now, input);
    }

    pub(crate) fn pass_on(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => {
                self.deliver(connection, frame.to_vec());
            }
            Output::SendLog { connection, block } => {
                block.frames_from(0).for_each(|frame| self.deliver(connection, frame.to_vec()));
            }
            Output::Broadcast { frame, .. } => {
                for member in self.members.clone() {
                    self.deliver(member, frame.to_vec());
                }
            }
            Output::Presences { .. } => self.inform_members(),
            Output::Enter { connection, session } => {
                self.members.push(connection);
                self.presence_versions.insert(connection, (session, 0));
                self.inform_members();
            }
            // This world has no blobs.
            Output::References { .. } => {}
            Output::Store { .. } | Output::Release(_) => unreachable!("nothing is stored"),
            Output::Close { connection, reason, detail } => {
                self.members.retain(|member| *member != connection);
                if let Some(at) = self.by_connection.remove(&connection) {
                    self.peers[at].connection = None;
                    self.hear(at, Input::Disconnected(Some((reason.code(), detail))));
                }
            }
        }
    }

    /// Fetches what participants show of themselves, for all members.
    fn inform_members(&mut self) {
        for member in self.members.clone() {
            while let Some((session, seen)) = self.presence_versions.get(&member).copied()
                && let Some((frame, version)) = self.reflector.presences(session, seen)
            {
                self.presence_versions.insert(member, (session, version));
                self.deliver(member, frame.to_vec());
            }
        }
    }

    fn deliver(&mut self, connection: ConnId, frame: Vec<u8>) {
        let Some(at) = self.by_connection.get(&connection).copied() else {
            self.strange.push((connection, frame));
            return;
        };
        let frames = match &mut self.twist {
            Some(twist) => twist(at, frame),
            None => vec![frame],
        };
        frames.into_iter().for_each(|frame| self.hear(at, Input::Frame(frame)));
    }

    /// Steps a client and does what it wants. False if that was nothing.
    pub(crate) fn act(&mut self, at: usize) -> bool {
        WRONG.set(self.peers[at].wrong);
        let (now, peer) = (self.now, &mut self.peers[at]);
        loop {
            let stepped = peer.client.step(now, &mut || true);
            peer.events.extend(std::iter::from_fn(|| peer.client.poll_event()));
            if stepped != Stepped::Attention {
                break;
            }
        }
        let mut busy = false;
        while let Some(action) = self.peers[at].client.poll_action() {
            busy = true;
            self.perform(at, action);
        }
        let peer = &self.peers[at];
        if !peer.offline && peer.connects_at.is_some_and(|when| when <= self.now) {
            busy = true;
            let connection = ConnId(self.next);
            self.next += 1;
            self.peers[at].connects_at = None;
            self.peers[at].connection = Some(connection);
            self.by_connection.insert(connection, at);
            let (challenge, hello) = self.greeter.greet(None);
            self.reflector.connected(self.now, connection, challenge);
            self.hear(at, Input::Connected(None));
            self.hear(at, Input::Frame(hello));
        }
        busy
    }

    pub(crate) fn perform(&mut self, at: usize, action: Action) {
        let connection = self.peers[at].connection;
        match (action, connection) {
            (Action::Connect { after }, _) => self.peers[at].connects_at = Some(self.now + after),
            (Action::Send(mut frame), Some(connection)) => {
                if self.liar == Some(at)
                    && let Ok(ClientMessage::Vote(mut vote)) = ClientMessage::decode(&frame)
                {
                    vote.hash.0[0] ^= 1;
                    frame = ClientMessage::Vote(vote).encode();
                }
                if matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Join(..))) {
                    self.join.clone_from(&frame);
                }
                self.reflector.received(self.now, connection, &frame);
            }
            (Action::Close, Some(connection)) => {
                self.members.retain(|member| *member != connection);
                self.by_connection.remove(&connection);
                self.peers[at].connection = None;
                self.reflector.disconnected(self.now, connection);
            }
            _ => {}
        }
    }

    /// A connection of another client. Returns what its join must be signed for.
    pub(crate) fn connect(&mut self, connection: ConnId) -> Challenge {
        let (challenge, _) = self.greeter.greet(None);
        self.reflector.connected(self.now, connection, challenge);
        challenge
    }

    /// The newest verdict: how many agreed, and how many were asked.
    pub(crate) fn verdict(&self) -> (u32, u32) {
        let verdict = |event: &SessionEvent| match event {
            SessionEvent::Verdict { agreed, of, .. } => Some((*agreed, *of)),
            _ => None,
        };
        let newest = self.peers[0].events.iter().rev().find_map(verdict);
        newest.expect("there was a vote")
    }

    pub(crate) fn assert_unanimous(&mut self) {
        self.vote();
        let all = self.peers.len() as u32;
        assert_eq!(self.verdict(), (all, all));
    }

    pub(crate) fn forget_events(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.events.clear());
    }
}

impl Peer {
    pub(crate) fn is_live(&self) -> bool {
        self.client.connection_state() == ConnectionState::Live
    }

    pub(crate) fn parts(&self) -> Vec<(u64, u64)> {
        self.client.vm().and_then(Vm::root::<Sum>).map(|sum| sum.parts.clone()).unwrap_or_default()
    }

    pub(crate) fn divergences(&self) -> Vec<Divergence> {
        let each = |event: &SessionEvent| match event {
            SessionEvent::Diverged(divergence) => Some((**divergence).clone()),
            _ => None,
        };
        self.events.iter().filter_map(each).collect()
    }

    pub(crate) fn disagreements(&self) -> Vec<Disagreement> {
        let each = |event: &SessionEvent| match event {
            SessionEvent::Disagreement(found) => Some((**found).clone()),
            _ => None,
        };
        self.events.iter().filter_map(each).collect()
    }

    /// How often it has joined from scratch because of its state.
    pub(crate) fn reloads(&self) -> usize {
        let reload = |event: &&SessionEvent| {
            matches!(event, SessionEvent::Connection(_, Some(DisconnectReason::Diverged)))
        };
        self.events.iter().filter(reload).count()
    }

    pub(crate) fn lost_its_view(&self) -> bool {
        self.events.iter().any(|event| matches!(event, SessionEvent::ViewLost))
    }

    /// Whether it has noticed anything but the votes themselves.
    pub(crate) fn was_disturbed(&self) -> bool {
        self.lost_its_view() || self.reloads() > 0 || !self.divergences().is_empty()
    }
}
