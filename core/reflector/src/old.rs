//! What a reflector keeps of its sessions beyond its own life, and where.

use bytes::Bytes;
#[cfg(feature = "storage")]
use teatime_wire::{Archive, Beginning, ServerMessage, limits};
use teatime_wire::{Digest, SessionId};

#[cfg(feature = "storage")]
use crate::journal::{self, Checkpoint, Head, StoredView};
#[cfg(feature = "storage")]
use crate::rooms;

/// Why something cannot be stored, or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no room; there may be later.
    #[error("the disk is full")]
    Full,
    /// The operating system refused it.
    #[error("{0}")]
    Io(String),
    /// What is stored is not what was stored.
    #[error("{0}")]
    Corrupt(String),
}

/// What kind of a record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// An ordered message, as the frame that everybody gets.
    Ordered = 0,
    /// A time of the session that may have been told, in µs as eight bytes, the smallest first.
    Time = 1,
}

/// A record of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Sequence number of the newest ordered message, this one included.
    pub seq: u64,
    /// What it is.
    pub kind: RecordKind,
    /// As it was appended.
    pub bytes: Bytes,
}

/// A session as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Set when the session began.
    pub head: Vec<u8>,
    /// Stands for all records up to its sequence number.
    pub checkpoint: Option<(u64, Vec<u8>)>,
    /// All records after it, in order.
    pub records: Vec<Record>,
}

#[cfg(feature = "storage")]
impl Stored {
    /// What somebody who joins would get.
    pub fn archive(&self) -> Result<Archive, StorageError> {
        let head = journal::read_head(&self.head)?;
        let (mut snapshot, mut time) = (None, 0);
        if let Some((_, bytes)) = &self.checkpoint {
            let checkpoint = journal::read_checkpoint(bytes)?;
            time = checkpoint.time;
            let parts = checkpoint.parts.iter().map(|part| part.as_ref());
            snapshot = Some((checkpoint.info, parts.collect::<Vec<&[u8]>>().concat()));
        }
        let mut messages = Vec::new();
        let mut told = 0;
        for record in &self.records {
            match record.kind {
                RecordKind::Time => told = journal::read_time(&record.bytes)?,
                RecordKind::Ordered => messages.push(record.bytes.to_vec()),
            }
        }
        let time = time.max(told);
        let persisted = head.persisted.filter(|_| snapshot.is_none());
        let persisted = persisted.map(|(version, data)| (version, data.into_vec()));
        let password_proof = head.password_proof;
        Ok(Archive { password_proof, snapshot, persisted, messages, time })
    }

    /// A session that begins with a snapshot. `timeline` must be drawn at random.
    pub fn begin(beginning: Beginning, timeline: u64) -> Self {
        let Beginning { room, password_proof, ticks_per_second, info, snapshot, views } = beginning;
        let tick = 1_000_000 / u64::from(ticks_per_second.max(1));
        let head = Head::new(timeline, password_proof, tick, room, None);
        let parts = snapshot.chunks(limits::MAX_SNAPSHOT_PART).map(|part| part.to_vec().into());
        let mut checkpoint = Checkpoint::new(info, parts.collect(), info.seq, info.time);
        let view = |(id, data): (_, Option<Vec<u8>>)| StoredView {
            id,
            data: data.map(Into::into),
            counter: 0,
        };
        checkpoint.views = views.into_iter().map(view).collect();
        let checkpoint = Some((info.seq, journal::encode(&checkpoint)));
        Self { head: journal::encode(&head), checkpoint, records: Vec::new() }
    }
}

/// In which room something is that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InRoom {
    /// The name of the room.
    pub name: Digest,
    /// Its id.
    pub id: Digest,
    /// It is what is persisted in the room, and no session.
    pub is_kept: bool,
}

/// What is stored of the rooms of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    /// Something is persisted in the room that was asked for, or somebody has done something in a session of it.
    pub own: bool,
    /// Something is persisted in another one.
    pub others: bool,
}

#[cfg(feature = "storage")]
impl InRoom {
    /// Where that is which is stored by this name under this head; nothing if no reflector has written it.
    pub fn of(session: SessionId, head: &[u8]) -> Option<Self> {
        let is_kept = rooms::is_room(session);
        let read = if is_kept { rooms::place_of(head) } else { journal::place_of(head) };
        let (name, id) = read.ok()?;
        Some(Self { name, id, is_kept })
    }

    /// Whether such a record shows that somebody has done something in its session.
    pub fn is_use(kind: u8, bytes: &[u8]) -> bool {
        let is_event = || matches!(ServerMessage::decode(bytes), Ok(ServerMessage::Event(_)));
        kind == RecordKind::Ordered as u8 && is_event()
    }
}

/// Where a reflector keeps its sessions. Nothing that depends on what was handed in is told to
/// anybody before [`commit`](Self::commit) has returned. No session is loaded or begun by one
/// reflector while another has it.
pub trait Storage: Send {
    /// A session begins, in the place of the one of that name if there is one.
    fn begin(&mut self, session: SessionId, head: &[u8]);

    /// Something happened in it.
    fn append(&mut self, session: SessionId, seq: u64, kind: RecordKind, bytes: &[u8]);

    /// From now on this may stand for all that happened in it up to a sequence number. It need not
    /// do so when [`commit`](Self::commit) returns, nor ever: that it could not be stored is no
    /// failure as long as what it stands for is there.
    fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]);

    /// Stores what is persisted in a room, in the place of what was before: as a session of this name of which there is
    /// only this checkpoint, and this head if there is none yet. It neither waits for [`commit`](Self::commit) nor takes
    /// anything of what does along, and nobody waits for it: [`kept`](Self::kept) tells what has become of it.
    /// Nothing more of the room is handed in before that.
    fn keep(&mut self, room: SessionId, head: &[u8], seq: u64, bytes: Vec<u8>);

    /// What has become of that since the last time: what was stored is durable; otherwise there is what was before.
    /// Each that was handed in is told once, sooner or later.
    fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)>;

    /// Stores all that was handed in since the last time, as durably as the operator wants it. If
    /// that fails none of it counts; only after a crash right then all of it may.
    fn commit(&mut self) -> Result<(), StorageError>;

    /// What is stored of a session.
    fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError>;

    /// What is stored of the rooms of a name. This says `own` of the room of that id.
    fn claims(&self, name: Digest, id: Digest) -> Claims;

    /// The reflector has no more of a session than what is stored of it. Until then, from
    /// [`begin`](Self::begin) or [`load`](Self::load) on, nobody may remove it.
    fn release(&mut self, _session: SessionId) {}

    /// A number that is another one after a time from which something may be missing that was
    /// committed: then clients must not go on with what they have. It is the same as long as the
    /// storage is open.
    fn era(&self) -> u64 {
        0
    }
}

/// A place for sessions, if this build has any.
#[cfg(feature = "storage")]
pub(crate) type Place = Box<dyn Storage>;
#[cfg(not(feature = "storage"))]
pub(crate) type Place = Nowhere;

/// There is none of it, so whatever would be done with one is left out of the program.
#[cfg(not(feature = "storage"))]
pub(crate) enum Nowhere {}

#[cfg(not(feature = "storage"))]
impl Storage for Nowhere {
    fn begin(&mut self, _: SessionId, _: &[u8]) {
        match *self {}
    }

    fn append(&mut self, _: SessionId, _: u64, _: RecordKind, _: &[u8]) {
        match *self {}
    }

    fn checkpoint(&mut self, _: SessionId, _: u64, _: &[u8]) {
        match *self {}
    }

    fn keep(&mut self, _: SessionId, _: &[u8], _: u64, _: Vec<u8>) {
        match *self {}
    }

    fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)> {
        match *self {}
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        match *self {}
    }

    fn load(&mut self, _: SessionId) -> Result<Option<Stored>, StorageError> {
        match *self {}
    }

    fn claims(&self, _: Digest, _: Digest) -> Claims {
        match *self {}
    }
}
