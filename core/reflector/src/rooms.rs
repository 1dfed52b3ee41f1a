//! Rooms: what outlives the sessions in them. Each version of an app has its own session in a room, and
//! begins it with what a version before has persisted.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use teatime_wire::{Digest, Holding, Room as RoomInfo, SessionId, limits};

use crate::journal::{self, Journal};
use crate::old::{Claims, StorageError, Stored};
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
pub(crate) type Place = (Digest, Digest);

pub(crate) fn place(info: &RoomInfo) -> Place {
    (info.name, info.id)
}

/// So many sessions of a room are told at once that a newer version has come; the others when the next one comes.
const TOLD_AT_ONCE: usize = 100;

/// All rooms of which something is in memory.
#[derive(Default)]
pub(crate) struct Rooms {
    all: HashMap<Place, Room>,
    /// Those in which something is kept.
    kept: BTreeSet<Place>,
    /// Those of which something is on its way to the storage, by the name under which it is stored.
    writing: BTreeMap<SessionId, Place>,
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
    /// Why it is not known what is kept: nothing is put in its place.
    unreadable: Option<StorageError>,
    /// What is on its way to the storage, to be what is kept.
    writing: Option<Writing>,
    /// Somebody has done something in one of its sessions.
    is_used: bool,
    /// Those in memory, and of which version of the app their views were told.
    sessions: BTreeMap<SessionKey, u32>,
    /// Those in which somebody is, by their version and by that of which they were told.
    awake: BTreeSet<(u32, SessionKey)>,
    told: BTreeSet<(u32, SessionKey)>,
}

struct Writing {
    kept: Vec<Kept>,
    /// Whose it is, and where that comes from.
    by: SessionKey,
    from: Origin,
    /// What is to be kept after that, and whose it is: the newest of each.
    others: Vec<(SessionKey, Kept)>,
}

/// Where something comes from that is kept: the timeline with which the session began, and the number of the vote.
pub(crate) type Origin = (u64, u64);

/// What a version of an app has persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) version: u32,
    /// Sealed if the room has a password.
    pub(crate) data: ByteBuf,
    pub(crate) roots: Vec<Digest>,
    #[serde(default)]
    pub(crate) from: Origin,
}

/// What became of something that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It is kept now, or was already.
    Kept,
    /// Newer versions have persisted something.
    Older,
    /// It is on its way, or will be when something else has arrived.
    Later,
}

/// Something is not on its way any more.
pub(crate) struct Arrived {
    pub(crate) by: SessionKey,
    pub(crate) from: Origin,
    /// What has waited for that, and whose it is.
    pub(crate) others: Vec<(SessionKey, Kept)>,
    pub(crate) room: Place,
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
        self.all_kept().any(|kept| !kept.roots.is_empty())
    }

    /// What is on its way included.
    fn all_kept(&self) -> impl Iterator<Item = &Kept> {
        let writing = self.writing.iter().flat_map(|writing| &writing.kept);
        self.kept.iter().chain(writing)
    }

    /// To which blobs that refers.
    fn holds(&self, place: Place) -> Output {
        let mut roots: Vec<_> =
            self.all_kept().flat_map(|kept| kept.roots.iter().copied()).collect();
        roots.sort_unstable();
        roots.dedup();
        let (session, holding) = (stored_as(place), Holding::Exactly(roots));
        Output::References { session, room: place.1, holding }
    }

    /// What would be kept with this, if it is new enough for that.
    fn with(&self, new: Kept) -> Option<Vec<Kept>> {
        let mut kept = self.kept.clone();
        kept.retain(|other| other.version != new.version);
        let at = kept.partition_point(|other| other.version > new.version);
        if at >= KEPT {
            return None;
        }
        kept.insert(at, new);
        kept.truncate(KEPT);
        Some(kept)
    }
}

impl Rooms {
    /// A session of a room comes to memory. One that is new begins with what this returns, and cannot begin if
    /// that is not known; others go on without anything being kept.
    pub(crate) fn enter(
        &mut self,
        info: &RoomInfo,
        key: SessionKey,
        is_new: bool,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) -> Result<Option<&Kept>, StorageError> {
        let place = place(info);
        let is_known = self.all.get(&place).is_some_and(|room| room.unreadable.is_none());
        if !is_known {
            self.load(place, journal, out);
        }
        let room = self.all.entry(place).or_default();
        if let Some(error) = room.unreadable.clone().filter(|_| is_new) {
            if room.sessions.is_empty() {
                self.forget(place);
                journal.release(stored_as(place));
            }
            return Err(error);
        }
        if room.sessions.is_empty() && !journal.keeps() {
            self.idle_bytes = self.idle_bytes.saturating_sub(room.bytes());
        }
        room.sessions.insert(key, info.version);
        Ok(self.begins_with(info))
    }

    /// Reads what is stored of a room, perhaps once more. What cannot be read stays as it is.
    fn load(&mut self, place: Place, journal: &mut Journal, out: &mut VecDeque<Output>) {
        let id = stored_as(place);
        let stored = journal.load(id);
        let read = stored.and_then(|stored| stored.map(|stored| read(place, stored)).transpose());
        let room = self.all.entry(place).or_default();
        match read {
            Ok(read) => {
                (room.kept, room.changes) = read.unwrap_or_default();
                room.unreadable = None;
                // Should it have been lost that it was told.
                out.extend(room.refers().then(|| room.holds(place)));
                if !room.kept.is_empty() {
                    self.kept.insert(place);
                }
            }
            Err(error) => {
                tracing::error!(stored = %id, %error, "what is kept of a room cannot be read");
                room.unreadable = Some(error);
            }
        }
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
        self.sleep(info, key);
        let Some(room) = self.all.get_mut(&id) else { return };
        // What is on its way would be missing in what is read meanwhile.
        let is_last = room.sessions.remove(&key).is_some() && room.sessions.is_empty();
        if !is_last || room.writing.is_some() {
            return;
        }
        if journal.keeps() || room.kept.is_empty() {
            self.forget(id);
            journal.release(stored_as(id));
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
            if let Some(room) = self.forget(oldest) {
                self.idle_bytes = self.idle_bytes.saturating_sub(room.bytes());
                if room.refers() {
                    let (session, holding) = (stored_as(oldest), Holding::Gone);
                    out.push_back(Output::References { session, room: oldest.1, holding });
                }
            }
        }
    }

    fn forget(&mut self, place: Place) -> Option<Room> {
        self.kept.remove(&place);
        self.all.remove(&place)
    }

    /// Somebody has done something in a session of a room.
    pub(crate) fn is_used(&mut self, info: &RoomInfo) {
        if let Some(room) = self.all.get_mut(&place(info)) {
            room.is_used = true;
        }
    }

    /// Whether a room belongs to others: they keep something in another one of its name, and in this one nobody has
    /// done anything.
    pub(crate) fn belongs_to_others(&self, info: &RoomInfo, journal: &Journal) -> bool {
        let Claims { own, others } = journal.claims(info);
        let room = self.all.get(&place(info));
        let own = own || room.is_some_and(|room| room.is_used || !room.kept.is_empty());
        let from = (info.name, Digest([0; 32]));
        let of_name = self.kept.range(from..).take_while(|place| place.0 == info.name);
        !own && (others || of_name.take(1).count() > 0)
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

    /// Somebody is in a session.
    pub(crate) fn wake(&mut self, info: &RoomInfo, key: SessionKey) {
        let Some(room) = self.all.get_mut(&place(info)) else { return };
        if let Some(told) = room.sessions.get(&key) {
            room.awake.insert((info.version, key));
            room.told.insert((*told, key));
        }
    }

    /// Nobody is in a session any more.
    pub(crate) fn sleep(&mut self, info: &RoomInfo, key: SessionKey) {
        let Some(room) = self.all.get_mut(&place(info)) else { return };
        if let Some(told) = room.sessions.get(&key) {
            room.awake.remove(&(info.version, key));
            room.told.remove(&(*told, key));
        }
    }

    /// The newest version of an app that has persisted something in a room, or whose session somebody is in.
    pub(crate) fn newest(&self, info: &RoomInfo) -> Option<u32> {
        let room = self.all.get(&place(info))?;
        let awake = room.awake.last().map(|(version, _)| *version);
        awake.max(room.kept.first().map(|kept| kept.version))
    }

    /// The sessions in which somebody is and was not told of this version; they count as told from now on.
    pub(crate) fn tell(&mut self, info: &RoomInfo, version: u32) -> Vec<SessionKey> {
        let Some(room) = self.all.get_mut(&place(info)) else { return Vec::new() };
        let older = room.told.range(..(version, SessionKey(0)));
        let older: Vec<_> = older.copied().take(TOLD_AT_ONCE).collect();
        for entry in &older {
            room.told.remove(entry);
            room.told.insert((version, entry.1));
            room.sessions.insert(entry.1, version);
        }
        older.into_iter().map(|(_, key)| key).collect()
    }

    /// A session is told of this version.
    pub(crate) fn is_told(&mut self, info: &RoomInfo, key: SessionKey, version: u32) {
        let Some(room) = self.all.get_mut(&place(info)) else { return };
        if let Some(told) = room.sessions.get_mut(&key)
            && *told < version
        {
            if room.told.remove(&(*told, key)) {
                room.told.insert((version, key));
            }
            *told = version;
        }
    }

    /// Whether what a session has persisted up to its snapshot, or if it has none what it began with, is not kept as it
    /// should be: it could not be, or the session was copied here without its room, or that was lost. What another
    /// session of the version has persisted may be newer, and stays.
    pub(crate) fn misses(
        &mut self,
        info: &RoomInfo,
        own: &Kept,
        begun_with: Option<&(u32, ByteBuf)>,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) -> bool {
        if self.all.get(&place(info)).is_some_and(|room| room.unreadable.is_some()) {
            // By now it may be; then it is to be compared with what is there.
            self.load(place(info), journal, out);
        }
        let Some(room) = self.all.get(&place(info)) else { return false };
        if room.unreadable.is_some() {
            return own.version == info.version;
        }
        // What is on its way comes before it.
        let kept = room.writing.as_ref().map_or(&room.kept, |writing| &writing.kept);
        let newer = kept.iter().filter(|kept| kept.version > own.version).count();
        let there = kept.iter().find(|kept| (own.version..=info.version).contains(&kept.version));
        there.map_or(newer < KEPT, |there| {
            let is_earlier = there.from.0 == own.from.0 && there.from.1 < own.from.1;
            let is_begun_with = begun_with
                .is_some_and(|(version, data)| (there.version, &there.data) == (*version, data));
            there.version == own.version && there.data != own.data && (is_earlier || is_begun_with)
        })
    }

    /// Keeps what a version of the app has persisted, in the place of what it had persisted before. If
    /// it cannot be stored that stays.
    pub(crate) fn keep(
        &mut self,
        place: Place,
        key: SessionKey,
        new: Kept,
        journal: &mut Journal,
        out: &mut VecDeque<Output>,
    ) -> Result<Keeping, StorageError> {
        if self.all.get(&place).is_some_and(|room| room.unreadable.is_some()) {
            self.load(place, journal, out);
        }
        let Some(room) = self.all.get_mut(&place) else { return Ok(Keeping::Older) };
        if let Some(error) = room.unreadable.clone() {
            return Err(error);
        }
        if let Some(writing) = &mut room.writing {
            writing.others.retain(|(other, kept)| (*other, kept.version) != (key, new.version));
            writing.others.push((key, new));
            return Ok(Keeping::Later);
        }
        let is_it = |kept: &Kept| {
            (kept.version, &kept.data, &kept.roots) == (new.version, &new.data, &new.roots)
        };
        if room.kept.iter().any(is_it) {
            return Ok(Keeping::Kept);
        }
        let from = new.from;
        let Some(kept) = room.with(new) else { return Ok(Keeping::Older) };
        let referred = room.refers();
        room.writing = Some(Writing { kept, by: key, from, others: Vec::new() });
        if !journal.keeps() {
            self.arrived(place, true, out);
            return Ok(Keeping::Kept);
        }
        if referred || room.refers() {
            out.push_back(room.holds(place));
        }
        let id = stored_as(place);
        let kept = room.writing.as_ref().map_or(&room.kept, |writing| &writing.kept);
        journal.keep(id, room.changes + 1, || {
            let head = journal::encode(&(FORMAT, "teatime room", place.0, place.1));
            (head, journal::encode(&(FORMAT, kept)))
        });
        self.writing.insert(id, place);
        Ok(Keeping::Later)
    }

    /// Whether something is on its way.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    /// What is on its way under this name has arrived, or has not.
    pub(crate) fn written(
        &mut self,
        id: SessionId,
        is_stored: bool,
        out: &mut VecDeque<Output>,
    ) -> Option<Arrived> {
        let place = self.writing.remove(&id)?;
        self.arrived(place, is_stored, out)
    }

    /// A room without sessions has waited for what was on its way, and needs not wait any more.
    pub(crate) fn drop_unused(&mut self, place: Place, journal: &mut Journal) {
        let room = self.all.get(&place);
        if room.is_some_and(|room| room.sessions.is_empty() && room.writing.is_none()) {
            self.forget(place);
            journal.release(stored_as(place));
        }
    }

    fn arrived(
        &mut self,
        place: Place,
        is_stored: bool,
        out: &mut VecDeque<Output>,
    ) -> Option<Arrived> {
        let room = self.all.get_mut(&place)?;
        let referred = room.refers();
        let Writing { kept, by, from, others } = room.writing.take()?;
        if is_stored {
            room.changes += 1;
            room.kept = kept;
            self.kept.insert(place);
        }
        if referred || room.refers() {
            out.push_back(room.holds(place));
        }
        Some(Arrived { by, from, others, room: place })
    }
}

/// Which room it is.
pub(crate) fn place_of(head: &[u8]) -> Result<Place, StorageError> {
    let (format, mark, name, id): (u8, String, Digest, Digest) = journal::decode(head, "room")?;
    if (format, mark.as_str()) == (FORMAT, "teatime room") {
        Ok((name, id))
    } else {
        Err(journal::wrong("room", "of another version"))
    }
}

/// What is kept of a room, and how often that has changed.
fn read(place: Place, stored: Stored) -> Result<(Vec<Kept>, u64), StorageError> {
    let wrong = |why: &str| journal::wrong("room", why);
    if place_of(&stored.head)? != place {
        return Err(wrong("it is another one"));
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
    Ok((kept, changes))
}
