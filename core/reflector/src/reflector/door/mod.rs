//! Joins: they wait at the door until the storage has told what the reflector needs to know.
//!
//! The joins of one session are considered one after the other, in the order of their coming. A join to a session that is
//! in memory, and not empty, never waits unless another one does. One that waits for too long is refused by the join timeout.

mod consider;

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use teatime_wire::{ClientMessage, CloseReason, Join, SessionId};

use super::{Place, Reflector};
use crate::session::{Refusal, Session};
use crate::storage::{Key, RoomId, StorageError, Stored};
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

/// What becomes of a join.
enum Considered {
    /// It leads to this session, which is in memory.
    Ready(SessionKey),
    Waits,
    Refused(Refusal),
}

impl Reflector {
    /// A client has proven a join, and wants to join its session.
    pub(super) fn knock(
        &mut self,
        now: u64,
        connection: ConnId,
        join: &Join<'_>,
        frame: &[u8],
    ) -> Result<(), Refusal> {
        let id = join.session();
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
            let Ok(ClientMessage::Join(join, _)) = ClientMessage::decode(&frame) else { return };
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
            let session = Session::restore(key, id, &stored, now, &self.config, self.era)?;
            Ok(Box::new(session.returns_until(self.returns_until)))
        };
        entry.session = match answer.and_then(|stored| stored.map(restore).transpose()) {
            Ok(None) => Lookup::Absent,
            Ok(Some(session)) => Lookup::Found(session),
            Err(error) => Lookup::Failed(error),
        };
        self.advance_door(now, id);
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
