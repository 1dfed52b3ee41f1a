//! Rooms: what outlives the sessions in them. Each version of an app has its own session in a room, and
//! begins it with what a version before has persisted.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use teatime_wire::{Digest, Holding, PersistedPart, Room as RoomInfo, SessionId, limits};

use crate::journal::{self, Journal};
use crate::storage::{StorageError, Stored};
use crate::{Output, SessionKey};

/// What the names begin with by which rooms are stored among the sessions. No session has such a name.
const PREFIX: [u8; 16] = *b"teatime room\0\0\0\0";

/// How rooms are written.
const FORMAT: u8 = 1;

/// Of so many versions of an app it is kept what they have persisted: of the newest, and of the one before, should
/// the newest turn out to be a mistake.
const KEPT: usize = 2;

/// A room by its name and its id. Who tells the id of a room and another name is brought to another thread of a
/// server, and must take nothing away from those who are in the room.
type Place = (Digest, Digest);

fn place(info: &RoomInfo) -> Place {
    (info.name, info.id)
}

/// All rooms of which something is in memory.
#[derive(Default)]
pub(crate) struct Rooms {
    all: HashMap<Place, Room>,
    /// Rooms without sessions, the oldest first; entries may be out of date. Only without a storage.
    idle: VecDeque<Place>,
    /// Bytes of what is kept in those.
    idle_bytes: u64,
}

#[derive(Default)]
struct Room {
    /// The newest version first.
    kept: Vec<Kept>,
    /// How often that has changed.
    changes: u64,
    /// Something of it is stored.
    is_stored: bool,
    /// Those in memory, and their versions.
    sessions: Vec<(SessionKey, u32)>,
}

/// What a version of an app has persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) version: u32,
    /// Sealed if the room has a password.
    pub(crate) data: ByteBuf,
    roots: Vec<Digest>,
}

/// What became of something that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It is kept now, or was already.
    Kept,
    /// Newer versions have persisted something.
    Older,
}

/// By what a room is stored among the sessions.
fn stored_as((name, id): Place) -> SessionId {
    let hash = blake3::derive_key("teatime v1 stored room", &[name.0, id.0].concat());
    let mut id = [0; 32];
    id[..16].copy_from_slice(&PREFIX);
    id[16..].copy_from_slice(&hash[..16]);
    SessionId(id)
}

/// Whether something is a room that is stored among the sessions.
pub(crate) fn is_room(id: SessionId) -> bool {
    id.0.starts_with(&PREFIX)
}

impl Room {
    fn bytes(&self) -> u64 {
        let each = |kept: &Kept| (kept.data.len() + 32 * kept.roots.len()) as u64 + 64;
        self.kept.iter().map(each).sum()
    }

    fn refers(&self) -> bool {
        self.kept.iter().any(|kept| !kept.roots.is_empty())
    }

    /// To which blobs that refers.
    fn holds(&self, place: Place) -> Output {
        let mut roots: Vec<_> =
            self.kept.iter().flat_map(|kept| kept.roots.iter().copied()).collect();
        roots.sort_unstable();
        roots.dedup();
        let (session, holding) = (stored_as(place), Holding::Exactly(roots));
        Output::References { session, room: place.1, holding }
    }
}

impl Rooms {
    /// A session of a room comes to memory. Returns what it begins with, should it be new.
    pub(crate) fn enter(
        &mut self,
        info: &RoomInfo,
        key: SessionKey,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) -> Result<Option<&Kept>, StorageError> {
        let room = match self.all.entry(place(info)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let id = stored_as(place(info));
                let read = journal.load(id).and_then(|stored| stored.map(read).transpose());
                match read {
                    Ok(room) => {
                        let room = room.unwrap_or_default();
                        // Should it have been lost that it was told.
                        out.extend(room.refers().then(|| room.holds(place(info))));
                        vacant.insert(room)
                    }
                    Err(error) => {
                        journal.release(id);
                        return Err(error);
                    }
                }
            }
        };
        if room.sessions.is_empty() && !journal.keeps() {
            self.idle_bytes = self.idle_bytes.saturating_sub(room.bytes());
        }
        room.sessions.push((key, info.version));
        Ok(self.begins_with(info))
    }

    /// A session of a room goes from memory. Without a storage what it leaves behind may take so many bytes.
    pub(crate) fn leave(
        &mut self,
        info: &RoomInfo,
        key: SessionKey,
        most: u64,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) {
        let id = place(info);
        let Some(room) = self.all.get_mut(&id) else { return };
        let before = room.sessions.len();
        room.sessions.retain(|(other, _)| *other != key);
        if !room.sessions.is_empty() || before == 0 {
            return;
        }
        if journal.keeps() {
            self.all.remove(&id);
            journal.release(stored_as(id));
            return;
        }
        if room.kept.is_empty() {
            self.all.remove(&id);
            return;
        }
        self.idle_bytes += room.bytes();
        self.idle.retain(|other| *other != id);
        self.idle.push_back(id);
        while self.idle_bytes > most
            && let Some(oldest) = self.idle.pop_front()
        {
            // Somebody may have come back to it since.
            let is_idle = self.all.get(&oldest).is_some_and(|room| room.sessions.is_empty());
            if !is_idle {
                continue;
            }
            if let Some(room) = self.all.remove(&oldest) {
                self.idle_bytes = self.idle_bytes.saturating_sub(room.bytes());
                if room.refers() {
                    let (session, holding) = (stored_as(oldest), Holding::Gone);
                    out.push_back(Output::References { session, room: oldest.1, holding });
                }
            }
        }
    }

    /// What a session of a room that is in memory would begin with.
    pub(crate) fn begins_with(&self, info: &RoomInfo) -> Option<&Kept> {
        let room = self.all.get(&place(info))?;
        room.kept.iter().find(|kept| kept.version <= info.version)
    }

    /// Memory of what is kept of a room, in bytes.
    pub(crate) fn memory(&self, info: &RoomInfo) -> u64 {
        self.all.get(&place(info)).map_or(0, Room::bytes)
    }

    /// The sessions of a room that are in memory, and their versions.
    pub(crate) fn sessions(&self, info: &RoomInfo) -> &[(SessionKey, u32)] {
        self.all.get(&place(info)).map_or(&[], |room| &room.sessions)
    }

    /// The newest version of an app that has persisted something in a room.
    pub(crate) fn newest_kept(&self, info: &RoomInfo) -> Option<u32> {
        Some(self.all.get(&place(info))?.kept.first()?.version)
    }

    /// Whether nothing is kept of a version of the app.
    pub(crate) fn lacks(&self, info: &RoomInfo) -> bool {
        let room = self.all.get(&place(info));
        room.is_some_and(|room| room.kept.iter().all(|kept| kept.version != info.version))
    }

    /// Keeps what a version of the app has persisted, in the place of what it had persisted before. If
    /// it cannot be stored that stays.
    pub(crate) fn keep(
        &mut self,
        info: &RoomInfo,
        part: PersistedPart,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) -> Result<Keeping, StorageError> {
        let Some(room) = self.all.get_mut(&place(info)) else { return Ok(Keeping::Older) };
        let version = info.version;
        let new = Kept { version, data: ByteBuf::from(part.data), roots: part.roots };
        if room.kept.contains(&new) {
            return Ok(Keeping::Kept);
        }
        let mut kept = room.kept.clone();
        kept.retain(|other| other.version != version);
        let at = kept.partition_point(|other| other.version > version);
        if at >= KEPT {
            return Ok(Keeping::Older);
        }
        kept.insert(at, new);
        kept.truncate(KEPT);
        let (id, changes) = (stored_as(place(info)), room.changes + 1);
        let head = (!room.is_stored)
            .then(|| journal::encode(&(FORMAT, "teatime room", info.name, info.id)));
        journal.keep(id, head.as_deref(), changes, || journal::encode(&(FORMAT, &kept)))?;
        (room.is_stored, room.changes) = (true, changes);
        let referred = room.refers();
        room.kept = kept;
        if referred || room.refers() {
            out.push_back(room.holds(place(info)));
        }
        Ok(Keeping::Kept)
    }
}

fn read(stored: Stored) -> Result<Room, StorageError> {
    let wrong = |why: &str| journal::wrong("room", why);
    let (format, mark, ..): (u8, String, Digest, Digest) = journal::decode(&stored.head, "room")?;
    if (format, mark.as_str()) != (FORMAT, "teatime room") {
        return Err(wrong("of another version"));
    }
    let Some((changes, bytes)) = stored.checkpoint else { return Err(wrong("it is empty")) };
    let (format, kept): (u8, Vec<Kept>) = journal::decode(&bytes, "room")?;
    if format != FORMAT {
        return Err(wrong("of another version"));
    }
    // Files may come from anywhere; nothing that is counted on from here shall overflow.
    let fits = |kept: &Kept| {
        let size = kept.data.len();
        (1..=limits::MAX_PERSISTED).contains(&size)
            && kept.roots.len() <= size / limits::MIN_BYTES_PER_ROOT
    };
    let is_sorted = kept.is_sorted_by(|one, other| one.version > other.version);
    if changes > limits::MAX_TIME_OR_SEQ
        || !is_sorted
        || kept.len() > KEPT
        || !kept.iter().all(fits)
    {
        return Err(wrong("no room has that"));
    }
    Ok(Room { kept, changes, is_stored: true, sessions: Vec::new() })
}
