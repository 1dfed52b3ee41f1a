//! A reflector in virtual time and without sockets, and small clients.

pub(crate) mod keys;
pub(crate) mod stored;

use std::collections::HashMap;

use teatime_reflector::storage::Key;
use teatime_reflector::{Config, ConnId, Greeter, Output, Reflector, SessionKey};
use teatime_wire::{
    Chain, Challenge, ClientMessage, CloseReason, Digest, Envelope, Event, Holding, Join,
    PublicKey, Room, Send, ServerMessage, SnapshotPart, ViewId, Views, Vote, VoteRequest, Welcome,
    limits,
};

use keys::{prove, view_key};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// A reflector and what its connections have got.
pub(crate) struct World {
    pub(crate) reflector: Reflector,
    pub(crate) now: u64,
    pub(crate) next: u64,
    pub(crate) members: Vec<ConnId>,
    pub(crate) session_of: HashMap<ConnId, SessionKey>,
    /// How much each member has of what participants show of themselves.
    presence_versions: HashMap<ConnId, u64>,
    /// What refers to which blobs, with its room.
    pub(crate) references: Vec<(Key, Digest, Holding)>,
    pub(crate) got: Vec<(ConnId, Vec<u8>)>,
    pub(crate) closed: Vec<(ConnId, CloseReason)>,
    pub(crate) attempt: u64,
    greeter: Greeter,
    challenges: HashMap<ConnId, Challenge>,
}

pub(crate) fn key(number: u8) -> PublicKey {
    view_key([number; 32])
}

pub(crate) fn id(number: u8) -> ViewId {
    key(number).view_id()
}

/// The room of the tests, as this version of the app joins it.
pub(crate) fn room(version: u32) -> Room {
    Room::new(Digest([1; 32]), None, version)
}

pub(crate) fn join(number: u8) -> Join<'static> {
    Join {
        protocol: 1,
        program: Digest([1; 32]),
        name: room(1).name,
        version: 1,
        view_key: key(number),
        password_key: None,
        view_data: None,
        ticks_per_second: 10,
        attempt: 1,
        resume: None,
        agent: "test",
    }
}

/// A state in its envelope, without persisted data or blobs.
pub(crate) fn in_envelope(state: &[u8]) -> Vec<u8> {
    Envelope { persisted: None, roots: Vec::new(), space: room(1).id }.wrap(state)
}

/// A snapshot in parts, as a client hands it in.
pub(crate) fn parts(seq: u64, snapshot: &[u8]) -> impl Iterator<Item = ClientMessage<'_>> {
    let total = snapshot.len() as u64;
    snapshot.chunks(limits::MAX_SNAPSHOT_PART).enumerate().map(move |(at, data)| {
        let offset = (at * limits::MAX_SNAPSHOT_PART) as u64;
        ClientMessage::SnapshotPart(SnapshotPart { seq, offset, total, data })
    })
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let reflector = Reflector::new(config, [0; 32]);
        let (members, got, closed) = (Vec::new(), Vec::new(), Vec::new());
        let (session_of, references) = (HashMap::new(), Vec::new());
        Self {
            reflector,
            now: 0,
            next: 0,
            members,
            session_of,
            presence_versions: HashMap::new(),
            references,
            got,
            closed,
            attempt: 0,
            greeter: Greeter::new([3; 32]),
            challenges: HashMap::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> ConnId {
        let connection = ConnId(self.next);
        self.next += 1;
        let (challenge, _) = self.greeter.greet(None);
        self.challenges.insert(connection, challenge);
        self.reflector.connected(self.now, connection, challenge);
        connection
    }

    /// What a join on this connection must be signed for.
    pub(crate) fn challenge(&self, connection: ConnId) -> Challenge {
        self.challenges[&connection]
    }

    /// The frame of a join that is proven on this connection.
    pub(crate) fn proven(&self, connection: ConnId, join: Join<'_>) -> Vec<u8> {
        prove(join, &self.challenge(connection)).encode()
    }

    /// Joins over this connection.
    pub(crate) fn say_join(&mut self, connection: ConnId, join: Join<'_>) {
        let frame = self.proven(connection, join);
        self.say_raw(connection, &frame);
    }

    /// Joins as the view of this number, with a new attempt each time.
    pub(crate) fn join(&mut self, number: u8) -> ConnId {
        self.join_as(join(number))
    }

    pub(crate) fn join_as(&mut self, join: Join<'_>) -> ConnId {
        let connection = self.connect();
        self.attempt += 1;
        self.say_join(connection, Join { attempt: self.attempt, ..join });
        connection
    }

    pub(crate) fn say(&mut self, from: ConnId, message: &ClientMessage<'_>) {
        self.say_raw(from, &message.encode());
    }

    pub(crate) fn say_raw(&mut self, from: ConnId, frame: &[u8]) {
        self.reflector.received(self.now, from, frame);
        self.obey();
    }

    pub(crate) fn post(&mut self, from: ConnId, counter: u64) {
        self.say(from, &ClientMessage::Send(Send { counter, payload: b"post" }));
    }

    /// Posts this many bytes.
    pub(crate) fn post_bytes(&mut self, from: ConnId, counter: u64, bytes: usize) {
        let payload = vec![7; bytes];
        self.say(from, &ClientMessage::Send(Send { counter, payload: &payload }));
    }

    pub(crate) fn vote(&mut self, from: ConnId, seq: u64, hash: Digest) {
        self.say(from, &ClientMessage::Vote(Vote { seq, hash }));
    }

    pub(crate) fn hand_in(&mut self, from: ConnId, seq: u64, snapshot: &[u8]) {
        parts(seq, snapshot).for_each(|part| self.say(from, &part));
    }

    pub(crate) fn cut(&mut self, connection: ConnId) {
        self.members.retain(|member| *member != connection);
        self.reflector.disconnected(self.now, connection);
        self.obey();
    }

    pub(crate) fn pass(&mut self, span: u64) {
        let end = self.now + span;
        while let Some(at) = self.reflector.next_timeout()
            && at <= end
        {
            self.now = self.now.max(at);
            self.reflector.handle_timeout(self.now);
            self.obey();
        }
        self.now = end;
    }

    pub(crate) fn obey(&mut self) {
        while let Some(output) = self.reflector.poll_output() {
            self.obey_one(output);
        }
    }

    pub(crate) fn obey_one(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => self.got.push((connection, frame.to_vec())),
            Output::SendLog { connection, block } => {
                self.got.extend(block.frames_from(0).map(|frame| (connection, frame.to_vec())));
            }
            Output::Broadcast { session, frame } => {
                let members = self.members.iter();
                let members = members.filter(|one| self.session_of.get(one) == Some(&session));
                self.got.extend(members.map(|member| (*member, frame.to_vec())));
            }
            Output::Presences { session } => {
                let members = self.members.iter();
                let members = members.filter(|one| self.session_of.get(one) == Some(&session));
                for member in members.copied().collect::<Vec<_>>() {
                    self.inform(member);
                }
            }
            Output::Enter { connection, session } => {
                self.members.push(connection);
                self.session_of.insert(connection, session);
                self.inform(connection);
            }
            Output::References { holder, room, holding } => {
                self.references.push((holder, room, holding));
            }
            Output::Store { .. } | Output::Release(_) => unreachable!("nothing is stored"),
            Output::Close { connection, reason, .. } => {
                self.members.retain(|member| *member != connection);
                self.closed.push((connection, reason));
            }
        }
    }

    /// Fetches what participants show of themselves for a member whose socket takes everything.
    fn inform(&mut self, member: ConnId) {
        let Some(session) = self.session_of.get(&member) else { return };
        let seen = self.presence_versions.entry(member).or_default();
        while let Some((frame, version)) = self.reflector.presences(*session, *seen) {
            *seen = version;
            self.got.push((member, frame.to_vec()));
        }
    }

    /// What a connection has got, in order.
    pub(crate) fn messages(&self, of: ConnId) -> Vec<ServerMessage<'_>> {
        let frames = self.got.iter().filter(|(connection, _)| *connection == of);
        frames.map(|(_, frame)| ServerMessage::decode(frame).expect("it is a message")).collect()
    }

    /// The chain at this position, by what a connection has got that has the session from its beginning or a snapshot on.
    pub(crate) fn chain(&self, of: ConnId, seq: u64) -> Digest {
        let base = self.welcome(of).snapshot.map(|info| (info.seq, Chain::at(info.chain)));
        let (mut at, mut chain) = base.unwrap_or((0, Chain::start(join(1).session(), None)));
        for (_, frame) in self.got.iter().filter(|(connection, _)| *connection == of) {
            let position = match ServerMessage::decode(frame).expect("it is a message") {
                ServerMessage::Event(event) => event.seq,
                ServerMessage::Views(views) => views.seq,
                ServerMessage::VoteRequest(vote) => vote.seq,
                _ => continue,
            };
            if position == at + 1 && position <= seq {
                (at, chain) = (position, chain.next(frame));
            }
        }
        assert_eq!(at, seq);
        chain.value()
    }

    pub(crate) fn welcome(&self, of: ConnId) -> Welcome {
        let welcome = self.messages(of).into_iter().find_map(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        welcome.expect("it was let in")
    }

    /// All joins and exits that a connection has heard of.
    pub(crate) fn views(&self, of: ConnId) -> Vec<(Vec<ViewId>, Vec<ViewId>)> {
        let ids = |views: &[teatime_wire::View<'_>]| views.iter().map(|v| v.view_id).collect();
        let each = |message| match message {
            ServerMessage::Views(Views { exited, joined, .. }) => {
                Some((ids(&exited), ids(&joined)))
            }
            _ => None,
        };
        self.messages(of).into_iter().filter_map(each).collect()
    }

    pub(crate) fn events(&self, of: ConnId) -> Vec<(u64, ViewId, u64)> {
        let each = |message| match message {
            ServerMessage::Event(Event { seq, sender, counter, .. }) => {
                Some((seq, sender, counter))
            }
            _ => None,
        };
        self.messages(of).into_iter().filter_map(each).collect()
    }

    /// All votes that a connection was asked for.
    pub(crate) fn votes_asked(&self, of: ConnId) -> Vec<u64> {
        let each = |message| match message {
            ServerMessage::VoteRequest(VoteRequest { seq, .. }) => Some(seq),
            _ => None,
        };
        self.messages(of).into_iter().filter_map(each).collect()
    }

    pub(crate) fn newest_vote(&self, of: ConnId) -> Option<u64> {
        self.votes_asked(of).pop()
    }

    pub(crate) fn has(&self, of: ConnId, wanted: &ServerMessage<'_>) -> bool {
        self.messages(of).contains(wanted)
    }
}

pub(crate) fn world() -> World {
    World::new(Config::default())
}
