//! How persisted data comes from sessions to rooms.

use std::collections::VecDeque;

use super::Reflector;
use crate::SessionKey;
use crate::budget::AddressId;
use crate::rooms::{Condition, Persisted, Wish};
use crate::session::Turn;
use crate::shares::Owner;
use crate::storage::{Key, RoomId, StorageError, Stored};
use crate::stored::Origin;

/// What waits for the storage, the oldest first; entries may be out of date.
#[derive(Debug, Default)]
pub(super) struct Unanswered(VecDeque<Entry>);

/// Persisted data that is not stored yet.
#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline: u64,
    room: RoomId,
    session: SessionKey,
    origin: Origin,
}

/// How clients hear that the storage has taken too long.
fn no_answer() -> StorageError {
    StorageError::Io("the storage does not answer".into())
}

impl Reflector {
    /// When persisted data may have waited for too long.
    pub(super) fn next_unanswered(&self) -> Option<u64> {
        self.unanswered.0.front().map(|entry| entry.deadline)
    }

    /// Clients hear of persisted data that the storage has not acknowledged in time. A write stays under way, because
    /// its outcome is unknown; what waits behind it goes on waiting. Both count if the storage answers after all.
    pub(super) fn report_unanswered(&mut self, now: u64) {
        while let Some(entry) = self.unanswered.0.pop_front_if(|entry| entry.deadline <= now) {
            if self.is_unanswered(&entry) {
                self.tell_persisted(now, entry.session, entry.origin, Err(no_answer()));
            }
        }
    }

    fn is_unanswered(&self, entry: &Entry) -> bool {
        self.rooms.is_pending(entry.room, entry.session, entry.origin)
    }

    /// The storage has answered something: deadlines that are out of date need not wake the driver.
    fn drop_answered(&mut self) {
        while let Some(entry) = self.unanswered.0.front().copied()
            && !self.is_unanswered(&entry)
        {
            self.unanswered.0.pop_front();
        }
    }

    /// A session that may have been loaded has its first client: its persisted data belongs in the room.
    pub(super) fn persist_found(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(found) = session.take_found() else { return };
        let is_own = found.session == session.id();
        let condition = if is_own { Condition::IfMissing } else { Condition::IfRoomIsEmpty };
        let room = RoomId::of(session.room());
        self.persist(now, room, Wish { session: key, new: found, condition });
    }

    /// Persists what the newest snapshot of a session holds, for sessions of later versions of the app.
    /// What that adds to the room counts for the address of the client that has handed it in.
    pub(super) fn persist_new(&mut self, now: u64, key: SessionKey, address: Option<AddressId>) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(new) = session.take_new_persisted() else { return };
        let info = *session.room();
        let (room, before) = (RoomId::of(&info), self.rooms.stored_bytes(&info));
        self.persist(now, room, Wish { session: key, new, condition: Condition::Always });
        if self.out.has_storage() {
            let (owner, after) = (Key::Room(room).holder(), self.rooms.stored_bytes(&info));
            self.budget.shares().settle(Owner::Key(owner), before, after, address);
        }
    }

    fn persist(&mut self, now: u64, room: RoomId, wish: Wish) {
        let (session, origin) = (wish.session, wish.new.origin);
        self.try_persist(now, room, wish);
        if self.rooms.is_pending(room, session, origin) {
            let deadline = now + self.config.storage_timeout;
            self.unanswered.0.push_back(Entry { deadline, room, session, origin });
        }
    }

    fn try_persist(&mut self, now: u64, room: RoomId, wish: Wish) {
        let (session, origin) = (wish.session, wish.new.origin);
        match self.rooms.persist(room, wish, &mut self.out) {
            Persisted::Yes => self.tell_persisted(now, session, origin, Ok(true)),
            Persisted::No => self.tell_persisted(now, session, origin, Ok(false)),
            Persisted::Needless | Persisted::Later => {}
        }
    }

    /// The storage has written the persisted data of a room, or could not.
    pub(super) fn room_written(
        &mut self,
        now: u64,
        room: RoomId,
        result: Result<(), StorageError>,
    ) {
        let written = self.rooms.written(room, result.is_ok(), &mut self.out);
        let Some((written, wishes)) = written else { return };
        self.tell_persisted(now, written.session, written.origin, result.map(|()| true));
        for wish in wishes {
            self.try_persist(now, room, wish);
        }
        self.drop_answered();
        self.rooms.drop_unused(room, &mut self.out);
    }

    /// The storage has read the persisted data of a room, or could not.
    pub(super) fn room_loaded(
        &mut self,
        now: u64,
        room: RoomId,
        answer: Result<Option<Stored>, StorageError>,
    ) {
        let wishes = self.rooms.loaded(room, answer, &mut self.out);
        for wish in wishes {
            match self.rooms.why_unreadable(room) {
                Some(error) => self.tell_persisted(now, wish.session, wish.new.origin, Err(error)),
                None => self.try_persist(now, room, wish),
            }
        }
        self.drop_answered();
        self.door_hears_of_room(now, room);
        self.rooms.drop_unused(room, &mut self.out);
    }

    /// The room has what a session has persisted, or does not: others have filled the room, or the storage failed.
    fn tell_persisted(
        &mut self,
        now: u64,
        key: SessionKey,
        origin: Origin,
        result: Result<bool, StorageError>,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let id = session.id();
        if let Err(error) = &result {
            tracing::error!(session = %id, %error, "persisted data cannot be stored");
        }
        // What it began with was persisted by other sessions.
        let Some(seq) = session.own_vote(origin) else { return };
        let turn = &mut Turn { now, config: &self.config, out: &mut self.out };
        match result {
            Ok(true) => session.persisted(turn, seq),
            Ok(false) => {
                tracing::warn!(session = %id, "the room has no place for persisted data of another session");
                session.tell_not_persisted(turn, seq, None);
            }
            Err(error) => {
                session.tell_not_persisted(turn, seq, Some(&error.to_string()));
                // Damaged data does not become whole by itself.
                if !matches!(error, StorageError::Corrupt(_)) {
                    session.persist_again(turn);
                }
            }
        }
        self.schedule(key);
    }
}
