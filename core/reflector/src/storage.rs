//! The seam between a reflector and what stores its sessions: requests go out with a ticket, answers come back.
//!
//! A [`Reflector`](crate::Reflector) holds no storage. Its driver submits the requests of
//! [`Output::Store`](crate::Output::Store) to a [`Storage`], and hands every [`Completion`] back to
//! [`Reflector::stored`](crate::Reflector::stored).

use std::fmt;
use std::task::Waker;

use bytes::Bytes;
use teatime_wire::{Digest, Room, SessionId};

/// Why a storage could not write or read something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The disk is full. There may be room later.
    #[error("the disk is full")]
    Full,
    /// The operating system, or the network, refused the request.
    #[error("{0}")]
    Io(String),
    /// What is stored is damaged.
    #[error("{0}")]
    Corrupt(String),
}

/// Names a request. The reflector chooses it, and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A room among all rooms: two rooms of one name differ in their password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId {
    /// The hash of its name.
    pub name: Digest,
    /// The id that follows from name and password.
    pub id: Digest,
}

impl RoomId {
    /// The room that a client names when it joins.
    pub fn of(room: &Room) -> Self {
        Self { name: room.name, id: room.id }
    }
}

/// The first bytes of [`Key::holder`] for a room. No session has such an id.
const ROOM_HOLDER: [u8; 16] = *b"teatime room\0\0\0\0";

/// What a storage stores something under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A session: its head, its newest checkpoint, the records after it.
    Session(SessionId),
    /// The persisted data of a room: a checkpoint without head or records.
    Room(RoomId),
}

impl Key {
    /// The id under which the store of blobs knows it, as one that refers to blobs. A session id is a hash, so a client
    /// cannot make one that looks like a room.
    pub fn holder(&self) -> SessionId {
        match self {
            Self::Session(session) => *session,
            Self::Room(RoomId { name, id }) => {
                let hash = blake3::derive_key("teatime v1 stored room", &[name.0, id.0].concat());
                let mut holder = [0; 32];
                holder[..16].copy_from_slice(&ROOM_HOLDER);
                holder[16..].copy_from_slice(&hash[..16]);
                SessionId(holder)
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(session) => write!(f, "session {session}"),
            Self::Room(RoomId { name, id }) => write!(f, "room {name}/{id}"),
        }
    }
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// An ordered message, as the frame that every member receives.
    Ordered = 0,
    /// A session time that clients may have seen: µs as eight bytes, little-endian.
    Time = 1,
}

impl TryFrom<u8> for RecordKind {
    type Error = StorageError;

    fn try_from(kind: u8) -> Result<Self, StorageError> {
        match kind {
            0 => Ok(Self::Ordered),
            1 => Ok(Self::Time),
            other => {
                Err(StorageError::Corrupt(format!("invalid record kind {other}: expected 0 or 1")))
            }
        }
    }
}

/// A record of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Sequence number of the newest ordered message, this one included.
    pub seq: u64,
    /// What it holds.
    pub kind: RecordKind,
    /// Its content.
    pub bytes: Bytes,
}

/// What stands for everything up to a sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence number. For the persisted data of a room: how often it has changed.
    pub seq: u64,
    /// Its content.
    pub bytes: Bytes,
}

/// Everything that is stored under one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// What the session began with. Empty for a room.
    pub head: Bytes,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The records after it, in the order in which they were appended.
    pub records: Vec<Record>,
    /// What the checkpoint has replaced, unless a client has [proven](Request::Proven) that the checkpoint can be loaded.
    pub previous: Option<Previous>,
}

/// What a checkpoint has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Previous {
    /// The checkpoint before. `None` if there was none: the records then begin with the session.
    pub checkpoint: Option<Checkpoint>,
    /// The records between the two, in the order in which they were appended.
    pub records: Vec<Record>,
}

/// What a storage knows about the time before it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// A number that changes after a time from which acknowledged writes may be missing: clients must then not go on
    /// with what they have.
    pub era: u64,
    /// How long before that something was stored last, in µs by the machine's clock, if the storage knows.
    pub unused_for: Option<u64>,
}

/// Which rooms of a name have something to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    /// The room itself has persisted data, or a session in which a participant has done something.
    pub own: bool,
    /// Another room of the name has them.
    pub others: bool,
}

/// What happened in a session since its last append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Whose it is.
    pub session: SessionId,
    /// With a head the session begins: it replaces what is stored under its id.
    pub begin: Option<Bytes>,
    /// The new records, in order.
    pub records: Vec<Record>,
}

/// What a storage is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Write all of this, or nothing. [`Answer::Done`] when it is as durable as the operator wants. An error promises
    /// that nothing of it counts, now or later; only a crash in this moment may leave all of it.
    Append(Append),
    /// Read everything under a key: [`Answer::Loaded`]. The key then belongs to this handle of the storage until
    /// [`Storage::release`].
    Load(Key),
    /// Look up what is stored of the rooms of a name: [`Answer::Claims`].
    Claims(RoomId),
    /// Replace the checkpoint of a session, and its records up to the sequence number of the checkpoint that were appended
    /// before this request. [`Answer::Done`] when it counts, or when a newer one made it needless. After an error
    /// everything that it would replace is still there.
    Checkpoint {
        /// Whose it is.
        session: SessionId,
        /// The new checkpoint.
        checkpoint: Checkpoint,
        /// Retain what it replaces, back to the checkpoint with this sequence number, or to the beginning with 0. That
        /// checkpoint is the newest one, or the one to which [`Request::GoBack`] would lead now. If the storage has neither,
        /// it retains the older one. Only this history is retained, and none with `None`.
        previous: Option<u64>,
    },
    /// A client has loaded the checkpoint with this sequence number. Retain what it has replaced for this long, and then
    /// delete it. Only the time counts in which the storage is open. [`Answer::Done`], also if there is nothing to
    /// delete.
    Proven {
        /// Whose it is.
        session: SessionId,
        /// The sequence number of the checkpoint.
        seq: u64,
        /// How long in seconds.
        retain: u64,
    },
    /// Put what the checkpoint of a session has replaced in its place again, back to the checkpoint with this sequence
    /// number, or to the beginning with 0. All records stay. [`Answer::Done`] when that counts, and if it was so already.
    GoBack {
        /// Whose it is.
        session: SessionId,
        /// The sequence number.
        to: u64,
    },
    /// Replace the persisted data of a room. [`Answer::Done`] when it is durable. After an error the data from
    /// before is still there.
    Persist {
        /// Whose it is.
        room: RoomId,
        /// The new data.
        checkpoint: Checkpoint,
    },
}

/// What a request led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// This is stored; `None` if nothing is.
    Loaded(Option<Stored>),
    /// This is stored of the rooms of the name.
    Claims(Claims),
}

/// The answer to one request.
pub type Completion = (Ticket, Result<Answer, StorageError>);

/// Stores the sessions and rooms of one reflector. Each reflector has its own handle; the handles of a server share
/// what is stored.
///
/// No method blocks: neither on a disk that syncs, nor on a network, nor on another handle. Every request is answered
/// once; a reflector survives a storage that never answers. Requests with the same key take effect in the order in which
/// they were submitted. Answers come in any order. A reflector has at most one append of a session, and at most one
/// [`Request::Persist`] of a room, under way, and submits a checkpoint only after the storage has acknowledged every append
/// before it.
pub trait Storage: Send {
    /// What a reflector must know before the first request. It stays the same while the storage is open.
    fn opened(&self) -> Opened {
        Opened::default()
    }

    /// Called once, before the first request. The storage wakes this when a completion is there which no call of
    /// this handle has made. Waking too often does no harm.
    fn set_waker(&mut self, waker: Waker);

    /// Hands in a request. The storage may wait with it for [`flush`](Self::flush).
    fn submit(&mut self, ticket: Ticket, request: Request);

    /// All requests of this turn are handed in. The storage carries them out, all appends together if that costs less.
    fn flush(&mut self);

    /// The next answer, if there is one. The driver calls this after every flush and every wake, until it returns `None`.
    fn completed(&mut self) -> Option<Completion>;

    /// The reflector no longer has this key in memory. Nothing of it is under way, except perhaps a checkpoint
    /// and changes of the history before it.
    fn release(&mut self, key: Key);
}
