//! A reflector in virtual time and without sockets, and small clients.

pub(crate) mod stored;

use std::collections::HashMap;

use teatime_reflector::storage::Key;
use teatime_reflector::{Config, ConnId, Output, Reflector, SessionKey};
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Envelope, Event, Holding, Join, Room, Send, ServerMessage,
    SessionId, SnapshotPart, ViewId, ViewSecret, Views, Vote, VoteRequest, Welcome, limits,
};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// A reflector and what its connections have got.
pub(crate) struct World {
    pub(crate) reflector: Reflector,
    pub(crate) now: u64,
    pub(crate) next: u64,
    pub(crate) members: Vec<ConnId>,
    pub(crate) session_of: HashMap<ConnId, SessionKey>,
    /// What refers to which blobs, with its room.
    pub(crate) references: Vec<(Key, Digest, Holding)>,
    pub(crate) got: Vec<(ConnId, Vec<u8>)>,
    pub(crate) closed: Vec<(ConnId, CloseReason)>,
    pub(crate) attempt: u64,
}

pub(crate) fn secret(number: u8) -> ViewSecret {
    ViewSecret([number; 32])
}

pub(crate) fn id(number: u8) -> ViewId {
    secret(number).view_id()
}

/// The room of the tests, as this version of the app joins it.
pub(crate) fn room(version: u32) -> Room {
    Room { name: Digest([1; 32]), id: Digest([2; 32]), version }
}

pub(crate) fn join(number: u8) -> Join<'static> {
    Join {
        protocol: 1,
        session: SessionId([1; 32]),
        room: room(1),
        secret: secret(number),
        password_proof: None,
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
        let (now, next, attempt) = (0, 0, 0);
        Self { reflector, now, next, members, session_of, references, got, closed, attempt }
    }

    pub(crate) fn connect(&mut self) -> ConnId {
        let connection = ConnId(self.next);
        self.next += 1;
        self.reflector.connected(self.now, connection);
        connection
    }

    /// Joins as the view of this number, with a new attempt each time.
    pub(crate) fn join(&mut self, number: u8) -> ConnId {
        self.join_as(join(number))
    }

    pub(crate) fn join_as(&mut self, join: Join<'_>) -> ConnId {
        let connection = self.connect();
        self.attempt += 1;
        self.say(connection, &ClientMessage::Join(Join { attempt: self.attempt, ..join }));
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
            Output::Broadcast { session, frame } => {
                let members = self.members.iter();
                let members = members.filter(|one| self.session_of.get(one) == Some(&session));
                self.got.extend(members.map(|member| (*member, frame.to_vec())));
            }
            Output::Enter { connection, session } => {
                self.members.push(connection);
                self.session_of.insert(connection, session);
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

    /// What a connection has got, in order.
    pub(crate) fn messages(&self, of: ConnId) -> Vec<ServerMessage<'_>> {
        let frames = self.got.iter().filter(|(connection, _)| *connection == of);
        frames.map(|(_, frame)| ServerMessage::decode(frame).expect("it is a message")).collect()
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
