//! What waits for the driver, and the requests that the storage has not answered yet.

use std::collections::{HashMap, VecDeque};

use teatime_wire::SessionId;

use crate::has_storage::HasStorage;
use crate::storage::{Key, Request, RoomId, Ticket};
use crate::{ConnId, Output, SessionKey};

/// Why a request was made, and for which session or room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The append of a session that is in memory.
    Append(SessionKey),
    /// An append that took too long. Its session has left memory.
    Overdue(SessionId),
    /// Clients want to join a session that is not in memory.
    LoadSession(SessionId),
    /// A client has joined a session in which nothing has happened.
    Claims(SessionKey, ConnId, RoomId),
    LoadRoom(RoomId),
    Checkpoint(SessionId),
    /// What becomes of the history that a checkpoint has replaced.
    History(SessionId),
    Persist(RoomId),
}

/// Outputs in order, and open requests.
#[derive(Debug)]
pub(crate) struct Outbox {
    outputs: VecDeque<Output>,
    open: HashMap<Ticket, Purpose>,
    next_ticket: u64,
    /// Sessions that have gathered something and have no append under way.
    gathering: Vec<SessionKey>,
    has_storage: HasStorage,
}

impl Outbox {
    pub(crate) fn new(has_storage: bool) -> Self {
        let (outputs, open, gathering) = (VecDeque::new(), HashMap::new(), Vec::new());
        Self { outputs, open, next_ticket: 0, gathering, has_storage: HasStorage::new(has_storage) }
    }

    /// Whether sessions outlive this reflector.
    #[inline]
    pub(crate) fn has_storage(&self) -> bool {
        self.has_storage.get()
    }

    #[inline]
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Asks the storage for something.
    pub(crate) fn ask(&mut self, request: Request, purpose: Purpose) -> Ticket {
        let ticket = self.draw_ticket(purpose);
        self.push(Output::Store { ticket, request });
        ticket
    }

    /// The ticket of a request that the caller pushes itself.
    pub(crate) fn draw_ticket(&mut self, purpose: Purpose) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.open.insert(ticket, purpose);
        ticket
    }

    /// The purpose of a request that the storage has answered. `None` if it is not open.
    pub(crate) fn close_ticket(&mut self, ticket: Ticket) -> Option<Purpose> {
        self.open.remove(&ticket)
    }

    pub(crate) fn change_purpose(&mut self, ticket: Ticket, purpose: Purpose) {
        if let Some(open) = self.open.get_mut(&ticket) {
            *open = purpose;
        }
    }

    /// Whether the storage still owes an answer to something that a session or a room wants to write.
    pub(crate) fn is_writing(&self) -> bool {
        let is_write = |purpose: &Purpose| {
            use Purpose::{Append, Checkpoint, History, Persist};
            matches!(purpose, Append(_) | Checkpoint(_) | History(_) | Persist(_))
        };
        self.open.values().any(is_write)
    }

    pub(crate) fn release(&mut self, key: Key) {
        if self.has_storage() {
            self.push(Output::Release(key));
        }
    }

    /// A session has gathered its first record since its last append.
    pub(crate) fn gathers(&mut self, session: SessionKey) {
        self.gathering.push(session);
    }

    /// Whether a session waits for the end of the turn.
    #[inline]
    pub(crate) fn has_gathering(&self) -> bool {
        !self.gathering.is_empty()
    }

    pub(crate) fn take_gathering(&mut self) -> Vec<SessionKey> {
        std::mem::take(&mut self.gathering)
    }
}
