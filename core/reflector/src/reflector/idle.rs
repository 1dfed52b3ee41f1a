//! Sessions without clients: how long they stay in memory.

use std::collections::{BTreeSet, HashMap};

use teatime_wire::{CloseReason, Holding};

use super::Reflector;
use crate::SessionKey;
use crate::budget::AddressId;
use crate::session::{Refusal, Session};
use crate::storage::{Key, RoomId};

/// Sessions without clients, ordered and summed up: so nothing has to walk all of them when a client leaves.
#[derive(Debug, Default)]
pub(super) struct Idle {
    all: HashMap<SessionKey, Entry>,
    /// Those that may leave memory: first those in which no participant has done anything, so that strangers who only join
    /// push out no other. Then by the time since when they are idle. The others have an append under way.
    droppable: BTreeSet<(bool, u64, SessionKey)>,
    /// Memory of all of them, in bytes.
    bytes: u64,
}

/// A session without clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    since: u64,
    /// Memory of the session and of its room, in bytes.
    bytes: u64,
    is_stored: bool,
    /// Whether a participant has done something in it.
    is_used: bool,
}

impl Idle {
    /// Adds a session, or what has changed of it.
    fn set(&mut self, key: SessionKey, entry: Entry) {
        self.forget(key);
        self.bytes += entry.bytes;
        if entry.is_stored {
            self.droppable.insert((entry.is_used, entry.since, key));
        }
        self.all.insert(key, entry);
    }

    /// A session has clients, or is not in memory.
    pub(super) fn forget(&mut self, key: SessionKey) {
        if let Some(entry) = self.all.remove(&key) {
            self.bytes -= entry.bytes;
            self.droppable.remove(&(entry.is_used, entry.since, key));
        }
    }

    /// The session that leaves memory first.
    fn first(&self) -> Option<SessionKey> {
        self.droppable.first().map(|(_, _, key)| *key)
    }

    /// The session that has been idle for longest of those that may leave memory, and since when.
    fn oldest(&self) -> Option<(u64, SessionKey)> {
        let used = self.droppable.range((true, 0, SessionKey(0))..).next();
        let oldest = self.droppable.first().into_iter().chain(used);
        oldest.map(|(_, since, key)| (*since, *key)).min()
    }
}

impl Reflector {
    /// When the session that has been idle for longest leaves memory. A session with an append under way stays.
    pub(super) fn next_dropping(&self) -> Option<u64> {
        if !self.out.has_storage() {
            return None;
        }
        let (since, _) = self.idle.oldest()?;
        Some(since + self.config.max_idle_time)
    }

    /// Notes whether a session is idle. To be called whenever that, or its memory while it is idle, may have changed.
    pub(super) fn note_idle(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(&key) else { return self.idle.forget(key) };
        let Some(since) = session.at_rest_since() else { return self.idle.forget(key) };
        let bytes = session.memory() + self.rooms.memory(session.room());
        let (is_stored, is_used) = (session.is_stored(), session.is_used());
        self.idle.set(key, Entry { since, bytes, is_stored, is_used });
    }

    /// Drops empty sessions, and then those that have been idle for longest, as far as memory demands it. Those that are stored also go
    /// when they have been idle for long.
    pub(super) fn limit_idle(&mut self, now: u64) {
        if self.idle.bytes > self.config.max_idle_bytes && !self.out.has_storage() {
            self.drop_histories();
        }
        while self.idle.all.len() > self.config.max_idle_sessions
            || self.idle.bytes > self.config.max_idle_bytes
        {
            let Some(key) = self.idle.first() else { return };
            self.drop_session(now, key);
        }
        while self.next_dropping().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.idle.oldest()
        {
            self.drop_session(now, key);
        }
    }

    /// What snapshots of idle sessions have replaced goes before any session does: the oldest first, until the rest fits.
    fn drop_histories(&mut self) {
        let keys: Vec<_> = self.idle.droppable.iter().map(|(_, _, key)| *key).collect();
        for key in keys {
            if self.idle.bytes <= self.config.max_idle_bytes {
                break;
            }
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            if session.drop_history() > 0 {
                session.settle(&self.budget, None);
                self.note_idle(key);
            }
        }
    }

    /// Has a session counted that a client from this address is about to join. One that has come to memory for this join
    /// goes again if its memory does not fit.
    pub(super) fn make_space(
        &mut self,
        now: u64,
        key: SessionKey,
        address: Option<AddressId>,
    ) -> Result<(), Refusal> {
        let headroom = self.budget.headroom(&self.config, address);
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        if session.connected() == 0 && session.uncounted() > headroom.bytes {
            tracing::warn!(session = %session.id(), "no memory is left for a session");
            self.drop_session(now, key);
            return Err((CloseReason::Full, "the memory for sessions is used up".into()));
        }
        session.set_headroom(headroom);
        session.settle(&self.budget, address);
        Ok(())
    }

    fn drop_session(&mut self, now: u64, key: SessionKey) {
        self.idle.forget(key);
        let Some(mut session) = self.sessions.remove(&key) else { return };
        session.close_account(&self.budget);
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
    pub(super) fn leave_room(&mut self, session: &Session) {
        let most = self.config.max_idle_persisted;
        let (room, key) = (session.room(), session.key());
        self.rooms.leave(room, key, most, &mut self.out);
        self.rooms.drop_unused(RoomId::of(room), &mut self.out);
    }
}
