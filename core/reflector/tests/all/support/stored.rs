//! A reflector with a storage that answers when the test says so.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};

use super::keys::prove;
use super::{SECOND, World};
use teatime_reflector::storage::{
    Answer, Append, Checkpoint, Claims, Key, Opened, Previous, Request, RoomId, StorageError,
    Stored, Ticket,
};
use teatime_reflector::{Config, ConnId, Output, Reflector, RoomIndex, room_of};
use teatime_wire::{ClientMessage, Join, Send};

/// What is stored, and the requests that wait. Requests are carried out when they are answered.
pub(crate) struct StoredWorld {
    world: World,
    pub(crate) sessions: BTreeMap<Key, Stored>,
    pub(crate) waiting: VecDeque<(Ticket, Request)>,
    /// What the reflector has let go of.
    pub(crate) released: Vec<Key>,
}

impl Deref for StoredWorld {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for StoredWorld {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl StoredWorld {
    pub(crate) fn new(config: Config) -> Self {
        let mut world = World::new(config.clone());
        world.reflector = Reflector::with_storage(config, [0; 32], 0, Opened::default());
        let (sessions, waiting, released) = (BTreeMap::new(), VecDeque::new(), Vec::new());
        Self { world, sessions, waiting, released }
    }

    /// Another process goes on with what is stored.
    pub(crate) fn restart(&mut self, config: Config) {
        self.restart_after(config, None);
    }

    /// The same, after a time in which nothing was stored.
    pub(crate) fn restart_after(&mut self, config: Config, unused_for: Option<u64>) {
        let opened = Opened { unused_for, ..Opened::default() };
        self.world.now += unused_for.unwrap_or(0);
        let now = self.world.now;
        self.world.reflector = Reflector::with_storage(config, [1; 32], now, opened);
        self.waiting.clear();
        self.world.members.clear();
    }

    /// Ends the turn. The requests wait.
    pub(crate) fn settle(&mut self) {
        let now = self.world.now;
        self.world.reflector.flush(now);
        let mut others = Vec::new();
        while let Some(output) = self.world.reflector.poll_output() {
            match output {
                Output::Store { ticket, request } => self.waiting.push_back((ticket, request)),
                Output::Release(key) => self.released.push(key),
                other => others.push(other),
            }
        }
        others.into_iter().for_each(|output| self.world.obey_one(output));
    }

    pub(crate) fn say(&mut self, from: ConnId, message: &ClientMessage<'_>) {
        self.world.reflector.received(self.world.now, from, &message.encode());
        self.settle();
    }

    pub(crate) fn post(&mut self, from: ConnId, counter: u64) {
        self.say(from, &ClientMessage::Send(Send { counter, payload: b"post" }));
    }

    pub(crate) fn join_as(&mut self, join: Join<'_>) -> ConnId {
        let connection = self.world.connect();
        self.world.attempt += 1;
        let attempt = self.world.attempt;
        let message = prove(Join { attempt, ..join }, &self.challenge(connection));
        self.say(connection, &message);
        connection
    }

    /// Joins, with everything stored.
    pub(crate) fn join_well(&mut self, join: Join<'_>) -> ConnId {
        let connection = self.join_as(join);
        self.answer_all();
        self.pass_well(SECOND);
        connection
    }

    pub(crate) fn cut(&mut self, connection: ConnId) {
        self.world.members.retain(|member| *member != connection);
        self.world.reflector.disconnected(self.world.now, connection);
        self.settle();
    }

    /// Time passes, and the storage does nothing.
    pub(crate) fn pass(&mut self, span: u64) {
        self.pass_with(span, |_| {});
    }

    /// Time passes, and the storage answers at once.
    pub(crate) fn pass_well(&mut self, span: u64) {
        self.answer_all();
        self.pass_with(span, Self::answer_all);
    }

    /// Time passes. `each` runs after everything that was due.
    pub(crate) fn pass_with(&mut self, span: u64, mut each: impl FnMut(&mut Self)) {
        let end = self.world.now + span;
        while let Some(at) = self.world.reflector.next_timeout().filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.world.reflector.handle_timeout(self.world.now);
            self.settle();
            each(self);
        }
        self.world.now = end;
    }

    /// Carries out and answers everything, and what follows from it.
    pub(crate) fn answer_all(&mut self) {
        while !self.waiting.is_empty() {
            self.answer(0);
        }
    }

    /// Carries out and answers the requests of one kind, once.
    pub(crate) fn answer_some(&mut self, wanted: impl Fn(&Request) -> bool) -> usize {
        let mut count = 0;
        let tickets: Vec<_> =
            self.waiting.iter().filter(|(_, one)| wanted(one)).map(|one| one.0).collect();
        for ticket in tickets {
            if let Some(at) = self.waiting.iter().position(|(other, _)| *other == ticket) {
                self.answer(at);
                count += 1;
            }
        }
        count
    }

    /// Carries out and answers the request at this place in the queue.
    pub(crate) fn answer(&mut self, at: usize) {
        let (ticket, request) = self.waiting.remove(at).expect("it waits");
        let answer = self.carry_out(request);
        self.tell(ticket, Ok(answer));
    }

    /// Fails the request at this place in the queue.
    pub(crate) fn fail(&mut self, at: usize) {
        let (ticket, _) = self.waiting.remove(at).expect("it waits");
        self.tell(ticket, Err(StorageError::Full));
    }

    pub(crate) fn tell(&mut self, ticket: Ticket, answer: Result<Answer, StorageError>) {
        let now = self.world.now;
        self.world.reflector.stored(now, ticket, answer);
        self.settle();
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Append(Append { session, begin, records }) => {
                let key = Key::Session(session);
                if let Some(head) = begin {
                    self.sessions.insert(key, Stored { head, ..Stored::default() });
                }
                self.sessions.get_mut(&key).expect("it has begun").records.extend(records);
            }
            Request::Load(key) => return Answer::Loaded(self.sessions.get(&key).cloned()),
            Request::Claims(room) => return Answer::Claims(self.claims(room)),
            Request::Checkpoint { session, checkpoint, previous } => {
                let stored = self.sessions.get_mut(&Key::Session(session)).expect("it has begun");
                replace(stored, checkpoint, previous);
            }
            Request::Proven { session, seq, .. } => {
                let stored = self.sessions.get_mut(&Key::Session(session)).expect("it has begun");
                if stored.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.seq == seq) {
                    stored.previous = None;
                }
            }
            Request::GoBack { session, to } => {
                let stored = self.sessions.get_mut(&Key::Session(session)).expect("it has begun");
                let Previous { checkpoint, mut records } =
                    stored.previous.take().expect("it is retained");
                assert_eq!(checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq), to);
                records.append(&mut stored.records);
                (stored.checkpoint, stored.records) = (checkpoint, records);
            }
            Request::Persist { room, checkpoint } => {
                let checkpoint = Some(checkpoint);
                let stored = Stored { checkpoint, ..Stored::default() };
                self.sessions.insert(Key::Room(room), stored);
            }
        }
        Answer::Done
    }

    fn claims(&self, room: RoomId) -> Claims {
        let mut index = RoomIndex::default();
        for (key, stored) in &self.sessions {
            match key {
                Key::Room(room) => index.add_persisted(*room),
                Key::Session(_) => {
                    let is_used = stored.checkpoint.is_some()
                        || stored.records.iter().any(|record| record.is_use());
                    if let Some(room) = room_of(&stored.head).filter(|_| is_used) {
                        index.add_use(room);
                    }
                }
            }
        }
        index.claims(room)
    }

    /// The appends that wait, by session.
    pub(crate) fn appends(&self) -> Vec<&Append> {
        let mut appends = Vec::new();
        for (_, request) in &self.waiting {
            if let Request::Append(append) = request {
                appends.push(append);
            }
        }
        appends
    }
}

/// A checkpoint replaces what it stands for, and that is retained if it is to be.
fn replace(stored: &mut Stored, checkpoint: Checkpoint, previous: Option<u64>) {
    let records = std::mem::take(&mut stored.records);
    let (covered, later) = records.into_iter().partition(|record| record.seq <= checkpoint.seq);
    let before = stored.checkpoint.replace(checkpoint);
    stored.records = later;
    let history = Previous { checkpoint: before, records: covered };
    let seq = |history: &Previous| history.checkpoint.as_ref().map_or(0, |one| one.seq);
    stored.previous = match (previous, stored.previous.take()) {
        (None, _) => None,
        (Some(to), Some(mut older)) if seq(&older) == to => {
            older.records.extend(history.records);
            Some(older)
        }
        (Some(to), _) => {
            assert_eq!(seq(&history), to, "the reflector knows what is stored");
            Some(history)
        }
    };
}
