//! All sessions and connections of a reflector.

mod door;
mod idle;
mod persisting;
mod storing;
mod timing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use teatime_wire::limits::MAX_CONTROL_FRAMES;
use teatime_wire::{
    Challenge, ClientMessage, CloseReason, Join, PROTOCOL_VERSION, Room, ServerMessage, SessionId,
    Vote, WireError, is_proven,
};

use crate::budget::{AddressId, Budget, Headroom};
use crate::config::Config;
use crate::outbox::{Outbox, Purpose};
use crate::rooms::Rooms;
use crate::session::{Refusal, Session, Turn};
use crate::storage::{Claims, Request, RoomId};
use crate::view::Arrival;
use crate::{ConnId, Output, SessionKey, Stats};
use door::Door;
use idle::Idle;
use persisting::Unanswered;

/// The server as a state machine: frames and time go in, [`Output`]s come out of [`poll_output`](Self::poll_output). It
/// never sees a model, and with a password no plain text. Times are µs of the driver's own monotonic clock. Whatever a
/// client sends, the worst that happens is that its own connection is closed.
///
/// With a storage, nothing that a client could see of an event leaves before the storage has acknowledged the event. The driver
/// calls [`flush`](Self::flush) at the end of each turn, submits the requests that come out, and hands the
/// answers to [`stored`](Self::stored). A session waits for its own append only.
pub struct Reflector {
    config: Config,
    rng: ChaCha12Rng,
    era: u64,
    /// Until then, views of the sessions that are loaded can come back, on the driver's clock.
    returns_until: u64,
    connections: HashMap<ConnId, Connection>,
    sessions: HashMap<SessionKey, Session>,
    by_id: HashMap<SessionId, SessionKey>,
    rooms: Rooms,
    door: Door,
    next_session: u64,
    /// When sessions want to be looked at. An entry that is out of date is noticed when its time comes.
    timeouts: BinaryHeap<Reverse<(u64, SessionKey)>>,
    /// The earliest entry of each session in `timeouts`.
    scheduled: HashMap<SessionKey, u64>,
    /// Connections that may not have joined yet, the oldest first.
    unjoined: VecDeque<(u64, ConnId)>,
    idle: Idle,
    budget: Budget,
    unanswered: Unanswered,
    out: Outbox,
}

impl fmt::Debug for Reflector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflector").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

struct Connection {
    last_heard: u64,
    /// Where it comes from, if that is limited.
    address: Option<AddressId>,
    /// What its join must be signed for.
    challenge: Challenge,
    /// Control frames of the transport that have come before it is a member.
    control_frames: usize,
    place: Place,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not sent its join.
    Outside,
    /// Its join waits for the storage.
    AtDoor(SessionId),
    Member(SessionKey, Arrival),
}

impl Reflector {
    /// A reflector without a storage: it forgets its sessions when it ends. `seed` makes timelines unpredictable.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::build(config, seed, None)
    }

    /// A reflector whose sessions outlive it in a [storage](crate::storage::Storage), which was opened at this time.
    /// Clients of the reflector before it have the rejoin limit from then on to come back, unless that reflector ended
    /// longer ago than that.
    #[cfg(feature = "storage")]
    pub fn with_storage(
        config: Config,
        seed: [u8; 32],
        now: u64,
        opened: crate::storage::Opened,
    ) -> Self {
        let is_late = opened.unused_for.is_some_and(|time| time > config.rejoin_limit);
        let limit = if is_late { 0 } else { config.rejoin_limit };
        Self { returns_until: now + limit, ..Self::build(config, seed, Some(opened.era)) }
    }

    fn build(config: Config, seed: [u8; 32], era: Option<u64>) -> Self {
        Self {
            config,
            rng: ChaCha12Rng::from_seed(seed),
            era: era.unwrap_or(0),
            returns_until: 0,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            rooms: Rooms::default(),
            door: Door::default(),
            next_session: 0,
            timeouts: BinaryHeap::new(),
            scheduled: HashMap::new(),
            unjoined: VecDeque::new(),
            idle: Idle::default(),
            budget: Budget::default(),
            unanswered: Unanswered::default(),
            out: Outbox::new(era.is_some()),
        }
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the driver must do next.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// A connection has been made, and a [`Greeter`](crate::Greeter) has sent its client this challenge.
    pub fn connected(&mut self, now: u64, connection: ConnId, challenge: Challenge) {
        let place = Place::Outside;
        let (last_heard, address) = (now, None);
        let new = Connection { last_heard, address, challenge, control_frames: 0, place };
        self.connections.insert(connection, new);
        self.unjoined.push_back((now + self.config.join_timeout, connection));
        if self.connections.len() > self.config.max_connections {
            self.close(now, connection, (CloseReason::Full, "the reflector is full".into()));
        }
    }

    /// Has the memory of its sessions counted together with that of other reflectors. To be called before anything else.
    pub fn share_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Says where a connection comes from. What it causes then counts for this address.
    pub fn comes_from(&mut self, connection: ConnId, address: AddressId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.address = Some(address);
        }
    }

    /// A connection is gone.
    pub fn disconnected(&mut self, now: u64, connection: ConnId) {
        self.remove(now, connection, false);
    }

    /// A connection has received something other than a frame of the protocol, such as a ping.
    pub fn heard(&mut self, now: u64, connection: ConnId) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.last_heard = now;
        if let Place::Member(key, arrival) = known.place {
            if let Some(session) = self.sessions.get_mut(&key) {
                session.spend(now, &self.config, arrival, 0);
            }
            return;
        }
        known.control_frames += 1;
        if known.control_frames > MAX_CONTROL_FRAMES {
            let detail = format!("more than {MAX_CONTROL_FRAMES} control frames before the join");
            self.close(now, connection, (CloseReason::NotJoined, detail));
        }
    }

    /// When the driver may read more from a connection. Until then its client has sent more than its allowance: the driver
    /// lets it wait, and calls [`mark_unread`](Self::mark_unread) meanwhile.
    pub fn may_read_at(&self, connection: ConnId) -> u64 {
        let Some(Place::Member(key, arrival)) = self.connections.get(&connection).map(|c| c.place)
        else {
            return 0;
        };
        let session = self.sessions.get(&key);
        session.map_or(0, |session| session.may_read_at(&self.config, arrival))
    }

    /// The driver does not read a connection just now, so its client does not count as silent.
    pub fn mark_unread(&mut self, now: u64, connection: ConnId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.last_heard = now;
        }
    }

    /// One WebSocket message arrived.
    pub fn received(&mut self, now: u64, connection: ConnId, frame: &[u8]) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.last_heard = now;
        let (place, challenge) = (known.place, known.challenge);
        let handled = match (ClientMessage::decode(frame), place) {
            (Err(error), _) => Err(refuse(&error)),
            (Ok(ClientMessage::Join(join, _)), Place::Outside) => {
                // Before the reflector looks for anything: what it answers then depends on the join alone.
                check_proof(frame, &challenge)
                    .and_then(|()| self.knock(now, connection, &join, frame))
            }
            (Ok(ClientMessage::Join(..)), _) => {
                Err((CloseReason::OutOfOrder, "a second join".into()))
            }
            (Ok(_), Place::Outside) => Err((CloseReason::NotJoined, String::new())),
            (Ok(message), Place::AtDoor(session)) => {
                self.received_at_door(now, connection, session, &message, frame)
            }
            (Ok(message), Place::Member(session, arrival)) => {
                self.spend(now, session, arrival, &message, frame);
                self.dispatch(now, connection, session, arrival, &message)
            }
        };
        if let Err(refusal) = handled {
            self.close(now, connection, refusal);
        }
    }

    /// Counts a frame of a member. The bytes of a snapshot that the reflector has asked for are free.
    fn spend(
        &mut self,
        now: u64,
        key: SessionKey,
        arrival: Arrival,
        message: &ClientMessage<'_>,
        frame: &[u8],
    ) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let bytes = match message {
            ClientMessage::SnapshotPart(part) if session.expects_part(arrival, part.seq) => 0,
            _ => frame.len() as u64,
        };
        session.spend(now, &self.config, arrival, bytes);
    }

    fn dispatch(
        &mut self,
        now: u64,
        connection: ConnId,
        key: SessionKey,
        arrival: Arrival,
        message: &ClientMessage<'_>,
    ) -> Result<(), Refusal> {
        let address = self.connections.get(&connection).and_then(|known| known.address);
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let of_storage = match address.filter(|_| self.out.has_storage()) {
            Some(address) => Headroom::of_storage(&self.config, self.budget.shares(), address),
            None => Headroom::ENDLESS,
        };
        session.set_headroom(self.budget.headroom(&self.config, address).and(of_storage));
        let was_used = session.is_used();
        let turn = &mut Turn { now, config: &self.config, out: &mut self.out };
        match message {
            ClientMessage::Send(_) if session.is_unstored() && of_storage.bytes == 0 => {
                let detail = "this address has stored as much as it may".to_owned();
                return Err((CloseReason::Full, detail));
            }
            ClientMessage::Send(send) => session.send(turn, arrival, send)?,
            ClientMessage::RequestVote => session.request_vote(turn),
            ClientMessage::Vote(Vote { seq, hash }) => session.cast(turn, arrival, *seq, *hash),
            ClientMessage::SnapshotPart(part) => {
                session.snapshot_part(turn, arrival, part)?;
                self.persist_new(now, key, address);
            }
            ClientMessage::Persist => session.persist(turn),
            ClientMessage::Confirm(seq) => session.confirm(turn, arrival, *seq),
            ClientMessage::Loaded(seq) => session.loaded(turn, arrival, *seq),
            ClientMessage::Unusable(seq) => session.unusable(turn, arrival, *seq)?,
            ClientMessage::LeaveAfter(ms) => {
                session.leave_after(turn, arrival, u64::from(*ms) * 1_000);
            }
            ClientMessage::Presence(data) => session.show_presence(turn, arrival, data),
            ClientMessage::Ping(nonce) => {
                self.pong(connection, *nonce);
                return Ok(());
            }
            ClientMessage::Leave => {
                self.leave(now, connection);
                return Ok(());
            }
            ClientMessage::Join(..) | ClientMessage::Later(_) => return Ok(()),
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            session.settle(&self.budget, address);
            if !was_used && session.is_used() {
                self.rooms.mark_used(RoomId::of(session.room()));
            }
        }
        self.schedule(key);
        Ok(())
    }

    /// Answers at once: a pong depends on nothing that is to be stored.
    fn pong(&mut self, connection: ConnId, nonce: u64) {
        let frame = ServerMessage::Pong(nonce).encode().into();
        self.out.push(Output::Send { connection, frame });
    }

    fn leave(&mut self, now: u64, connection: ConnId) {
        let session = self.remove(now, connection, true);
        self.push_close(session, connection, (CloseReason::Left, String::new()));
    }

    /// Makes a connection a member of a session that is in memory.
    fn admit(
        &mut self,
        now: u64,
        connection: ConnId,
        key: SessionKey,
        join: &Join<'_>,
    ) -> Result<(), Refusal> {
        let address = self.connections.get(&connection).and_then(|known| known.address);
        self.make_space(now, key, address)?;
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let turn = &mut Turn { now, config: &self.config, out: &mut self.out };
        let joined = session.join(turn, connection, join);
        let (arrival, replaced) = match joined {
            Ok(joined) => joined,
            Err(refusal) => {
                // The session may have been loaded for this join only.
                self.limit_idle(now);
                return Err(refusal);
            }
        };
        tracing::debug!(session = %join.session(), agent = ?join.agent, "a client joined");
        if let Some(known) = self.connections.get_mut(&connection) {
            known.place = Place::Member(key, arrival);
        }
        if let Some(old) = replaced {
            self.connections.remove(&old);
            self.push_close(Some(key), old, (CloseReason::Replaced, String::new()));
        }
        let room = join.room();
        self.rooms.wake(&room, key);
        self.note_idle(key);
        self.tell_newer(&room, key, connection);
        self.hint(key, connection, RoomId::of(&room));
        self.persist_found(now, key);
        self.schedule(key);
        Ok(())
    }

    /// Tells a client that has joined if a newer version of the app is there, and other sessions if its own is newer than
    /// theirs.
    fn tell_newer(&mut self, room: &Room, key: SessionKey, connection: ConnId) {
        let newer = |version| Bytes::from(ServerMessage::NewerVersion(version).encode());
        for session in self.rooms.tell(room, room.version) {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.tell_all(&mut self.out, newer(room.version));
            }
        }
        if let Some(newest) = self.rooms.newest(room).filter(|newest| *newest > room.version)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            if session.connected() == 1 {
                self.rooms.mark_told(room, key, newest);
            }
            session.tell(&mut self.out, connection, newer(newest));
        }
    }

    /// Another password leads to another room. So a client that is in a new room may be there by mistake, if another room of
    /// the name is in use.
    fn hint(&mut self, key: SessionKey, connection: ConnId, room: RoomId) {
        let is_first = self.sessions.get(&key).is_some_and(|session| session.connected() == 1);
        if is_first {
            for session in self.rooms.doubtful_beside(room) {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.tell_all(&mut self.out, ServerMessage::OtherPassword.encode().into());
                }
            }
        }
        if !self.rooms.is_new(room) {
            return;
        }
        if self.out.has_storage() {
            self.out.ask(Request::Claims(room), Purpose::Claims(key, connection, room));
        } else {
            self.claims_known(key, connection, room, Claims::default());
        }
    }

    /// The storage has told what it has of the rooms of a name. A client in one of them waits for that.
    fn claims_known(&mut self, key: SessionKey, connection: ConnId, room: RoomId, stored: Claims) {
        if stored.own {
            self.rooms.mark_used(room);
        }
        let place = self.connections.get(&connection).map(|known| known.place);
        let is_there = matches!(place, Some(Place::Member(of, _)) if of == key);
        if is_there
            && self.rooms.is_doubtful(room, stored)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            let frame = ServerMessage::OtherPassword.encode().into();
            session.tell(&mut self.out, connection, frame);
            self.rooms.doubt(room);
        }
    }

    /// Forgets a connection, and lets its session know. Returns the session.
    fn remove(&mut self, now: u64, connection: ConnId, left: bool) -> Option<SessionKey> {
        let Connection { place, address, .. } = self.connections.remove(&connection)?;
        let (key, arrival) = match place {
            Place::Outside => return None,
            Place::AtDoor(session) => {
                self.leave_door(now, connection, session);
                return None;
            }
            Place::Member(key, arrival) => (key, arrival),
        };
        let session = self.sessions.get_mut(&key)?;
        let turn = &mut Turn { now, config: &self.config, out: &mut self.out };
        session.disconnected(turn, arrival, left);
        session.settle(&self.budget, address);
        if session.at_rest_since().is_some() {
            self.rooms.sleep(session.room(), key);
            self.note_idle(key);
            self.limit_idle(now);
        }
        self.schedule(key);
        Some(key)
    }

    fn close(&mut self, now: u64, connection: ConnId, refusal: Refusal) {
        let (reason, detail) = &refusal;
        tracing::debug!(?connection, reason = reason.name(), detail, "a connection is closed");
        let session = self.remove(now, connection, false);
        self.push_close(session, connection, refusal);
    }

    /// Closes a connection, after everything that its session has told it.
    fn push_close(&mut self, session: Option<SessionKey>, connection: ConnId, refusal: Refusal) {
        if let Some(session) = session.and_then(|key| self.sessions.get_mut(&key)) {
            session.close(&mut self.out, connection, refusal);
        } else {
            let (reason, detail) = refusal;
            self.out.push(Output::Close { connection, reason, detail });
        }
    }

    fn draw_session_key(&mut self) -> SessionKey {
        self.next_session += 1;
        SessionKey(self.next_session - 1)
    }

    /// Closes everything: clients are asked to come back.
    pub fn shutdown(&mut self, now: u64) {
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for connection in all {
            self.close(now, connection, (CloseReason::GoingAway, String::new()));
        }
    }

    /// A frame with what participants of a session show that is newer than this version, and the version that its receiver
    /// has then. `None` if nothing is newer. Versions begin at 0 with each connection. A frame has some 32 KiB at most. The
    /// driver asks for the next when the socket has taken it and others have had their turn.
    pub fn presences(&self, session: SessionKey, version: u64) -> Option<(Bytes, u64)> {
        self.sessions.get(&session)?.presences_after(version)
    }

    /// Whether participants of a session show something that is newer than this version.
    pub fn has_presences(&self, session: SessionKey, version: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.has_presences_after(version))
    }

    /// How much it holds.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            log_bytes: self.sessions.values().map(Session::memory).sum(),
        }
    }
}

fn check_proof(frame: &[u8], challenge: &Challenge) -> Result<(), Refusal> {
    if is_proven(frame, challenge) {
        return Ok(());
    }
    let detail = match challenge.channel {
        Some(_) => "the join is not signed for this TLS connection; nothing in between may end TLS",
        None => "the join is not signed for this connection",
    };
    Err((CloseReason::BadProof, detail.into()))
}

fn refuse(error: &WireError) -> Refusal {
    match error {
        WireError::TooLarge(_) => (CloseReason::TooLarge, error.to_string()),
        WireError::Version(found) => {
            (CloseReason::Version, format!("expected version {PROTOCOL_VERSION}, found {found}"))
        }
        WireError::UnknownMessage(_) => (CloseReason::Version, error.to_string()),
        _ => (CloseReason::Malformed, error.to_string()),
    }
}
