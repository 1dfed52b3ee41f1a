//! What a reflector reads from its clients, frame after frame, on several connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use teatime_reflector::{Config, ConnId, Output, Reflector, SessionKey};
use teatime_wire::{
    Challenge, ClientMessage, Digest, Envelope, Join, Resume, SecretKey, Send, ServerMessage,
    SnapshotPart, Vote,
};

use crate::tape::Tape;

/// What a step of an input does.
pub(crate) mod step {
    /// A frame arrives, as it is.
    pub(crate) const FRAME: u8 = 0;
    /// A client connects.
    pub(crate) const CONNECT: u8 = 1;
    /// It joins, with this view data.
    pub(crate) const JOIN: u8 = 2;
    /// It sends the next event.
    pub(crate) const SEND: u8 = 3;
    /// Milliseconds pass.
    pub(crate) const WAIT: u8 = 4;
    /// A connection is cut.
    pub(crate) const CUT: u8 = 5;
    /// A message with this tag and this body.
    pub(crate) const MESSAGE: u8 = 6;
    /// A client votes for this state.
    pub(crate) const VOTE: u8 = 7;
    /// It hands this state in.
    pub(crate) const UPLOAD: u8 = 8;
    /// It asks for a vote.
    pub(crate) const ASK: u8 = 9;
    /// The transport hears something.
    pub(crate) const HEAR: u8 = 10;
    /// The newest state is of no use to a client, or it confirms its own.
    pub(crate) const ABOUT: u8 = 11;
}

/// Connections at the same time.
const LINES: usize = 4;

static KEYS: LazyLock<[SecretKey; LINES]> =
    LazyLock::new(|| std::array::from_fn(|at| SecretKey::of_view(&[at as u8; 32])));

/// A reflector says valid messages only, in one encoding and in order, and nothing on a connection that it has closed.
pub(crate) fn run(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let mut world = World::new();
    while let Some(step) = tape.step() {
        world.take(step, &mut tape);
        world.check();
    }
    world.reflector.shutdown(world.now);
    world.check();
    assert_eq!(world.reflector.stats().connections, 0);
}

/// Limits that a short input reaches.
fn config() -> Config {
    Config {
        snapshot_after_events: 6,
        snapshot_after_bytes: 2_048,
        log_limit_bytes: 8_192,
        log_reserve_bytes: 2_048,
        history_limit_bytes: 4_096,
        held_bytes_per_view: 1_024,
        max_views: 3,
        max_session_bytes: 32_768,
        max_session_bytes_per_address: 32_768,
        max_connections: LINES,
        max_idle_sessions: 2,
        max_idle_bytes: 8_192,
        max_idle_persisted: 4_096,
        max_departed: 2,
        ..Config::default()
    }
}

#[derive(Clone, Copy, Default)]
struct Line {
    connection: Option<ConnId>,
    counter: u64,
    attempt: u64,
}

struct World {
    reflector: Reflector,
    now: u64,
    next: u64,
    lines: [Line; LINES],
    /// Connections that the reflector has not closed.
    open: BTreeSet<ConnId>,
    members: BTreeMap<ConnId, SessionKey>,
    /// The newest ordered message of each session.
    newest: BTreeMap<SessionKey, u64>,
    /// Of the newest welcome.
    timeline: u64,
    chain: Digest,
    vote: u64,
}

impl World {
    fn new() -> Self {
        Self {
            reflector: Reflector::new(config(), [0; 32]),
            now: 0,
            next: 0,
            lines: [Line::default(); LINES],
            open: BTreeSet::new(),
            members: BTreeMap::new(),
            newest: BTreeMap::new(),
            timeline: 0,
            chain: Digest([0; 32]),
            vote: 0,
        }
    }

    fn take(&mut self, step: u8, tape: &mut Tape<'_>) {
        let line = usize::from(step >> 6);
        match step & 15 {
            step::FRAME => self.say_raw(line, tape.piece()),
            step::CONNECT => self.connect(line),
            step::JOIN => {
                let (how, data) = (tape.number(), tape.piece());
                self.join(line, how, data);
            }
            step::SEND => {
                self.lines[line].counter += 1;
                let counter = self.lines[line].counter;
                self.say(line, &ClientMessage::Send(Send { counter, payload: tape.piece() }));
            }
            step::WAIT => self.wait(tape.number()),
            step::CUT => self.cut(line),
            step::MESSAGE => {
                let tag = (tape.number() & 127) as u8;
                self.say_raw(line, &[&[0x92, tag], tape.piece()].concat());
            }
            step::VOTE => {
                let vote = Vote { seq: self.vote, hash: Digest::of(&wrapped(tape.piece())) };
                self.say(line, &ClientMessage::Vote(vote));
            }
            step::UPLOAD => self.upload(line, &wrapped(tape.piece())),
            step::ASK => self.say(line, &ClientMessage::RequestVote),
            step::HEAR => {
                if let Some(connection) = self.lines[line].connection {
                    self.reflector.heard(self.now, connection);
                    self.reflector.mark_unread(self.now, connection);
                    self.reflector.may_read_at(connection);
                }
            }
            step::ABOUT => {
                let (number, seq) = (tape.number(), self.vote);
                self.say(
                    line,
                    &match number & 3 {
                        0 => ClientMessage::Unusable(seq),
                        1 => ClientMessage::Confirm(seq),
                        2 => ClientMessage::Loaded(seq),
                        _ => ClientMessage::LeaveAfter(u32::from(number)),
                    },
                );
            }
            _ => {}
        }
    }

    fn connect(&mut self, line: usize) {
        self.cut(line);
        let connection = ConnId(self.next);
        self.next += 1;
        self.open.insert(connection);
        self.lines[line].connection = Some(connection);
        self.reflector.connected(self.now, connection, challenge(line));
    }

    fn cut(&mut self, line: usize) {
        if let Some(connection) = self.lines[line].connection.take()
            && self.open.remove(&connection)
        {
            self.members.remove(&connection);
            self.reflector.disconnected(self.now, connection);
        }
    }

    fn wait(&mut self, milliseconds: u16) {
        self.now += u64::from(milliseconds) * 1_000;
        // What was due is done once: it must not be due again at once, for ever.
        for _ in 0..1_000 {
            if self.reflector.next_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.reflector.handle_timeout(self.now);
            self.check();
        }
        panic!("what is due at {} is due again and again", self.now);
    }

    fn join(&mut self, line: usize, how: u16, view_data: &[u8]) {
        self.lines[line].attempt += u64::from(how & 1);
        let key = &KEYS[usize::from(how >> 1 & 3)];
        let seq = self.newest.values().max().copied().unwrap_or_default();
        let resume = Resume { timeline: self.timeline, seq, chain: self.chain };
        let join = Join {
            protocol: 1,
            program: Digest([(how >> 3 & 1) as u8; 32]),
            name: Digest([1; 32]),
            version: 1 + u32::from(how >> 4 & 1),
            view_key: key.public(),
            password_key: None,
            view_data: Some(view_data),
            ticks_per_second: how >> 6,
            attempt: self.lines[line].attempt,
            resume: (how >> 5 & 1 > 0).then_some(resume),
            agent: "fuzz",
        };
        self.say(line, &join.prove(&challenge(line), key, None));
    }

    fn upload(&mut self, line: usize, snapshot: &[u8]) {
        let (seq, total) = (self.vote, snapshot.len() as u64);
        let mut offset = 0;
        for data in snapshot.chunks(1_024) {
            let part = SnapshotPart { seq, offset, total, data };
            self.say(line, &ClientMessage::SnapshotPart(part));
            offset += data.len() as u64;
        }
    }

    fn say(&mut self, line: usize, message: &ClientMessage<'_>) {
        self.say_raw(line, &message.encode());
    }

    fn say_raw(&mut self, line: usize, frame: &[u8]) {
        if let Some(connection) = self.lines[line].connection
            && self.open.contains(&connection)
        {
            self.reflector.received(self.now, connection, frame);
            self.check();
        }
    }

    /// Takes what the reflector wants.
    fn check(&mut self) {
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    assert!(self.open.contains(&connection), "it says more after its end");
                    self.hear(None, &frame);
                }
                Output::SendLog { connection, block } => {
                    assert!(self.open.contains(&connection), "it says more after its end");
                    block.frames_from(0).for_each(|frame| self.hear(None, frame));
                }
                Output::Broadcast { session, frame } => self.hear(Some(session), &frame),
                Output::Enter { connection, session } => {
                    assert!(self.open.contains(&connection));
                    self.members.insert(connection, session);
                }
                Output::Close { connection, .. } => {
                    assert!(self.open.remove(&connection), "it is closed twice");
                    self.members.remove(&connection);
                }
                Output::References { .. } => {}
                Output::Presences { session } => self.fetch_presences(session),
                Output::Store { .. } | Output::Release(_) => {
                    panic!("expected a reflector without storage")
                }
            }
        }
        assert!(self.reflector.stats().connections <= self.open.len());
    }

    /// What participants show reaches its end, whatever was seen before.
    fn fetch_presences(&mut self, session: SessionKey) {
        let mut seen = 0;
        while let Some((frame, version)) = self.reflector.presences(session, seen) {
            assert!(version > seen);
            seen = version;
            self.hear(None, &frame);
        }
    }

    fn hear(&mut self, session: Option<SessionKey>, frame: &[u8]) {
        let message = ServerMessage::decode(frame).expect("a reflector says valid messages");
        assert_eq!(message.encode(), frame);
        let seq = match message {
            ServerMessage::Event(event) => event.seq,
            ServerMessage::Views(views) => views.seq,
            ServerMessage::VoteRequest(vote) => {
                self.vote = vote.seq;
                vote.seq
            }
            ServerMessage::Welcome(welcome) => {
                self.timeline = welcome.timeline;
                return;
            }
            _ => return,
        };
        let Some(session) = session else { return };
        let before = self.newest.insert(session, seq);
        assert!(before.is_none_or(|before| before + 1 == seq), "{seq} after {before:?}");
    }
}

fn challenge(line: usize) -> Challenge {
    Challenge { nonce: Digest([line as u8; 32]), channel: None }
}

/// A state in its envelope.
fn wrapped(state: &[u8]) -> Vec<u8> {
    let space = teatime_wire::Room::new(Digest([1; 32]), None, 1).id;
    Envelope { persisted: None, roots: Vec::new(), space }.wrap(state)
}
