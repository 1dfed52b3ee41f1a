//! The formats in which sessions and rooms are stored.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use teatime_wire::{
    Archive, Beginning, Digest, PublicKey, Room, ServerMessage, SessionId, SnapshotInfo, ViewId,
    limits,
};

use crate::storage::{Checkpoint, Record, RecordKind, RoomId, StorageError, Stored};

/// The version of heads and of the checkpoints of sessions.
const SESSION_FORMAT: u8 = 4;

/// The version of the checkpoints of rooms.
const ROOM_FORMAT: u8 = 3;

/// How many sessions can have persisted data in a room at a time: those of some versions of an app, with their options.
pub(crate) const MAX_RECORDS: usize = 16;

/// What never changes in a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    format: u8,
    pub(crate) timeline: u64,
    /// Public: with it, a thief of the storage cannot join.
    pub(crate) password_key: Option<PublicKey>,
    pub(crate) tick: u64,
    pub(crate) room: Room,
    /// The persisted data that it began with.
    pub(crate) persisted: Option<PersistedRecord>,
}

/// A snapshot, and the views that were there when it came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionCheckpoint {
    format: u8,
    pub(crate) info: SnapshotInfo,
    pub(crate) parts: Vec<ByteBuf>,
    /// The views are those after this message. The ordered messages between the snapshot and this one do not change them
    /// again.
    pub(crate) newest: u64,
    pub(crate) time: u64,
    pub(crate) views: Vec<StoredView>,
    pub(crate) departed: Vec<(ViewId, u64)>,
    /// Whether counters of further views are forgotten.
    pub(crate) has_forgotten: bool,
}

/// A view that the models know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredView {
    pub(crate) id: ViewId,
    pub(crate) data: Option<ByteBuf>,
    pub(crate) counter: u64,
}

/// Where persisted data comes from: the timeline with which its session began, and the number of the vote.
pub(crate) type Origin = (u64, u64);

/// What a session has persisted in its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersistedRecord {
    pub(crate) session: SessionId,
    /// The version of the app.
    pub(crate) version: u32,
    /// Sealed if the room has a password.
    pub(crate) data: ByteBuf,
    pub(crate) roots: Vec<Digest>,
    pub(crate) origin: Origin,
    /// What the session began with.
    pub(crate) from: Option<Ancestor>,
    /// The change of the room with which it came.
    pub(crate) change: u64,
}

/// What a session began with: the data that another session had persisted, or this one before it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ancestor {
    pub(crate) session: SessionId,
    pub(crate) version: u32,
    pub(crate) hash: Digest,
}

impl Head {
    pub(crate) fn new(
        timeline: u64,
        password_key: Option<PublicKey>,
        tick: u64,
        room: Room,
        begun_with: Option<&PersistedRecord>,
    ) -> Self {
        let (format, persisted) = (SESSION_FORMAT, begun_with.cloned());
        Self { format, timeline, password_key, tick, room, persisted }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, StorageError> {
        let head: Self = decode(bytes, "head")?;
        check_format(head.format, SESSION_FORMAT, "head")?;
        Ok(head)
    }
}

impl SessionCheckpoint {
    pub(crate) fn new(info: SnapshotInfo, parts: Vec<ByteBuf>, newest: u64, time: u64) -> Self {
        Self {
            format: SESSION_FORMAT,
            info,
            parts,
            newest,
            time,
            views: Vec::new(),
            departed: Vec::new(),
            has_forgotten: false,
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, StorageError> {
        let checkpoint: Self = decode(bytes, "checkpoint")?;
        check_format(checkpoint.format, SESSION_FORMAT, "checkpoint")?;
        Ok(checkpoint)
    }
}

impl PersistedRecord {
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(&self.data)
    }

    /// It, as what a session has begun with.
    pub(crate) fn as_ancestor(&self) -> Ancestor {
        Ancestor { session: self.session, version: self.version, hash: self.hash() }
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        (self.data.len() + 32 * self.roots.len()) as u64 + 64
    }
}

impl Record {
    /// Whether it shows that a participant has done something in its session.
    pub fn is_use(&self) -> bool {
        let is_event = || matches!(ServerMessage::decode(&self.bytes), Ok(ServerMessage::Event(_)));
        self.kind == RecordKind::Ordered && is_event()
    }
}

impl Stored {
    /// What a client that joins would receive.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if no reflector has written this.
    pub fn archive(&self) -> Result<Archive, StorageError> {
        let head = Head::read(&self.head)?;
        let (mut snapshot, mut time) = (None, 0);
        if let Some(Checkpoint { bytes, .. }) = &self.checkpoint {
            let checkpoint = SessionCheckpoint::read(bytes)?;
            time = checkpoint.time;
            let parts = checkpoint.parts.iter().map(|part| part.as_ref());
            snapshot = Some((checkpoint.info, parts.collect::<Vec<&[u8]>>().concat()));
        }
        let mut messages = Vec::new();
        let mut told = 0;
        for record in &self.records {
            match record.kind {
                RecordKind::Time => told = read_time(&record.bytes)?,
                RecordKind::Ordered => messages.push(record.bytes.to_vec()),
            }
        }
        let time = time.max(told);
        let persisted = head.persisted.filter(|_| snapshot.is_none());
        let persisted = persisted.map(|record| (record.version, record.data.into_vec()));
        let password_key = head.password_key;
        Ok(Archive { password_key, snapshot, persisted, messages, time })
    }

    /// A session that begins with a snapshot. The caller draws `timeline` at random.
    pub fn begin(beginning: Beginning, timeline: u64) -> Self {
        let Beginning { room, password_key, ticks_per_second, info, snapshot, views } = beginning;
        let tick = 1_000_000 / u64::from(ticks_per_second.max(1));
        let head = Head::new(timeline, password_key, tick, room, None);
        let parts = snapshot.chunks(limits::MAX_SNAPSHOT_PART).map(|part| part.to_vec().into());
        let mut checkpoint = SessionCheckpoint::new(info, parts.collect(), info.seq, info.time);
        let view = |(id, data): (_, Option<Vec<u8>>)| StoredView {
            id,
            data: data.map(Into::into),
            counter: 0,
        };
        checkpoint.views = views.into_iter().map(view).collect();
        let checkpoint = Some(Checkpoint { seq: info.seq, bytes: encode(&checkpoint) });
        Self { head: encode(&head), checkpoint, ..Self::default() }
    }
}

/// The room of a session, as its head names it. `None` if no reflector has written the head.
pub fn room_of(head: &[u8]) -> Option<RoomId> {
    #[derive(Deserialize)]
    struct Beginning(u8, IgnoredAny, IgnoredAny, IgnoredAny, Room, IgnoredAny);
    let Beginning(format, .., room, _) = decode(head, "head").ok()?;
    (format == SESSION_FORMAT).then(|| RoomId::of(&room))
}

/// The checkpoint of a room.
pub(crate) fn write_room(persisted: &[PersistedRecord]) -> Bytes {
    encode(&(ROOM_FORMAT, persisted))
}

/// What is persisted in a room, the newest version and the newest change first, and how often it has changed.
pub(crate) fn read_room(stored: &Stored) -> Result<(Vec<PersistedRecord>, u64), StorageError> {
    let wrong = |why: &str| invalid("room", why);
    let Some(Checkpoint { seq: changes, bytes }) = &stored.checkpoint else {
        return Err(wrong("it has no checkpoint"));
    };
    let (format, persisted): (u8, Vec<PersistedRecord>) = decode(bytes, "room")?;
    check_format(format, ROOM_FORMAT, "room")?;
    // Files may come from anywhere. Nothing that is computed from these numbers may overflow.
    let fits = |record: &PersistedRecord| {
        let size = record.data.len();
        (1..=limits::MAX_PERSISTED).contains(&size)
            && record.roots.len() <= size / limits::MIN_BYTES_PER_ROOT
    };
    let order = |record: &PersistedRecord| (record.version, record.change);
    let is_sorted = persisted.is_sorted_by(|one, other| order(one) > order(other))
        && persisted.iter().all(|record| record.change <= *changes);
    let has_few = persisted.len() <= MAX_RECORDS;
    if *changes > limits::MAX_TIME_OR_SEQ || !is_sorted || !has_few || !persisted.iter().all(fits) {
        return Err(wrong("its content breaks the limits"));
    }
    Ok((persisted, *changes))
}

pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec(value).expect("it holds only what MessagePack can express").into()
}

pub(crate) fn read_ordered(frame: &[u8]) -> Result<ServerMessage<'_>, StorageError> {
    ServerMessage::decode(frame).map_err(|error| invalid("message", &error.to_string()))
}

pub(crate) fn read_time(bytes: &[u8]) -> Result<u64, StorageError> {
    let bytes = bytes.try_into().map_err(|_| invalid("time", "expected eight bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, StorageError> {
    rmp_serde::from_slice(bytes).map_err(|error| invalid(what, &error.to_string()))
}

fn check_format(found: u8, expected: u8, what: &str) -> Result<(), StorageError> {
    if found == expected {
        Ok(())
    } else {
        Err(invalid(what, &format!("format {found}, expected {expected}")))
    }
}

pub(crate) fn invalid(what: &str, why: &str) -> StorageError {
    StorageError::Corrupt(format!("invalid {what} in the storage: {why}"))
}
