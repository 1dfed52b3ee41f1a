//! What becomes of a join: the session that it leads to, why it is refused, or what it waits for.

use teatime_wire::{Join, SessionId};

use super::{Considered, Lookup, Reflector};
use crate::SessionKey;
use crate::outbox::Purpose;
use crate::reflector::storing::not_stored;
use crate::rooms::Knowledge;
use crate::session::{Session, Turn};
use crate::storage::{Key, Request, RoomId};

impl Reflector {
    /// Finds or begins the session of a join, as far as that is possible yet.
    pub(super) fn consider(&mut self, now: u64, join: &Join<'_>) -> Considered {
        if let Some(key) = self.by_id.get(&join.session()).copied() {
            return self.consider_loaded(now, key, join);
        }
        if !self.out.has_storage() {
            return self.consider_new(join);
        }
        let Some(entry) = self.door.entries.get_mut(&join.session()) else {
            return Considered::Waits;
        };
        match std::mem::take(&mut entry.session) {
            Lookup::NotAsked => {
                entry.session = Lookup::Asked;
                let (key, purpose) =
                    (Key::Session(join.session()), Purpose::LoadSession(join.session()));
                self.out.ask(Request::Load(key), purpose);
                // Most joins need this, too. Asked together they take no longer.
                self.knows_room(join.session(), RoomId::of(&join.room()));
                Considered::Waits
            }
            waits @ (Lookup::Asked | Lookup::Overdue) => {
                entry.session = waits;
                Considered::Waits
            }
            Lookup::Failed(error) => {
                tracing::error!(session = %join.session(), %error, "a session cannot be read");
                self.out.release(Key::Session(join.session()));
                Considered::Refused(not_stored(&error))
            }
            Lookup::Absent => {
                let considered = self.consider_new(join);
                self.keep_lookup(join.session(), Lookup::Absent, &considered);
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
        let id = join.session();
        if !self.knows_room(id, RoomId::of(session.room())) {
            self.keep_lookup(id, Lookup::Found(session), &Considered::Waits);
            return Considered::Waits;
        }
        let key = session.key();
        if let Err(error) = self.rooms.enter(session.room(), key, false, &mut self.out) {
            return Considered::Refused(not_stored(&error));
        }
        if session.is_used() {
            self.rooms.mark_used(RoomId::of(session.room()));
        }
        tracing::info!(session = %id, "a session goes on");
        self.sessions.insert(key, *session);
        self.by_id.insert(id, key);
        self.note_idle(key);
        self.consider_loaded(now, key, join)
    }

    /// The session is in memory. An empty one may have to make way for a new one.
    fn consider_loaded(&mut self, now: u64, key: SessionKey, join: &Join<'_>) -> Considered {
        let is_empty = self.sessions.get(&key).is_none_or(Session::is_empty);
        if !is_empty {
            return Considered::Ready(key);
        }
        if !self.knows_room(join.session(), RoomId::of(&join.room())) {
            return Considered::Waits;
        }
        let persisted = self.rooms.begins_with(&join.room(), join.session());
        let Some(session) = self.sessions.get(&key) else { return Considered::Waits };
        if !session.is_outdated(persisted) {
            return Considered::Ready(key);
        }
        if !session.is_stored() {
            return Considered::Waits;
        }
        let considered = self.consider_new(join);
        if let Considered::Refused(_) = considered {
            self.limit_idle(now);
        }
        if let Considered::Ready(_) = considered
            && let Some(mut old) = self.sessions.remove(&key)
        {
            old.close_account(&self.budget);
            self.scheduled.remove(&key);
            self.idle.forget(key);
            self.leave_room(&old);
        }
        considered
    }

    /// A session begins, if all that it depends on is known.
    fn consider_new(&mut self, join: &Join<'_>) -> Considered {
        if !self.knows_room(join.session(), RoomId::of(&join.room())) {
            return Considered::Waits;
        }
        let key = self.draw_session_key();
        if let Err(error) = self.rooms.enter(&join.room(), key, true, &mut self.out) {
            tracing::error!(session = %join.session(), %error, "a session cannot begin");
            return Considered::Refused(not_stored(&error));
        }
        tracing::info!(session = %join.session(), "a session begins");
        let timeline = rand_chacha::rand_core::Rng::next_u64(&mut self.rng);
        // It does not sleep, so a timeout need not look at it before its client is in.
        let turn = &mut Turn { now: 0, config: &self.config, out: &mut self.out };
        let persisted = self.rooms.begins_with(&join.room(), join.session());
        let session = Session::begin(turn, key, (timeline, self.era), join, persisted);
        self.sessions.insert(key, session);
        self.by_id.insert(join.session(), key);
        Considered::Ready(key)
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
}
