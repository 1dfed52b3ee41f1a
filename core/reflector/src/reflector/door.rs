//! Joins: they wait at the door until the storage has told what the reflector needs to know.
//!
//! The joins of one session are considered one after the other, in the order of their coming. A join to a session that is
//! in memory, and not empty, never waits unless another one does. One that waits for too long is refused by the join timeout.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use teatime_wire::{ClientMessage, CloseReason, Join, SessionId};

use super::storing::not_stored;
use super::{Place, Reflector};
use crate::outbox::Purpose;
use crate::rooms::Knowledge;
use crate::session::{Refusal, Session, Turn};
use crate::storage::{Claims, Key, Request, RoomId, StorageError, Stored};
use crate::{ConnId, SessionKey};

/// What a client may send before its welcome, in bytes: clients of this project send nothing.
const MAX_EARLY: usize = 64 * 1024;

/// The sessions that clients want to join, and wait for.
#[derive(Default)]
pub(super) struct Door {
    entries: HashMap<SessionId, Entry>,
    by_room: HashMap<RoomId, BTreeSet<SessionId>>,
}

/// What is known of one session, and the connections that wait for it.
#[derive(Default)]
struct Entry {
    queue: VecDeque<Waiting>,
    session: Lookup,
    claims: Option<(RoomId, Known)>,
    /// The room that the first connection in the queue needs in memory.
    room: Option<RoomId>,
}

struct Waiting {
    connection: ConnId,
    /// Its join, as it came.
    join: Bytes,
    /// What it has sent since.
    early: Vec<Bytes>,
    early_bytes: usize,
}

/// What is known of a session that is not in memory.
#[derive(Default)]
enum Lookup {
    #[default]
    NotAsked,
    Asked,
    /// An append that took too long is still under way.
    Overdue,
    Absent,
    Found(Box<Session>),
    Failed(StorageError),
}

enum Known {
    Asked,
    Answered(Result<Claims, StorageError>),
}

/// What becomes of a join.
enum Considered {
    /// It leads to this session, which is in memory.
    Ready(SessionKey),
    Waits,
    Refused(Refusal),
}

impl Reflector {
    /// A client wants to join a session.
    pub(super) fn knock(
        &mut self,
        now: u64,
        connection: ConnId,
        join: &Join<'_>,
        frame: &[u8],
    ) -> Result<(), Refusal> {
        let id = join.session;
        if !self.door.entries.contains_key(&id) {
            if !self.out.has_storage() {
                return match self.consider(now, join) {
                    Considered::Ready(key) => self.admit(now, connection, key, join),
                    Considered::Refused(refusal) => Err(refusal),
                    Considered::Waits => Ok(()),
                };
            }
            let in_memory = self.by_id.get(&id).copied();
            let is_empty = |key| self.sessions.get(&key).is_none_or(Session::is_empty);
            if let Some(key) = in_memory.filter(|key| !is_empty(*key)) {
                return self.admit(now, connection, key, join);
            }
            if self.door.entries.len() >= self.config.max_connections {
                return Err((CloseReason::NotStored, "the storage does not answer".into()));
            }
        }
        if let Some(known) = self.connections.get_mut(&connection) {
            known.place = Place::AtDoor(id);
        }
        let join = Bytes::copy_from_slice(frame);
        let waiting = Waiting { connection, join, early: Vec::new(), early_bytes: 0 };
        self.door.entries.entry(id).or_default().queue.push_back(waiting);
        self.advance_door(now, id);
        Ok(())
    }

    /// A client has sent something after its join that is still at the door.
    pub(super) fn received_at_door(
        &mut self,
        now: u64,
        connection: ConnId,
        session: SessionId,
        message: &ClientMessage<'_>,
        frame: &[u8],
    ) -> Result<(), Refusal> {
        match message {
            ClientMessage::Ping(nonce) => self.pong(connection, *nonce),
            ClientMessage::Leave => self.leave(now, connection),
            _ => {
                let entry = self.door.entries.get_mut(&session);
                let mut queue = entry.into_iter().flat_map(|entry| &mut entry.queue);
                if let Some(waiting) = queue.find(|waiting| waiting.connection == connection) {
                    waiting.early_bytes += frame.len();
                    if waiting.early_bytes > MAX_EARLY {
                        return Err((CloseReason::TooFast, "sent before the welcome".into()));
                    }
                    waiting.early.push(Bytes::copy_from_slice(frame));
                }
            }
        }
        Ok(())
    }

    /// A connection at the door is gone.
    pub(super) fn leave_door(&mut self, now: u64, connection: ConnId, id: SessionId) {
        let Some(entry) = self.door.entries.get_mut(&id) else { return };
        let was_first = entry.queue.front().is_some_and(|first| first.connection == connection);
        entry.queue.retain(|waiting| waiting.connection != connection);
        if was_first {
            self.no_longer_needs_room(id);
        }
        self.advance_door(now, id);
    }

    /// Considers the joins of a session as far as possible.
    pub(super) fn advance_door(&mut self, now: u64, id: SessionId) {
        loop {
            let Some(entry) = self.door.entries.get(&id) else { return };
            let Some(first) = entry.queue.front() else {
                self.close_door(id);
                return;
            };
            let frame = first.join.clone();
            let Ok(ClientMessage::Join(join)) = ClientMessage::decode(&frame) else { return };
            let considered = self.consider(now, &join);
            if matches!(considered, Considered::Waits) {
                return;
            }
            let entry = self.door.entries.get_mut(&id);
            let Some(waiting) = entry.and_then(|entry| entry.queue.pop_front()) else { return };
            self.let_in(now, &waiting, considered, &join);
            self.no_longer_needs_room(id);
        }
    }

    fn let_in(&mut self, now: u64, waiting: &Waiting, considered: Considered, join: &Join<'_>) {
        let connection = waiting.connection;
        if let Some(known) = self.connections.get_mut(&connection) {
            known.place = Place::Outside;
        }
        let admitted = match considered {
            Considered::Ready(key) => self.admit(now, connection, key, join),
            Considered::Refused(refusal) => Err(refusal),
            Considered::Waits => Ok(()),
        };
        if let Err(refusal) = admitted {
            return self.close(now, connection, refusal);
        }
        for frame in &waiting.early {
            self.received(now, connection, frame);
        }
    }

    /// The last connection that waited for a session is gone.
    fn close_door(&mut self, id: SessionId) {
        let Some(entry) = self.door.entries.get_mut(&id) else { return };
        match &entry.session {
            // The answer must find the entry.
            Lookup::Asked | Lookup::Overdue => return,
            Lookup::Absent | Lookup::Found(_) | Lookup::Failed(_) => {
                self.out.release(Key::Session(id));
            }
            Lookup::NotAsked => {}
        }
        self.door.entries.remove(&id);
    }

    /// Finds or begins the session of a join, as far as that is possible yet.
    fn consider(&mut self, now: u64, join: &Join<'_>) -> Considered {
        if let Some(key) = self.by_id.get(&join.session).copied() {
            return self.consider_loaded(now, key, join);
        }
        if !self.out.has_storage() {
            return self.consider_new(join);
        }
        let Some(entry) = self.door.entries.get_mut(&join.session) else {
            return Considered::Waits;
        };
        match std::mem::take(&mut entry.session) {
            Lookup::NotAsked => {
                entry.session = Lookup::Asked;
                let (key, purpose) =
                    (Key::Session(join.session), Purpose::LoadSession(join.session));
                self.out.ask(Request::Load(key), purpose);
                // Most joins need these, too. Asked together they take no longer.
                self.knows_room(join.session, RoomId::of(&join.room));
                self.claims(join);
                Considered::Waits
            }
            waits @ (Lookup::Asked | Lookup::Overdue) => {
                entry.session = waits;
                Considered::Waits
            }
            Lookup::Failed(error) => {
                tracing::error!(session = %join.session, %error, "a session cannot be read");
                self.out.release(Key::Session(join.session));
                Considered::Refused(not_stored(&error))
            }
            Lookup::Absent => {
                let considered = self.consider_new(join);
                self.keep_lookup(join.session, Lookup::Absent, &considered);
                considered
            }
            Lookup::Found(session) => self.consider_found(now, session, join),
        }
    }

    /// Puts back what is known of a session that has not come to memory.
    fn keep_lookup(&mut self, id: SessionId, lookup: Lookup, considered: &Considered) {
        if !matches!(considered, Considered::Ready(_))
            && let Some(entry) = self.door.entries.get_mut(&id)
        {
            entry.session = lookup;
        }
    }

    /// A session was read for this join, or for one before it.
    fn consider_found(&mut self, now: u64, session: Box<Session>, join: &Join<'_>) -> Considered {
        let id = join.session;
        // Another thread may serve clients of its room.
        if let Err(refusal) = session.check_room(join) {
            let considered = match session.is_used() {
                true => Considered::Refused(refusal),
                false => self.consider_new(join),
            };
            self.keep_lookup(id, Lookup::Found(session), &considered);
            return considered;
        }
        if !self.knows_room(id, RoomId::of(session.room())) {
            self.keep_lookup(id, Lookup::Found(session), &Considered::Waits);
            return Considered::Waits;
        }
        let key = session.key();
        if let Err(error) = self.rooms.enter(session.room(), key, false, &mut self.out) {
            return Considered::Refused(not_stored(&error));
        }
        if session.is_used() {
            self.rooms.mark_used(session.room());
        }
        tracing::info!(session = %id, "a session goes on");
        if let Some(since) = session.at_rest_since() {
            self.idle.push(since, key);
        }
        self.sessions.insert(key, *session);
        self.by_id.insert(id, key);
        self.consider_loaded(now, key, join)
    }

    /// The session is in memory. An empty one may have to make way for a new one.
    fn consider_loaded(&mut self, now: u64, key: SessionKey, join: &Join<'_>) -> Considered {
        let is_empty = self.sessions.get(&key).is_none_or(Session::is_empty);
        if !is_empty {
            return Considered::Ready(key);
        }
        if !self.knows_room(join.session, RoomId::of(&join.room)) {
            return Considered::Waits;
        }
        let persisted = self.rooms.begins_with(&join.room);
        let Some(session) = self.sessions.get(&key) else { return Considered::Waits };
        if !session.is_outdated(join, persisted) {
            return match self.check_claims(join) {
                None => Considered::Waits,
                Some(Ok(())) => Considered::Ready(key),
                Some(Err(refusal)) => {
                    self.limit_idle(now);
                    Considered::Refused(refusal)
                }
            };
        }
        if !session.is_stored() {
            return Considered::Waits;
        }
        let considered = self.consider_new(join);
        if let Considered::Refused(_) = considered {
            self.limit_idle(now);
        }
        if let Considered::Ready(_) = considered
            && let Some(old) = self.sessions.remove(&key)
        {
            self.scheduled.remove(&key);
            self.leave_room(&old);
        }
        considered
    }

    /// A session begins, if all that it depends on is known.
    fn consider_new(&mut self, join: &Join<'_>) -> Considered {
        let knows_room = self.knows_room(join.session, RoomId::of(&join.room));
        match self.check_claims(join) {
            Some(Ok(())) if knows_room => {}
            Some(Err(refusal)) => return Considered::Refused(refusal),
            Some(Ok(())) | None => return Considered::Waits,
        }
        let key = self.draw_session_key();
        if let Err(error) = self.rooms.enter(&join.room, key, true, &mut self.out) {
            tracing::error!(session = %join.session, %error, "a session cannot begin");
            return Considered::Refused(not_stored(&error));
        }
        tracing::info!(session = %join.session, "a session begins");
        let timeline = rand_chacha::rand_core::Rng::next_u64(&mut self.rng);
        // It does not sleep, so a timeout need not look at it before its client is in.
        let turn = &mut Turn { now: 0, config: &self.config, out: &mut self.out };
        let persisted = self.rooms.begins_with(&join.room);
        let session = Session::begin(turn, key, (timeline, self.era), join, persisted);
        self.sessions.insert(key, session);
        self.by_id.insert(join.session, key);
        Considered::Ready(key)
    }

    /// An empty session belongs to the clients that have persisted something in a room of its name: a client with
    /// a mistyped or unknown password must not begin it in their place. `None` if the storage has not answered yet.
    fn check_claims(&mut self, join: &Join<'_>) -> Option<Result<(), Refusal>> {
        Some(match self.claims(join)? {
            Err(error) => Err(not_stored(&error)),
            Ok(stored) if self.rooms.belongs_to_others(&join.room, stored) => {
                let detail =
                    "a room of this name with another password, or none, has persisted data";
                Err((CloseReason::WrongPassword, detail.into()))
            }
            Ok(_) => Ok(()),
        })
    }

    /// What is stored of the rooms of a name; asks if necessary.
    fn claims(&mut self, join: &Join<'_>) -> Option<Result<Claims, StorageError>> {
        if !self.out.has_storage() {
            return Some(Ok(Claims::default()));
        }
        let (id, room) = (join.session, RoomId::of(&join.room));
        let entry = self.door.entries.get_mut(&id)?;
        match &entry.claims {
            Some((of, Known::Asked)) if *of == room => None,
            Some((of, Known::Answered(Ok(claims)))) if *of == room => Some(Ok(*claims)),
            Some((of, Known::Answered(Err(error)))) if *of == room => {
                let error = error.clone();
                // The next join asks again.
                entry.claims = None;
                Some(Err(error))
            }
            _ => {
                entry.claims = Some((room, Known::Asked));
                self.out.ask(Request::Claims(room), Purpose::Claims(id, room));
                None
            }
        }
    }

    /// Whether a room is in memory, readable or not; asks if necessary. One that is unreadable is read again for each
    /// join.
    fn knows_room(&mut self, id: SessionId, room: RoomId) -> bool {
        if !self.out.has_storage() {
            return true;
        }
        let Some(entry) = self.door.entries.get(&id) else { return false };
        let waits_already = entry.room == Some(room);
        let knowledge = self.rooms.knowledge(room);
        if knowledge == Knowledge::Nothing || (knowledge == Knowledge::Unreadable && !waits_already)
        {
            self.rooms.ask(room, &mut self.out);
        }
        if !waits_already {
            self.no_longer_needs_room(id);
            self.rooms.expect(room);
            self.door.by_room.entry(room).or_default().insert(id);
            if let Some(entry) = self.door.entries.get_mut(&id) {
                entry.room = Some(room);
            }
        }
        let is_answered = matches!(knowledge, Knowledge::Readable | Knowledge::Unreadable);
        is_answered && (waits_already || knowledge == Knowledge::Readable)
    }

    fn no_longer_needs_room(&mut self, id: SessionId) {
        let entry = self.door.entries.get_mut(&id);
        let Some(room) = entry.and_then(|entry| entry.room.take()) else { return };
        if let Some(sessions) = self.door.by_room.get_mut(&room) {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.door.by_room.remove(&room);
            }
        }
        self.rooms.no_longer_expect(room);
        self.rooms.drop_unused(room, &mut self.out);
    }

    /// The storage has read a session, or could not.
    pub(super) fn session_loaded(
        &mut self,
        now: u64,
        id: SessionId,
        answer: Result<Option<Stored>, StorageError>,
    ) {
        let key = self.draw_session_key();
        let Some(entry) = self.door.entries.get_mut(&id) else { return };
        let restore = |stored: Stored| {
            Session::restore(key, id, &stored, now, &self.config, self.era).map(Box::new)
        };
        entry.session = match answer.and_then(|stored| stored.map(restore).transpose()) {
            Ok(None) => Lookup::Absent,
            Ok(Some(session)) => Lookup::Found(session),
            Err(error) => Lookup::Failed(error),
        };
        self.advance_door(now, id);
    }

    /// The storage has told what it has of the rooms of a name.
    pub(super) fn claims_known(
        &mut self,
        now: u64,
        id: SessionId,
        room: RoomId,
        claims: Result<Claims, StorageError>,
    ) {
        let Some(entry) = self.door.entries.get_mut(&id) else { return };
        if matches!(&entry.claims, Some((of, Known::Asked)) if *of == room) {
            entry.claims = Some((room, Known::Answered(claims)));
            self.advance_door(now, id);
        }
    }

    /// The storage has read a room, or could not.
    pub(super) fn door_hears_of_room(&mut self, now: u64, room: RoomId) {
        let waiting = self.door.by_room.get(&room).cloned().unwrap_or_default();
        for session in waiting {
            self.advance_door(now, session);
        }
    }

    /// An append of a session took too long: joins to it wait for the end of that.
    pub(super) fn session_is_overdue(&mut self, now: u64, id: SessionId) {
        self.door.entries.entry(id).or_default().session = Lookup::Overdue;
        self.advance_door(now, id);
    }

    /// That append has ended.
    pub(super) fn session_is_free(&mut self, now: u64, id: SessionId) {
        if let Some(entry) = self.door.entries.get_mut(&id) {
            entry.session = Lookup::NotAsked;
            self.advance_door(now, id);
        }
    }
}
