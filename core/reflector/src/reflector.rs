//! All sessions and connections of a reflector.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Holding, Join, PROTOCOL_VERSION, Room, ServerMessage,
    SessionId, Vote, WireError,
};

use crate::config::Config;
use crate::journal::Journal;
use crate::rooms::{self, Keeping, Kept, Origin, Place, Rooms};
use crate::session::{Refusal, Session, Turn};
#[cfg(feature = "storage")]
use crate::old::Storage;
use crate::old::{StorageError, Stored};
use crate::views::Arrival;

/// How often it is looked whether the storage has what was handed to it to be kept, in µs.
const LOOK: u64 = 10_000;

/// Names a connection. The driver chooses it, and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a session among those of one reflector; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);

/// What the driver must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a frame to one connection.
    Send {
        /// To which.
        connection: ConnId,
        /// One WebSocket binary message.
        frame: Bytes,
    },
    /// Send a frame to every member of a session.
    Broadcast {
        /// To which.
        session: SessionKey,
        /// One WebSocket binary message.
        frame: Bytes,
    },
    /// Throw away what waits to be sent to the members of a session since the last commit: it could
    /// not be stored. They are closed next.
    Retract {
        /// Of which.
        session: SessionKey,
    },
    /// From now on this connection is a member of this session.
    Enter {
        /// Which.
        connection: ConnId,
        /// Of which.
        session: SessionKey,
    },
    /// To which blobs of its room a session may refer, or what is persisted in a room.
    References {
        /// Of which; for a room the name by which it is stored among the sessions.
        session: SessionId,
        /// The space of the blobs.
        room: Digest,
        /// What is known of that.
        holding: Holding,
    },
    /// Send what waits for this connection, then close it. It is a member of no session any more,
    /// and nothing of it is to be reported.
    Close {
        /// Which.
        connection: ConnId,
        /// The code for the close frame.
        reason: CloseReason,
        /// More about it, for people; may be empty.
        detail: String,
    },
}

impl Output {
    /// Whether it tells something of a session to its members, or makes one of them.
    fn is_of(&self, key: SessionKey, members: &[ConnId]) -> bool {
        match self {
            Self::Broadcast { session, .. } => *session == key,
            Self::Send { connection, .. } | Self::Enter { connection, .. } => {
                members.contains(connection)
            }
            Self::Retract { .. } | Self::Close { .. } | Self::References { .. } => false,
        }
    }
}

/// How much a reflector holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections, joined or not.
    pub connections: usize,
    /// Sessions, those included in which nobody is.
    pub sessions: usize,
    /// Bytes of all logs and snapshots.
    pub log_bytes: u64,
}

/// The server as a state machine: frames and time go in, [`Output`]s come out of
/// [`poll_output`](Self::poll_output). It never sees a model, and with a password no plain text.
/// Times are µs of the driver's own monotonic clock. Whatever a client sends, the worst that
/// happens is that its own connection is closed.
pub struct Reflector {
    config: Config,
    rng: ChaCha12Rng,
    connections: HashMap<ConnId, Connection>,
    sessions: HashMap<SessionKey, Session>,
    by_id: HashMap<SessionId, SessionKey>,
    rooms: Rooms,
    /// When it is looked next what of them has been stored.
    next_look: u64,
    next_session: u64,
    /// When sessions want to be looked at; what is out of date is found so when its time comes.
    timeouts: BinaryHeap<Reverse<(u64, SessionKey)>>,
    /// The earliest entry of each session in `timeouts`.
    scheduled: HashMap<SessionKey, u64>,
    /// Connections that have not joined yet, the oldest first.
    unjoined: VecDeque<(u64, ConnId)>,
    /// Sessions in which nobody is, the oldest first; entries may be out of date.
    idle: VecDeque<(u64, SessionKey)>,
    out: VecDeque<Output>,
    journal: Journal,
}

struct Connection {
    last_heard: u64,
    place: Option<(SessionKey, Arrival)>,
}

impl Reflector {
    /// A reflector without sessions, which forgets them when it ends. `seed` makes timelines
    /// unpredictable.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::with_journal(config, seed, Journal::new(None))
    }

    /// A reflector that keeps its sessions in a storage, and goes on with those that are there. Its
    /// driver calls [`commit`](Self::commit) before it sends anything.
    #[cfg(feature = "storage")]
    pub fn with_storage(config: Config, seed: [u8; 32], storage: Box<dyn Storage>) -> Self {
        Self::with_journal(config, seed, Journal::new(Some(storage)))
    }

    fn with_journal(config: Config, seed: [u8; 32], journal: Journal) -> Self {
        Self {
            config,
            rng: ChaCha12Rng::from_seed(seed),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            rooms: Rooms::default(),
            next_look: 0,
            next_session: 0,
            timeouts: BinaryHeap::new(),
            scheduled: HashMap::new(),
            unjoined: VecDeque::new(),
            idle: VecDeque::new(),
            out: VecDeque::new(),
            journal,
        }
    }

    /// How it is set.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the driver must do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A connection has been made.
    pub fn connected(&mut self, now: u64, connection: ConnId) {
        self.connections.insert(connection, Connection { last_heard: now, place: None });
        self.unjoined.push_back((now + self.config.join_timeout, connection));
        if self.connections.len() > self.config.max_connections {
            self.close(now, connection, (CloseReason::Full, "the reflector is full".into()));
        }
    }

    /// A connection is gone.
    pub fn disconnected(&mut self, now: u64, connection: ConnId) {
        self.remove(now, connection, false);
    }

    /// Something was heard on a connection that is no frame of the protocol, such as a ping.
    pub fn heard(&mut self, now: u64, connection: ConnId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.last_heard = now;
        }
    }

    /// One WebSocket message arrived.
    pub fn received(&mut self, now: u64, connection: ConnId, frame: &[u8]) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.last_heard = now;
        let place = known.place;
        let handled = match (ClientMessage::decode(frame), place) {
            (Err(error), _) => Err(refuse(&error)),
            (Ok(ClientMessage::Join(join)), None) => self.join(now, connection, &join),
            (Ok(ClientMessage::Join(_)), Some(_)) => {
                Err((CloseReason::OutOfOrder, "a second join".into()))
            }
            (Ok(_), None) => Err((CloseReason::NotJoined, String::new())),
            (Ok(message), Some((session, arrival))) => {
                self.dispatch(now, connection, session, arrival, &message)
            }
        };
        if let Err(refusal) = handled {
            self.close(now, connection, refusal);
        }
    }

    fn dispatch(
        &mut self,
        now: u64,
        connection: ConnId,
        key: SessionKey,
        arrival: Arrival,
        message: &ClientMessage<'_>,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let was_used = session.is_used;
        let turn =
            &mut Turn { now, config: &self.config, out: &mut self.out, journal: &mut self.journal };
        match message {
            ClientMessage::Send(send) => session.send(turn, arrival, send)?,
            ClientMessage::RequestVote => session.request_vote(turn),
            ClientMessage::Vote(Vote { seq, hash }) => session.cast(turn, arrival, *seq, *hash),
            ClientMessage::SnapshotPart(part) => {
                session.snapshot_part(turn, arrival, part)?;
                self.keep(now, key);
            }
            ClientMessage::Persist => session.persist(turn),
            ClientMessage::Ping(nonce) => {
                let frame = ServerMessage::Pong(*nonce).encode().into();
                self.out.push_back(Output::Send { connection, frame });
                return Ok(());
            }
            ClientMessage::Leave => {
                self.remove(now, connection, true);
                self.push_close(connection, CloseReason::Left, String::new());
                return Ok(());
            }
            ClientMessage::Join(_) => {}
        }
        if !was_used && let Some(session) = self.sessions.get(&key).filter(|one| one.is_used) {
            self.rooms.is_used(&session.room);
        }
        self.schedule(key);
        Ok(())
    }

    fn join(&mut self, now: u64, connection: ConnId, join: &Join<'_>) -> Result<(), Refusal> {
        if join.protocol != PROTOCOL_VERSION {
            let detail = format!("version {} instead of {PROTOCOL_VERSION}", join.protocol);
            return Err((CloseReason::Version, detail));
        }
        let key = match self.by_id.get(&join.session) {
            Some(key) => *key,
            None => self.wake_session(now, join)?,
        };
        let key = self.begin_anew(key, join).inspect_err(|_| self.limit_idle(now))?;
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let turn =
            &mut Turn { now, config: &self.config, out: &mut self.out, journal: &mut self.journal };
        let joined = session.join(turn, connection, join);
        let (arrival, replaced) = match joined {
            Ok(joined) => joined,
            Err(refusal) => {
                // It may have been loaded for this join only.
                self.limit_idle(now);
                return Err(refusal);
            }
        };
        tracing::debug!(session = %join.session, agent = ?join.agent, "a client joined");
        if let Some(known) = self.connections.get_mut(&connection) {
            known.place = Some((key, arrival));
        }
        if let Some(old) = replaced {
            self.connections.remove(&old);
            self.push_close(old, CloseReason::Replaced, String::new());
        }
        self.rooms.wake(&join.room, key);
        self.tell_newer(&join.room, key, connection);
        self.keep_loaded(now, key);
        self.schedule(key);
        Ok(())
    }

    /// Tells somebody who has joined if a newer version of the app is there, and others if his is newer than
    /// theirs.
    fn tell_newer(&mut self, room: &Room, key: SessionKey, connection: ConnId) {
        for session in self.rooms.tell(room, room.version) {
            let frame = ServerMessage::NewerVersion(room.version).encode().into();
            self.out.push_back(Output::Broadcast { session, frame });
        }
        if let Some(newest) = self.rooms.newest(room).filter(|newest| *newest > room.version) {
            let session = self.sessions.get(&key);
            if session.is_some_and(|session| session.views.connected() == 1) {
                self.rooms.is_told(room, key, newest);
            }
            let frame = ServerMessage::NewerVersion(newest).encode().into();
            self.out.push_back(Output::Send { connection, frame });
        }
    }

    /// Somebody is in a session that may have been loaded: what is persisted in it should be kept.
    fn keep_loaded(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some((own, begun_with)) = session.loaded.take() else { return };
        let (journal, out) = (&mut self.journal, &mut self.out);
        if self.rooms.misses(&session.room, &own, begun_with.as_ref(), journal, out) {
            session.to_keep = Some(own);
            self.keep(now, key);
        }
    }

    /// Keeps what a session has persisted for those of later versions of the app.
    fn keep(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(new) = session.to_keep.take() {
            let room = rooms::place(&session.room);
            self.keep_in(now, room, key, new);
            self.look_for_kept(now);
        }
    }

    fn keep_in(&mut self, now: u64, room: Place, key: SessionKey, new: Kept) {
        let from = new.from;
        match self.rooms.keep(room, key, new, &mut self.journal, &mut self.out) {
            Ok(Keeping::Kept) => self.tell_kept(now, key, from, Ok(true)),
            Ok(Keeping::Older) => self.tell_kept(now, key, from, Ok(false)),
            Ok(Keeping::Later) => self.next_look = now + LOOK,
            Err(error) => self.tell_kept(now, key, from, Err(error)),
        }
    }

    /// Looks what has become of what was to be kept.
    fn look_for_kept(&mut self, now: u64) {
        loop {
            let kept = self.journal.kept();
            if kept.is_empty() {
                return;
            }
            for (id, stored) in kept {
                let arrived = self.rooms.written(id, stored.is_ok(), &mut self.out);
                let Some(arrived) = arrived else { continue };
                self.tell_kept(now, arrived.by, arrived.from, stored.map(|()| true));
                for (key, new) in arrived.others {
                    self.keep_in(now, arrived.room, key, new);
                }
                self.rooms.drop_unused(arrived.room, &mut self.journal);
            }
        }
    }

    /// What a session has persisted is kept, or is not, for newer versions have persisted something.
    fn tell_kept(
        &mut self,
        now: u64,
        key: SessionKey,
        from: Origin,
        kept: Result<bool, StorageError>,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Err(error) = &kept {
            tracing::error!(session = %session.id, %error, "what is persisted cannot be kept");
        }
        // What it began with was persisted by others.
        let Some(seq) = session.own_vote(from) else { return };
        let turn =
            &mut Turn { now, config: &self.config, out: &mut self.out, journal: &mut self.journal };
        match kept {
            Ok(true) => session.persisted(turn, seq),
            Ok(false) => {
                tracing::info!(session = %session.id, "newer versions have persisted");
                session.tell_not_persisted(turn, seq, None);
            }
            Err(error) => {
                session.tell_not_persisted(turn, seq, Some(&error.to_string()));
                // What is damaged does not become whole by itself.
                if !matches!(error, StorageError::Corrupt(_)) {
                    session.not_persisted(turn);
                }
            }
        }
        self.schedule(key);
    }

    /// A session goes from memory.
    fn leave_room(&mut self, session: &Session) {
        let most = self.config.max_idle_persisted;
        let (room, key) = (&session.room, session.key);
        self.rooms.leave(room, key, most, &mut self.journal, &mut self.out);
    }

    /// A session of which nothing is in memory: goes on with what is stored, or begins.
    fn wake_session(&mut self, now: u64, join: &Join<'_>) -> Result<SessionKey, Refusal> {
        let key = SessionKey(self.next_session);
        self.next_session += 1;
        let id = join.session;
        if rooms::is_room(id) {
            return Err((CloseReason::Malformed, "this is no session".into()));
        }
        // It may have been dropped from memory with something of it still on its way.
        self.commit();
        let woken = match self.journal.load(id) {
            Ok(Some(stored)) => self.go_on(now, key, join, stored),
            Ok(None) => self.begin(key, join),
            Err(error) => Err(cannot_be_stored(id, &error)),
        };
        let session = woken.inspect_err(|_| self.journal.release(id))?;
        self.sessions.insert(key, session);
        self.by_id.insert(id, key);
        Ok(key)
    }

    fn go_on(
        &mut self,
        now: u64,
        key: SessionKey,
        join: &Join<'_>,
        stored: Stored,
    ) -> Result<Session, Refusal> {
        let id = join.session;
        let session = Session::restore(key, id, stored, now, &self.config, &self.journal);
        let session = session.map_err(|error| cannot_be_stored(id, &error))?;
        // Others who are in its room may be served by another thread.
        if let Err(refusal) = session.check_room(join) {
            return if session.is_used { Err(refusal) } else { self.begin(key, join) };
        }
        let (journal, out) = (&mut self.journal, &mut self.out);
        let entered = self.rooms.enter(&session.room, key, false, journal, out);
        entered.map_err(|error| cannot_be_stored(id, &error))?;
        if session.is_used {
            self.rooms.is_used(&session.room);
        }
        tracing::info!(session = %id, "a session goes on");
        // Nobody is in it as long as the join is not accepted.
        self.idle.push_back((now, key));
        Ok(session)
    }

    fn begin(&mut self, key: SessionKey, join: &Join<'_>) -> Result<Session, Refusal> {
        self.check_claims(join)?;
        let entered = self.rooms.enter(&join.room, key, true, &mut self.journal, &mut self.out);
        let persisted = entered.map_err(|error| cannot_be_stored(join.session, &error))?;
        tracing::info!(session = %join.session, "a session begins");
        let timeline = self.rng.next_u64();
        Ok(Session::begin(key, timeline, join, persisted, &self.config, &mut self.journal))
    }

    /// A session of which nobody could miss anything makes way for a new one, if it must.
    fn begin_anew(&mut self, key: SessionKey, join: &Join<'_>) -> Result<SessionKey, Refusal> {
        let kept = self.rooms.begins_with(&join.room);
        let session = self.sessions.get(&key).filter(|session| session.has_nothing());
        let Some(session) = session else { return Ok(key) };
        if !session.begins_anew(join, kept) {
            self.check_claims(join)?;
            return Ok(key);
        }
        // Something of it may still be on its way; if that fails it is gone from memory.
        self.commit();
        let new = SessionKey(self.next_session);
        self.next_session += 1;
        let session = self.begin(new, join)?;
        if let Some(old) = self.sessions.remove(&key) {
            self.scheduled.remove(&key);
            self.leave_room(&old);
        }
        self.sessions.insert(new, session);
        self.by_id.insert(join.session, new);
        Ok(new)
    }

    /// A session in which nothing has happened belongs to those who keep something in a room of its name: whoever has
    /// mistyped the password, or does not know it, must not begin it in their place.
    fn check_claims(&self, join: &Join<'_>) -> Result<(), Refusal> {
        if self.rooms.belongs_to_others(&join.room, &self.journal) {
            let detail = "with another password, or none, something is kept in a room of this name";
            return Err((CloseReason::WrongPassword, detail.into()));
        }
        Ok(())
    }

    /// Stores what has happened since the last time, if there is a storage: before that nothing of
    /// it may be sent. If that is not possible none of it has happened: what waits to be sent to
    /// members of the sessions that it concerns is to be thrown away ([`Output::Retract`]), and
    /// they are told why, and to come back. Then it is false.
    pub fn commit(&mut self) -> bool {
        if self.journal.is_dirty()
            && let Err((error, sessions)) = self.journal.commit()
        {
            self.take_back(&error, &sessions);
            return false;
        }
        true
    }

    #[cold]
    fn take_back(&mut self, error: &StorageError, sessions: &[SessionKey]) {
        for key in sessions {
            let Some(session) = self.sessions.remove(key) else {
                // It was dropped from memory meanwhile; something of it may still wait to be sent.
                self.out.push_front(Output::Retract { session: *key });
                continue;
            };
            self.by_id.remove(&session.id);
            self.scheduled.remove(key);
            self.journal.release(session.id);
            self.leave_room(&session);
            if session.idle_since.is_none() {
                self.out.push_back(session.holds(Holding::AtRest));
            }
            let (reason, detail) = cannot_be_stored(session.id, error);
            let members: Vec<_> = session.views.iter().filter_map(|(_, v)| v.connection).collect();
            self.out.retain(|output| !output.is_of(*key, &members));
            // Before whatever else waits: it may have the driver send what is to be taken back.
            for connection in members.into_iter().rev() {
                self.connections.remove(&connection);
                let detail = detail.clone();
                self.out.push_front(Output::Close { connection, reason, detail });
            }
            self.out.push_front(Output::Retract { session: *key });
        }
    }

    /// Whether something waits for [`commit`](Self::commit), perhaps without anything to be sent.
    pub fn has_uncommitted(&self) -> bool {
        self.journal.is_dirty()
    }

    /// Whether there is such a session in memory: not, after what it did could not be stored.
    pub fn has_session(&self, key: SessionKey) -> bool {
        self.sessions.contains_key(&key)
    }

    /// Forgets a connection, and lets its session know.
    fn remove(&mut self, now: u64, connection: ConnId, left: bool) {
        let Some(Connection { place: Some((key, arrival)), .. }) =
            self.connections.remove(&connection)
        else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let turn =
            &mut Turn { now, config: &self.config, out: &mut self.out, journal: &mut self.journal };
        session.disconnected(turn, arrival, left);
        if session.idle_since.is_some() {
            self.rooms.sleep(&session.room, key);
            self.idle.push_back((now, key));
            self.limit_idle(now);
        }
        self.schedule(key);
    }

    fn close(&mut self, now: u64, connection: ConnId, (reason, detail): Refusal) {
        tracing::debug!(?connection, reason = reason.name(), detail, "a connection is closed");
        self.remove(now, connection, false);
        self.push_close(connection, reason, detail);
    }

    fn push_close(&mut self, connection: ConnId, reason: CloseReason, detail: String) {
        self.out.push_back(Output::Close { connection, reason, detail });
    }

    /// Sees to it that a session is looked at when it wants to be.
    fn schedule(&mut self, key: SessionKey) {
        let Some(at) = self.sessions.get(&key).and_then(Session::next_timeout) else { return };
        let earliest = self.scheduled.entry(key).or_insert(u64::MAX);
        if at < *earliest {
            *earliest = at;
            self.timeouts.push(Reverse((at, key)));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) may have something to do.
    pub fn next_timeout(&self) -> Option<u64> {
        let session = self.timeouts.peek().map(|Reverse((at, _))| *at);
        let unjoined = self.unjoined.front().map(|(at, _)| *at);
        let look = self.rooms.is_writing().then_some(self.next_look);
        session.into_iter().chain(unjoined).chain(self.next_dropping()).chain(look).min()
    }

    /// When the session that has been idle for longest is dropped from memory, if it is stored.
    fn next_dropping(&self) -> Option<u64> {
        let (since, _) = self.idle.front().filter(|_| self.journal.keeps())?;
        Some(since + self.config.max_idle_time)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: u64) {
        if self.rooms.is_writing() && self.next_look <= now {
            self.next_look = now + LOOK;
            self.look_for_kept(now);
        }
        if self.next_dropping().is_some_and(|at| at <= now) {
            self.limit_idle(now);
        }
        while let Some((_, connection)) = self.unjoined.pop_front_if(|(at, _)| *at <= now) {
            let waits = self.connections.get(&connection).is_some_and(|one| one.place.is_none());
            if waits {
                // Maybe the line is slow, or this machine was asleep: the client may try again.
                self.close(now, connection, (CloseReason::Silent, "no join came".into()));
            }
        }
        while let Some(&Reverse((at, key))) = self.timeouts.peek()
            && at <= now
        {
            self.timeouts.pop();
            if self.scheduled.get(&key) == Some(&at) {
                self.scheduled.remove(&key);
                self.session_timeout(now, key);
            }
        }
    }

    fn session_timeout(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if now >= session.next_silence_check {
            session.next_silence_check = now + self.config.silence_timeout / 4;
            self.check_silence(now, key);
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.handle_timeout(&mut Turn {
            now,
            config: &self.config,
            out: &mut self.out,
            journal: &mut self.journal,
        });
        self.schedule(key);
    }

    fn check_silence(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get(&key) else { return };
        let members = session.views.iter().filter_map(|(_, view)| view.connection);
        let is_silent = |id: &ConnId| {
            let heard = self.connections.get(id).map_or(now, |connection| connection.last_heard);
            now.saturating_sub(heard) > self.config.silence_timeout
        };
        let silent: Vec<_> = members.filter(is_silent).collect();
        for connection in silent {
            self.close(now, connection, (CloseReason::Silent, String::new()));
        }
    }

    /// Drops the sessions that have been idle for longest, as far as memory asks for it; those that
    /// are stored also when they have been so for long.
    fn limit_idle(&mut self, now: u64) {
        let sessions = &self.sessions;
        let is_idle = |(since, key): &(u64, SessionKey)| {
            sessions.get(key).is_some_and(|session| session.idle_since == Some(*since))
        };
        self.idle.retain(is_idle);
        let rooms = &self.rooms;
        let memory = |key: &SessionKey| {
            sessions.get(key).map_or(0, |one| one.log.memory() + rooms.memory(&one.room))
        };
        let mut bytes: u64 = self.idle.iter().map(|(_, key)| memory(key)).sum();
        while self.idle.len() > self.config.max_idle_sessions
            || bytes > self.config.max_idle_bytes
            || self.next_dropping().is_some_and(|at| at <= now)
        {
            let Some((_, key)) = self.idle.pop_front() else { return };
            if let Some(session) = self.sessions.remove(&key) {
                let memory = session.log.memory() + self.rooms.memory(&session.room);
                bytes = bytes.saturating_sub(memory);
                self.by_id.remove(&session.id);
                self.scheduled.remove(&key);
                self.journal.release(session.id);
                self.leave_room(&session);
                if !self.journal.keeps() {
                    self.out.push_back(session.holds(Holding::Gone));
                }
                tracing::info!(session = %session.id, "an idle session is dropped");
            }
        }
    }

    /// Closes everything: clients are told to come back.
    pub fn shutdown(&mut self, now: u64) {
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for connection in all {
            self.close(now, connection, (CloseReason::GoingAway, String::new()));
        }
    }

    /// How much it holds.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            log_bytes: self.sessions.values().map(|session| session.log.memory()).sum(),
        }
    }
}

fn cannot_be_stored(session: SessionId, error: &StorageError) -> Refusal {
    tracing::error!(%session, %error, "the storage of a session fails");
    (CloseReason::NotStored, error.to_string())
}

fn refuse(error: &WireError) -> Refusal {
    let reason = match error {
        WireError::TooLarge(_) => CloseReason::TooLarge,
        _ => CloseReason::Malformed,
    };
    (reason, error.to_string())
}
