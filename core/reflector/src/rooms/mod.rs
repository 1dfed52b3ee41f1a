//! Rooms: what outlives the sessions in them. Each version of an app has its own session in a room, and begins it with
//! what a version before has persisted.

mod room;

use std::collections::{HashMap, VecDeque};

use teatime_wire::{Holding, Room as RoomInfo, SessionId};

use crate::SessionKey;
use crate::outbox::{Outbox, Purpose};
use crate::room_index::RoomIndex;
use crate::storage::{Checkpoint, Claims, Key, Request, RoomId, StorageError, Stored};
use crate::stored::{self, Origin, PersistedRecord};
use room::{Content, Room, Writing};

/// How many sessions of a room hear at once that a newer version has come. The others hear when the next client comes.
const TOLD_AT_ONCE: usize = 100;

/// All rooms that are in memory.
#[derive(Default)]
pub(crate) struct Rooms {
    all: HashMap<RoomId, Room>,
    /// Which of them have something to lose.
    index: RoomIndex,
    /// Which of them have clients.
    present: RoomIndex,
    /// Rooms without sessions, the oldest first; entries may be out of date. Only without a storage.
    idle: VecDeque<RoomId>,
    /// Memory of their persisted data, in bytes.
    idle_bytes: u64,
}

/// What a session wants to persist in its room.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) session: SessionKey,
    pub(crate) new: PersistedRecord,
    pub(crate) condition: Condition,
}

/// When something is to be persisted.
#[derive(Debug)]
pub(crate) enum Condition {
    Always,
    /// If the room does not have what the session persisted last: the session was loaded.
    IfMissing,
    /// If the room has nothing: a loaded session began with this, which another session had persisted.
    IfRoomIsEmpty,
}

/// What became of a wish.
#[derive(Debug)]
pub(crate) enum Persisted {
    /// The room has the data.
    Yes,
    /// Other sessions have filled the room.
    No,
    /// The condition of the wish does not hold.
    Needless,
    /// The answer comes later.
    Later,
}

/// The end of a write.
pub(crate) struct Written {
    pub(crate) session: SessionKey,
    pub(crate) origin: Origin,
}

/// What is known about a room that clients want to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    Nothing,
    /// The storage has been asked.
    Asked,
    Readable,
    Unreadable,
}

impl Rooms {
    pub(crate) fn knowledge(&self, id: RoomId) -> Knowledge {
        match self.all.get(&id).map(Room::content) {
            None => Knowledge::Nothing,
            Some(Content::Asked) => Knowledge::Asked,
            Some(Content::Read { .. }) => Knowledge::Readable,
            Some(Content::Unreadable(_)) => Knowledge::Unreadable,
        }
    }

    /// Asks the storage what is persisted in a room, perhaps again.
    pub(crate) fn ask(&mut self, id: RoomId, out: &mut Outbox) {
        let is_known = self.all.contains_key(&id);
        self.all.entry(id).or_default().set_content(Content::Asked);
        if is_known {
            // It was asked for before, in vain.
            out.release(Key::Room(id));
        }
        out.ask(Request::Load(Key::Room(id)), Purpose::LoadRoom(id));
    }

    /// The storage has answered. Returns what has waited for that.
    pub(crate) fn loaded(
        &mut self,
        id: RoomId,
        answer: Result<Option<Stored>, StorageError>,
        out: &mut Outbox,
    ) -> Vec<Wish> {
        let read = answer.and_then(|stored| stored.as_ref().map(stored::read_room).transpose());
        let Some(room) = self.all.get_mut(&id) else { return Vec::new() };
        match read {
            Ok(read) => {
                let (persisted, changes) = read.unwrap_or_default();
                if !persisted.is_empty() {
                    self.index.add_persisted(id);
                }
                room.set_content(Content::Read { persisted, changes });
                if room.refers() {
                    // In case the store of blobs has lost that.
                    out.push(room.holds(id));
                }
            }
            Err(error) => {
                tracing::error!(name = %id.name, room = %id.id, %error, "a room cannot be read");
                room.set_content(Content::Unreadable(error));
            }
        }
        room.take_wishes()
    }

    /// A session of a room comes to memory. Without a storage the room need not be known. A session that begins needs a
    /// room that can be read.
    pub(crate) fn enter(
        &mut self,
        info: &RoomInfo,
        key: SessionKey,
        is_new: bool,
        out: &mut Outbox,
    ) -> Result<(), StorageError> {
        let room = self.all.entry(RoomId::of(info)).or_default();
        if is_new && let Content::Unreadable(error) = room.content() {
            return Err(error.clone());
        }
        if !out.has_storage() && !room.has_sessions() {
            self.idle_bytes = self.idle_bytes.saturating_sub(room.memory());
        }
        room.enter(key, info.version);
        Ok(())
    }

    /// A session of a room goes from memory. Without a storage, the rooms that are left may take `most` bytes.
    pub(crate) fn leave(&mut self, info: &RoomInfo, key: SessionKey, most: u64, out: &mut Outbox) {
        let id = RoomId::of(info);
        self.sleep(info, key);
        let Some(room) = self.all.get_mut(&id) else { return };
        if !room.leave(key) || out.has_storage() {
            return;
        }
        if !room.has_persisted() {
            self.forget(id);
            return;
        }
        self.idle_bytes += room.memory();
        self.idle.retain(|other| *other != id);
        self.idle.push_back(id);
        while self.idle_bytes > most
            && let Some(oldest) = self.idle.pop_front()
        {
            // A session may have begun in it since.
            let is_idle = self.all.get(&oldest).is_some_and(|room| !room.has_sessions());
            if !is_idle {
                continue;
            }
            if let Some(room) = self.forget(oldest) {
                self.idle_bytes = self.idle_bytes.saturating_sub(room.memory());
                if room.refers() {
                    let (holder, holding) = (Key::Room(oldest), Holding::Gone);
                    out.push(crate::Output::References { holder, room: oldest.id, holding });
                }
            }
        }
    }

    /// Drops a stored room from memory if nothing uses it there.
    pub(crate) fn drop_unused(&mut self, id: RoomId, out: &mut Outbox) {
        if out.has_storage() && self.all.get(&id).is_some_and(Room::is_unused) {
            self.forget(id);
            out.release(Key::Room(id));
        }
    }

    fn forget(&mut self, id: RoomId) -> Option<Room> {
        let room = self.all.remove(&id)?;
        self.index.remove_persisted(id);
        if room.is_used() {
            self.index.remove_use(id);
        }
        Some(room)
    }

    /// A participant has done something in a session of a room.
    pub(crate) fn mark_used(&mut self, id: RoomId) {
        if self.all.get_mut(&id).is_some_and(Room::mark_used) {
            self.index.add_use(id);
        }
    }

    /// Whether nothing has ever happened in a room, as far as this reflector knows.
    pub(crate) fn is_new(&self, id: RoomId) -> bool {
        !self.index.claims(id).own
    }

    /// Whether a client in this room should check its password: nothing has happened there, and another room of the name is
    /// in use. `stored` is what the storage has of them.
    pub(crate) fn is_doubtful(&self, id: RoomId, stored: Claims) -> bool {
        let known = self.index.claims(id);
        let others = stored.others || known.others || self.present.claims(id).others;
        others && !stored.own && !known.own
    }

    /// The clients of a room now know that another one of the name is in use.
    pub(crate) fn doubt(&mut self, id: RoomId) {
        self.all.get_mut(&id).map(Room::doubt);
    }

    /// Clients have come to this room. Returns the sessions with clients in other rooms of the name in which nothing has
    /// happened: those clients may have mistyped a password. Each room counts once.
    pub(crate) fn doubtful_beside(&mut self, id: RoomId) -> Vec<SessionKey> {
        let others: Vec<_> = self.present.others_of(id).take(TOLD_AT_ONCE).collect();
        let mut sessions = Vec::new();
        for other in others.into_iter().filter(|other| !self.index.claims(*other).own) {
            if let Some(room) = self.all.get_mut(&other)
                && room.doubt()
            {
                sessions.extend(room.awake());
            }
        }
        sessions
    }

    /// What this session of a room that is in memory would begin with: what it has persisted itself, or else the newest of
    /// the newest version that is not newer than its own.
    pub(crate) fn begins_with(
        &self,
        info: &RoomInfo,
        session: SessionId,
    ) -> Option<&PersistedRecord> {
        let persisted = self.all.get(&RoomId::of(info))?.persisted();
        let own = persisted.iter().find(|record| record.session == session);
        own.or_else(|| persisted.iter().find(|record| record.version <= info.version))
    }

    /// Memory of the persisted data of a room, in bytes.
    pub(crate) fn memory(&self, info: &RoomInfo) -> u64 {
        self.all.get(&RoomId::of(info)).map_or(0, Room::memory)
    }

    /// Bytes of the persisted data of a room, or of what is about to take its place.
    pub(crate) fn stored_bytes(&self, info: &RoomInfo) -> u64 {
        self.all.get(&RoomId::of(info)).map_or(0, Room::stored_bytes)
    }

    /// A session has clients.
    pub(crate) fn wake(&mut self, info: &RoomInfo, key: SessionKey) {
        let id = RoomId::of(info);
        if self.all.get_mut(&id).is_some_and(|room| room.wake(info.version, key)) {
            self.present.add_use(id);
        }
    }

    /// A session no longer has clients.
    pub(crate) fn sleep(&mut self, info: &RoomInfo, key: SessionKey) {
        let id = RoomId::of(info);
        if self.all.get_mut(&id).is_some_and(|room| room.sleep(info.version, key)) {
            self.present.remove_use(id);
        }
    }

    /// The newest version of the app that has persisted something in a room, or whose session has clients.
    pub(crate) fn newest(&self, info: &RoomInfo) -> Option<u32> {
        self.all.get(&RoomId::of(info))?.newest()
    }

    /// The sessions with clients that have not heard of this version yet. From now on they count as told.
    pub(crate) fn tell(&mut self, info: &RoomInfo, version: u32) -> Vec<SessionKey> {
        let room = self.all.get_mut(&RoomId::of(info));
        room.map_or_else(Vec::new, |room| room.tell(version, TOLD_AT_ONCE))
    }

    /// A session has heard of this version.
    pub(crate) fn mark_told(&mut self, info: &RoomInfo, key: SessionKey, version: u32) {
        if let Some(room) = self.all.get_mut(&RoomId::of(info)) {
            room.mark_told(key, version);
        }
    }

    /// Puts what a version of the app has persisted in the place of what it had persisted before. If that cannot be
    /// stored the old data stays.
    pub(crate) fn persist(&mut self, id: RoomId, wish: Wish, out: &mut Outbox) -> Persisted {
        let Some(room) = self.all.get_mut(&id) else { return Persisted::No };
        match room.content() {
            Content::Asked => {
                room.wait(wish);
                return Persisted::Later;
            }
            Content::Unreadable(_) => {
                // By now it may be readable.
                room.wait(wish);
                self.ask(id, out);
                return Persisted::Later;
            }
            Content::Read { .. } if room.is_writing() => {
                if room.is_needless(&wish) {
                    return Persisted::Needless;
                }
                room.wait(wish);
                return Persisted::Later;
            }
            Content::Read { .. } => {}
        }
        if room.is_needless(&wish) {
            return Persisted::Needless;
        }
        let Wish { session, mut new, condition } = wish;
        new.change = room.order_of(&new, &condition);
        if room.has(&new) {
            return Persisted::Yes;
        }
        let origin = new.origin;
        let Some(persisted) = room.with(new, is_open(id)) else { return Persisted::No };
        let referred = room.refers();
        let bytes = out.has_storage().then(|| stored::write_room(&persisted));
        let seq = room.begin_write(Writing { persisted, session, origin });
        let Some(bytes) = bytes else {
            self.written(id, true, out);
            return Persisted::Yes;
        };
        if referred || room.refers() {
            out.push(room.holds(id));
        }
        let checkpoint = Checkpoint { seq, bytes };
        out.ask(Request::Persist { room: id, checkpoint }, Purpose::Persist(id));
        Persisted::Later
    }

    /// The write under way has ended. Returns whose it was, and what has waited for it.
    pub(crate) fn written(
        &mut self,
        id: RoomId,
        is_stored: bool,
        out: &mut Outbox,
    ) -> Option<(Written, Vec<Wish>)> {
        let room = self.all.get_mut(&id)?;
        let referred = room.refers();
        let written = room.end_write(is_stored)?;
        if is_stored {
            self.index.add_persisted(id);
        }
        if referred || room.refers() {
            out.push(room.holds(id));
        }
        Some((written, room.take_wishes()))
    }

    /// Whether this data of a session waits for the storage: it is being written, or waits until it can be.
    pub(crate) fn is_pending(&self, id: RoomId, session: SessionKey, origin: Origin) -> bool {
        self.all.get(&id).is_some_and(|room| room.is_pending(session, origin))
    }

    /// Why a room cannot be read.
    pub(crate) fn why_unreadable(&self, id: RoomId) -> Option<StorageError> {
        match self.all.get(&id).map(Room::content) {
            Some(Content::Unreadable(error)) => Some(error.clone()),
            _ => None,
        }
    }

    /// A client at the door needs the room in memory.
    pub(crate) fn expect(&mut self, id: RoomId) {
        self.all.entry(id).or_default().expect();
    }

    pub(crate) fn no_longer_expect(&mut self, id: RoomId) {
        if let Some(room) = self.all.get_mut(&id) {
            room.no_longer_expect();
        }
    }
}

/// Whether the room has no password. Then everybody who knows its name is a member.
fn is_open(id: RoomId) -> bool {
    RoomInfo::new(id.name, None, 0).id == id.id
}
