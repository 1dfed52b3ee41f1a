//! The way of a session to its storage and back.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use teatime_wire::{Digest, Room, ServerMessage, SessionId, SnapshotInfo, ViewId};

use crate::SessionKey;
use crate::rooms::Kept;
#[cfg(not(feature = "storage"))]
use crate::old::Storage;
use crate::old::{Claims, Place, RecordKind, StorageError, Stored};

/// How heads and checkpoints are written.
const FORMAT: u8 = 2;

/// For how long the time of a session that is being told is stored ahead: one record a second.
const TIME_AHEAD: u64 = 1_000_000;

/// Collects what is to be stored; without a storage it does nothing.
pub(crate) struct Journal {
    storage: Option<Place>,
    /// Sessions of which something waits to be committed.
    touched: Vec<SessionKey>,
}

/// What never changes in a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u8,
    pub(crate) timeline: u64,
    pub(crate) password_proof: Option<Digest>,
    pub(crate) tick: u64,
    pub(crate) room: Room,
    /// What it began with, and the version of the app that has persisted it.
    pub(crate) persisted: Option<(u32, ByteBuf)>,
    /// To which blobs that refers.
    #[serde(default)]
    pub(crate) roots: Vec<Digest>,
}

/// A snapshot, and who was there when it came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    format: u8,
    pub(crate) info: SnapshotInfo,
    pub(crate) parts: Vec<ByteBuf>,
    /// The views are those after this message: the ordered messages between the snapshot and it change them
    /// no more.
    pub(crate) newest: u64,
    pub(crate) time: u64,
    pub(crate) views: Vec<StoredView>,
    pub(crate) departed: Vec<(ViewId, u64)>,
}

/// A view that the models know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredView {
    pub(crate) id: ViewId,
    pub(crate) data: Option<ByteBuf>,
    pub(crate) counter: u64,
}

/// The time up to which a session may tell its time without storing it.
#[derive(Debug, Default)]
pub(crate) struct Told(u64);

impl Told {
    /// The last time that is stored.
    pub(crate) fn time(&self) -> u64 {
        self.0
    }
}

impl Head {
    pub(crate) fn new(
        timeline: u64,
        password_proof: Option<Digest>,
        tick: u64,
        room: Room,
        begun_with: Option<&Kept>,
    ) -> Self {
        let persisted = begun_with.map(|kept| (kept.version, kept.data.clone()));
        let roots = begun_with.map_or_else(Vec::new, |kept| kept.roots.clone());
        Self { format: FORMAT, timeline, password_proof, tick, room, persisted, roots }
    }
}

impl Checkpoint {
    pub(crate) fn new(info: SnapshotInfo, parts: Vec<ByteBuf>, newest: u64, time: u64) -> Self {
        let (views, departed) = (Vec::new(), Vec::new());
        Self { format: FORMAT, info, parts, newest, time, views, departed }
    }
}

impl Journal {
    pub(crate) fn new(storage: Option<Place>) -> Self {
        Self { storage, touched: Vec::new() }
    }

    pub(crate) fn begin(&mut self, key: SessionKey, session: SessionId, head: &Head) {
        self.put(key, |storage| storage.begin(session, &encode(head)));
    }

    pub(crate) fn ordered(&mut self, key: SessionKey, session: SessionId, seq: u64, frame: &Bytes) {
        self.put(key, |storage| storage.append(session, seq, RecordKind::Ordered, frame));
    }

    /// A time that is about to be told. Stored ahead, so that this is rarely a record.
    pub(crate) fn time(
        &mut self,
        key: SessionKey,
        session: SessionId,
        seq: u64,
        time: u64,
        told: &mut Told,
    ) {
        if time > told.0 {
            self.exact_time(key, session, seq, time + TIME_AHEAD, told);
        }
    }

    /// The time at which a session comes to rest. The last one counts.
    pub(crate) fn exact_time(
        &mut self,
        key: SessionKey,
        session: SessionId,
        seq: u64,
        time: u64,
        told: &mut Told,
    ) {
        told.0 = time;
        let bytes = time.to_le_bytes();
        self.put(key, |storage| storage.append(session, seq, RecordKind::Time, &bytes));
    }

    pub(crate) fn checkpoint(
        &mut self,
        key: SessionKey,
        session: SessionId,
        make: impl FnOnce() -> Checkpoint,
    ) {
        self.put(key, |storage| {
            let checkpoint = make();
            storage.checkpoint(session, checkpoint.info.seq, &encode(&checkpoint));
        });
    }

    /// Stores what is persisted in a room; [`kept`](Self::kept) tells when that is done.
    pub(crate) fn keep(
        &mut self,
        room: SessionId,
        change: u64,
        make: impl FnOnce() -> (Vec<u8>, Vec<u8>),
    ) {
        if let Some(storage) = &mut self.storage {
            let (head, bytes) = make();
            storage.keep(room, &head, change, bytes);
        }
    }

    /// What has become of what was to be kept.
    pub(crate) fn kept(&mut self) -> Vec<(SessionId, Result<(), StorageError>)> {
        self.storage.as_mut().map_or_else(Vec::new, |storage| storage.kept())
    }

    fn put(&mut self, key: SessionKey, put: impl FnOnce(&mut Place)) {
        let Some(storage) = &mut self.storage else { return };
        put(storage);
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
    }

    /// Whether something waits to be committed.
    #[inline]
    pub(crate) fn is_dirty(&self) -> bool {
        self.keeps() && !self.touched.is_empty()
    }

    /// Stores what waits. If that fails it gives back of which sessions it was.
    pub(crate) fn commit(&mut self) -> Result<(), (StorageError, Vec<SessionKey>)> {
        let mut touched = std::mem::take(&mut self.touched);
        let Some(storage) = &mut self.storage else { return Ok(()) };
        storage.commit().map_err(|error| {
            touched.sort_unstable();
            touched.dedup();
            (error, touched)
        })
    }

    /// Whether sessions are kept beyond this reflector.
    #[inline]
    pub(crate) fn keeps(&self) -> bool {
        self.storage.is_some()
    }

    /// Of a session nothing is in memory any more.
    pub(crate) fn release(&mut self, session: SessionId) {
        if let Some(storage) = &mut self.storage {
            storage.release(session);
        }
    }

    /// The timeline of a session for those who are connected.
    pub(crate) fn timeline(&self, head: &Head) -> u64 {
        head.timeline ^ self.storage.as_ref().map_or(0, |storage| storage.era())
    }

    /// What is stored of the rooms of a name.
    pub(crate) fn claims(&self, room: &Room) -> Claims {
        let storage = self.storage.as_ref();
        storage.map_or_else(Claims::default, |storage| storage.claims(room.name, room.id))
    }

    #[inline]
    pub(crate) fn load(&mut self, session: SessionId) -> Result<Option<Stored>, StorageError> {
        self.storage.as_mut().map_or(Ok(None), |storage| storage.load(session))
    }
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("it holds only what MessagePack can express")
}

pub(crate) fn read_head(bytes: &[u8]) -> Result<Head, StorageError> {
    let head: Head = decode(bytes, "head")?;
    if head.format == FORMAT { Ok(head) } else { Err(wrong("head", "of another version")) }
}

/// In which room a session is, by name and id.
pub(crate) fn place_of(head: &[u8]) -> Result<(Digest, Digest), StorageError> {
    #[derive(Deserialize)]
    struct Beginning(
        u8,
        IgnoredAny,
        IgnoredAny,
        IgnoredAny,
        Room,
        IgnoredAny,
        #[serde(default)] IgnoredAny,
    );
    let Beginning(format, .., room, _, _) = decode(head, "head")?;
    if format == FORMAT {
        Ok((room.name, room.id))
    } else {
        Err(wrong("head", "of another version"))
    }
}

pub(crate) fn read_checkpoint(bytes: &[u8]) -> Result<Checkpoint, StorageError> {
    let checkpoint: Checkpoint = decode(bytes, "checkpoint")?;
    if checkpoint.format == FORMAT {
        Ok(checkpoint)
    } else {
        Err(wrong("checkpoint", "of another version"))
    }
}

pub(crate) fn read_ordered(frame: &[u8]) -> Result<ServerMessage<'_>, StorageError> {
    ServerMessage::decode(frame).map_err(|error| wrong("message", &error.to_string()))
}

pub(crate) fn read_time(bytes: &[u8]) -> Result<u64, StorageError> {
    let bytes = bytes.try_into().map_err(|_| wrong("time", "not eight bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &str,
) -> Result<T, StorageError> {
    rmp_serde::from_slice(bytes).map_err(|error| wrong(what, &error.to_string()))
}

pub(crate) fn wrong(what: &str, why: &str) -> StorageError {
    StorageError::Corrupt(format!("the stored {what} is none: {why}"))
}
