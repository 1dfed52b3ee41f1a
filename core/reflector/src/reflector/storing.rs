//! What becomes of requests to the storage.

use teatime_wire::CloseReason;

use super::Reflector;
use crate::SessionKey;
use crate::outbox::Purpose;
use crate::session::{Refusal, Turn};
use crate::storage::{Answer, Claims, Key, StorageError, Stored, Ticket};

impl Reflector {
    /// Ends a turn: requests an append of what has happened, for each session that waits for none. The driver calls this
    /// before it submits the requests of the turn.
    pub fn flush(&mut self, now: u64) {
        if !self.out.has_gathering() {
            return;
        }
        for key in self.out.take_gathering() {
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            session.submit(now, &mut self.out);
            // A session with clients is looked at soon anyway.
            if session.connected() == 0 {
                self.schedule(key);
            }
        }
    }

    /// Whether [`flush`](Self::flush) has something to do.
    #[inline]
    pub fn needs_flush(&self) -> bool {
        self.out.has_gathering()
    }

    /// Whether the storage still has to acknowledge something, or something waits for the next flush. A driver that ends
    /// waits for it, within bounds.
    pub fn is_storing(&self) -> bool {
        self.out.has_gathering() || self.out.is_writing()
    }

    /// The storage has answered a request.
    pub fn stored(&mut self, now: u64, ticket: Ticket, answer: Result<Answer, StorageError>) {
        let Some(purpose) = self.out.close_ticket(ticket) else { return };
        match purpose {
            Purpose::Append(key) => match answer {
                Ok(_) => self.acknowledged(now, key),
                Err(error) => self.fail(now, key, &error),
            },
            Purpose::Overdue(session) => {
                // Whatever became of it, the storage has it now.
                self.out.release(Key::Session(session));
                self.session_is_free(now, session);
            }
            Purpose::LoadSession(session) => {
                self.session_loaded(now, session, answer.and_then(expect_loaded));
            }
            Purpose::Claims(session, connection, room) => match answer.and_then(expect_claims) {
                Ok(claims) => self.claims_known(session, connection, room, claims),
                Err(error) => tracing::warn!(%error, "no hint to a client: the storage fails"),
            },
            Purpose::LoadRoom(room) => {
                self.room_loaded(now, room, answer.and_then(expect_loaded));
            }
            Purpose::Checkpoint(session) => {
                if let Err(error) = answer {
                    tracing::warn!(%session, %error, "a checkpoint cannot be stored");
                }
            }
            Purpose::History(session) => {
                if let Err(error) = answer {
                    tracing::warn!(%session, %error, "the history of a session cannot be changed");
                }
            }
            Purpose::Persist(room) => self.room_written(now, room, answer.map(|_| ())),
        }
    }

    fn acknowledged(&mut self, now: u64, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let id = session.id();
        session.acknowledged(&mut Turn { now, config: &self.config, out: &mut self.out });
        let (is_stored, is_idle) = (session.is_stored(), session.at_rest_since().is_some());
        if is_idle {
            self.note_idle(key);
        }
        if is_stored {
            if is_idle {
                self.limit_idle(now);
            }
            self.advance_door(now, id);
        }
    }

    /// What happened in a session could not be stored, so none of it has happened. Its clients hear why, and come back.
    #[cold]
    fn fail(&mut self, now: u64, key: SessionKey, error: &StorageError) {
        if let Some((id, _)) = self.abort(key, &not_stored(error)) {
            tracing::error!(session = %id, %error, "a session cannot be stored");
            self.out.release(Key::Session(id));
            self.advance_door(now, id);
        }
    }

    /// The storage has not answered for too long. The session cannot begin again before it does.
    #[cold]
    pub(super) fn give_up(&mut self, now: u64, key: SessionKey) {
        let refusal = (CloseReason::NotStored, "the storage does not answer".into());
        let Some((id, ticket)) = self.abort(key, &refusal) else { return };
        tracing::error!(session = %id, "the storage does not acknowledge what happened in a session");
        match ticket {
            Some(ticket) => {
                self.out.change_purpose(ticket, Purpose::Overdue(id));
                self.session_is_overdue(now, id);
            }
            None => self.out.release(Key::Session(id)),
        }
    }

    /// Drops a session, and closes its clients. Returns its id, and the append under way.
    fn abort(
        &mut self,
        key: SessionKey,
        refusal: &Refusal,
    ) -> Option<(teatime_wire::SessionId, Option<Ticket>)> {
        let mut session = self.sessions.remove(&key)?;
        session.close_account(&self.budget);
        self.by_id.remove(&session.id());
        self.scheduled.remove(&key);
        self.idle.forget(key);
        for connection in session.connections() {
            self.connections.remove(&connection);
        }
        let ticket = session.abort(&mut self.out, refusal);
        self.leave_room(&session);
        Some((session.id(), ticket))
    }
}

/// How clients hear of an error of the storage.
pub(super) fn not_stored(error: &StorageError) -> Refusal {
    (CloseReason::NotStored, error.to_string())
}

fn expect_loaded(answer: Answer) -> Result<Option<Stored>, StorageError> {
    match answer {
        Answer::Loaded(stored) => Ok(stored),
        Answer::Done | Answer::Claims(_) => Err(wrong_answer()),
    }
}

fn expect_claims(answer: Answer) -> Result<Claims, StorageError> {
    match answer {
        Answer::Claims(claims) => Ok(claims),
        Answer::Done | Answer::Loaded(_) => Err(wrong_answer()),
    }
}

fn wrong_answer() -> StorageError {
    StorageError::Io("the storage gave an answer of another kind".into())
}
