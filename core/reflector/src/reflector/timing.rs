//! What happens because time passes.

use std::cmp::Reverse;

use teatime_wire::CloseReason;

use super::{Place, Reflector};
use crate::session::Turn;
use crate::{ConnId, SessionKey};

impl Reflector {
    /// Makes sure that a session is looked at when it wants to be.
    pub(super) fn schedule(&mut self, key: SessionKey) {
        let session = self.sessions.get(&key);
        let Some(at) = session.and_then(|session| session.next_timeout(&self.config)) else {
            return;
        };
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
        let times = [session, unjoined, self.next_dropping(), self.next_unanswered()];
        times.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: u64) {
        if self.next_dropping().is_some_and(|at| at <= now) {
            self.limit_idle(now);
        }
        self.report_unanswered(now);
        while let Some((_, connection)) = self.unjoined.pop_front_if(|(at, _)| *at <= now) {
            match self.connections.get(&connection).map(|one| one.place) {
                // The line may be slow, or this machine was asleep: the client may try again.
                Some(Place::Outside) => {
                    self.close(now, connection, (CloseReason::Silent, "no join came".into()));
                }
                Some(Place::AtDoor(session)) => {
                    tracing::error!(%session, "the storage does not answer");
                    let refusal = (CloseReason::NotStored, "the storage does not answer".into());
                    self.close(now, connection, refusal);
                }
                Some(Place::Member(..)) | None => {}
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
        if session.storage_deadline(&self.config).is_some_and(|at| at <= now) {
            self.give_up(now, key);
            return;
        }
        for connection in session.leaving(now) {
            // Not with LEFT: a client that is there again may come back.
            let session = self.remove(now, connection, true);
            let why = "the app was in the background for too long".to_owned();
            self.push_close(session, connection, (CloseReason::Silent, why));
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.start_silence_check(now, self.config.silence_timeout / 4) {
            self.check_silence(now, key);
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.set_headroom(self.budget.headroom(&self.config, None));
        session.handle_timeout(&mut Turn { now, config: &self.config, out: &mut self.out });
        session.settle(&self.budget, None);
        self.schedule(key);
    }

    fn check_silence(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get(&key) else { return };
        let is_silent = |id: &ConnId| {
            let heard = self.connections.get(id).map_or(now, |connection| connection.last_heard);
            now.saturating_sub(heard) > self.config.silence_timeout
        };
        let silent: Vec<_> = session.connections().filter(is_silent).collect();
        for connection in silent {
            self.close(now, connection, (CloseReason::Silent, String::new()));
        }
    }
}
