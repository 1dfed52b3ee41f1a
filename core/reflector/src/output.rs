//! What a reflector wants its driver to do.

use bytes::Bytes;
use teatime_wire::{CloseReason, Digest, Holding};

use crate::block::LogBlock;
use crate::storage::{Key, Request, Ticket};

/// Names a connection. The driver chooses it, and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a session among those of one reflector. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);

/// What the driver must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a frame to one connection.
    Send {
        /// The receiver.
        connection: ConnId,
        /// One WebSocket binary message.
        frame: Bytes,
    },
    /// Send frames to one connection, in their order. Other connections share them: the driver should copy them only as its
    /// socket takes them.
    SendLog {
        /// The receiver.
        connection: ConnId,
        /// Many WebSocket binary messages.
        block: LogBlock,
    },
    /// Send a frame to every member of a session.
    Broadcast {
        /// The session.
        session: SessionKey,
        /// One WebSocket binary message.
        frame: Bytes,
    },
    /// Participants of a session show something new of themselves: send each member what
    /// [`Reflector::presences`](crate::Reflector::presences) returns for it, once its socket takes more. A new member
    /// needs it without being told.
    Presences {
        /// The session.
        session: SessionKey,
    },
    /// Make a connection a member of a session.
    Enter {
        /// The new member.
        connection: ConnId,
        /// The session.
        session: SessionKey,
    },
    /// Tell the store of blobs which of them a session, or the persisted data of a room, may refer to.
    References {
        /// What refers to them.
        holder: Key,
        /// The space of the blobs.
        room: Digest,
        /// What is known about them.
        holding: Holding,
    },
    /// Send what waits for this connection, then close it. It has left its session, and the driver reports nothing more of
    /// it.
    Close {
        /// The connection.
        connection: ConnId,
        /// The code for the close frame.
        reason: CloseReason,
        /// More about it for people. May be empty.
        detail: String,
    },
    /// Submit a request to the storage.
    Store {
        /// What [`Reflector::stored`](crate::Reflector::stored) expects with the answer.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
    /// Tell the storage that this reflector no longer has a key in memory.
    Release(Key),
}

/// How much a reflector holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections, joined or not.
    pub connections: usize,
    /// Sessions, including those without a connection.
    pub sessions: usize,
    /// Bytes of all logs and snapshots.
    pub log_bytes: u64,
}
