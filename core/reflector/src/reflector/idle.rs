//! Sessions without clients: how long they stay in memory.

use std::collections::VecDeque;

use teatime_wire::Holding;

use super::Reflector;
use crate::SessionKey;
use crate::storage::{Key, RoomId};

/// Sessions without clients, the oldest first; entries may be out of date.
#[derive(Debug, Default)]
pub(super) struct Idle(VecDeque<(u64, SessionKey)>);

impl Idle {
    pub(super) fn push(&mut self, since: u64, key: SessionKey) {
        self.0.push_back((since, key));
    }
}

impl Reflector {
    /// When the session that has been idle for longest leaves memory. A session with an append under way stays.
    pub(super) fn next_dropping(&self) -> Option<u64> {
        if !self.out.has_storage() {
            return None;
        }
        let (since, _) = self.idle.0.iter().find(|entry| self.may_drop(entry))?;
        Some(since + self.config.max_idle_time)
    }

    fn is_idle(&self, (since, key): &(u64, SessionKey)) -> bool {
        self.sessions.get(key).is_some_and(|session| session.at_rest_since() == Some(*since))
    }

    fn may_drop(&self, entry: &(u64, SessionKey)) -> bool {
        self.is_idle(entry) && self.sessions.get(&entry.1).is_some_and(|one| one.is_stored())
    }

    /// Memory of a session and of its room.
    fn memory_with_room(&self, key: SessionKey) -> u64 {
        let session = self.sessions.get(&key);
        session.map_or(0, |session| session.memory() + self.rooms.memory(session.room()))
    }

    /// Drops the sessions that have been idle for longest, as far as memory demands it. Those that are stored also go
    /// when they have been idle for long.
    pub(super) fn limit_idle(&mut self, now: u64) {
        let mut idle = std::mem::take(&mut self.idle.0);
        idle.retain(|entry| self.is_idle(entry));
        self.idle.0 = idle;
        let mut bytes: u64 = self.idle.0.iter().map(|(_, key)| self.memory_with_room(*key)).sum();
        while self.idle.0.len() > self.config.max_idle_sessions
            || bytes > self.config.max_idle_bytes
            || self.next_dropping().is_some_and(|at| at <= now)
        {
            let Some(at) = self.idle.0.iter().position(|entry| self.may_drop(entry)) else {
                return;
            };
            let Some((_, key)) = self.idle.0.remove(at) else { return };
            bytes = bytes.saturating_sub(self.memory_with_room(key));
            self.drop_session(now, key);
        }
    }

    fn drop_session(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.remove(&key) else { return };
        // The storage does not know when its views left.
        let last_exit = session.last_exit().filter(|last| *last > now);
        self.returns_until = self.returns_until.max(last_exit.unwrap_or(0));
        self.by_id.remove(&session.id());
        self.scheduled.remove(&key);
        self.out.release(Key::Session(session.id()));
        self.leave_room(&session);
        if !self.out.has_storage() {
            self.out.push(session.holds(Holding::Gone));
        }
        tracing::info!(session = %session.id(), "an idle session leaves memory");
    }

    /// A session goes from memory.
    pub(super) fn leave_room(&mut self, session: &crate::session::Session) {
        let most = self.config.max_idle_persisted;
        let (room, key) = (session.room(), session.key());
        self.rooms.leave(room, key, most, &mut self.out);
        self.rooms.drop_unused(RoomId::of(room), &mut self.out);
    }
}
