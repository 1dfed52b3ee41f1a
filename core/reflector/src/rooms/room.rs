//! One room: what is persisted in it, and the sessions of it that are in memory.

use std::collections::{BTreeMap, BTreeSet};

use teatime_wire::{Holding, SessionId};

use super::{Condition, Wish, Written};
use crate::storage::{Key, RoomId, StorageError};
use crate::stored::{MAX_RECORDS, Origin, PersistedRecord};
use crate::{Output, SessionKey};

/// What is known of a room's persisted data.
#[derive(Debug)]
pub(super) enum Content {
    /// The storage has not answered yet.
    Asked,
    Read {
        /// The newest version first; of one version, the newest first.
        persisted: Vec<PersistedRecord>,
        /// How often that has changed.
        changes: u64,
    },
    /// Nothing may replace what is there.
    Unreadable(StorageError),
}

impl Default for Content {
    fn default() -> Self {
        Self::Read { persisted: Vec::new(), changes: 0 }
    }
}

/// A room with this much persisted data takes none from further sessions. Those that are there may persist as much as any.
const FULL_BYTES: usize = 8 * 1024 * 1024;

/// What is on its way to the storage.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) persisted: Vec<PersistedRecord>,
    /// The session that has persisted it, and the origin of that.
    pub(super) session: SessionKey,
    pub(super) origin: Origin,
}

#[derive(Debug, Default)]
pub(super) struct Room {
    content: Content,
    writing: Option<Writing>,
    /// What waits until the room is read, or written. The newest of each session.
    wishes: Vec<Wish>,
    /// A participant has done something in one of its sessions.
    is_used: bool,
    /// Its clients know that another room of the name is in use.
    is_doubted: bool,
    /// How many sessions at the door need it.
    expected: usize,
    /// The sessions in memory, each with the newest version of the app that its clients know of.
    sessions: BTreeMap<SessionKey, u32>,
    /// The sessions with clients: by their own version, and by the newest version that the clients know of.
    awake: BTreeSet<(u32, SessionKey)>,
    told: BTreeSet<(u32, SessionKey)>,
}

impl Room {
    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    pub(super) fn set_content(&mut self, content: Content) {
        self.content = content;
    }

    pub(super) fn persisted(&self) -> &[PersistedRecord] {
        match &self.content {
            Content::Read { persisted, .. } => persisted,
            Content::Asked | Content::Unreadable(_) => &[],
        }
    }

    fn changes(&self) -> u64 {
        match &self.content {
            Content::Read { changes, .. } => *changes,
            Content::Asked | Content::Unreadable(_) => 0,
        }
    }

    pub(super) fn has_persisted(&self) -> bool {
        !self.persisted().is_empty()
    }

    pub(super) fn memory(&self) -> u64 {
        self.persisted().iter().map(PersistedRecord::memory).sum()
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        let writing = self.writing.as_ref().map(|writing| &writing.persisted[..]);
        writing.unwrap_or(self.persisted()).iter().map(PersistedRecord::memory).sum()
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Returns whether it was unused before.
    pub(super) fn mark_used(&mut self) -> bool {
        !std::mem::replace(&mut self.is_used, true)
    }

    pub(super) fn expect(&mut self) {
        self.expected += 1;
    }

    pub(super) fn no_longer_expect(&mut self) {
        self.expected = self.expected.saturating_sub(1);
    }

    /// Whether nothing needs it in memory.
    pub(super) fn is_unused(&self) -> bool {
        let is_asked = matches!(self.content, Content::Asked);
        !is_asked && !self.has_sessions() && self.writing.is_none() && self.expected == 0
    }

    pub(super) fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    pub(super) fn enter(&mut self, key: SessionKey, version: u32) {
        self.sessions.insert(key, version);
    }

    /// Returns whether that was the last session.
    pub(super) fn leave(&mut self, key: SessionKey) -> bool {
        self.sessions.remove(&key).is_some() && self.sessions.is_empty()
    }

    /// Returns whether no other session of the room has clients.
    pub(super) fn wake(&mut self, version: u32, key: SessionKey) -> bool {
        let Some(told) = self.sessions.get(&key) else { return false };
        self.told.insert((*told, key));
        let is_first = self.awake.is_empty();
        self.awake.insert((version, key)) && is_first
    }

    /// Returns whether it was the last session with clients.
    pub(super) fn sleep(&mut self, version: u32, key: SessionKey) -> bool {
        let Some(told) = self.sessions.get(&key) else { return false };
        self.told.remove(&(*told, key));
        self.awake.remove(&(version, key)) && self.awake.is_empty()
    }

    /// The sessions with clients.
    pub(super) fn awake(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.awake.iter().map(|(_, key)| *key)
    }

    /// Its clients now hear that another room of the name is in use. Returns whether they have not heard it before.
    pub(super) fn doubt(&mut self) -> bool {
        !std::mem::replace(&mut self.is_doubted, true)
    }

    pub(super) fn newest(&self) -> Option<u32> {
        let awake = self.awake.last().map(|(version, _)| *version);
        awake.max(self.persisted().first().map(|record| record.version))
    }

    pub(super) fn tell(&mut self, version: u32, most: usize) -> Vec<SessionKey> {
        let older = self.told.range(..(version, SessionKey(0)));
        let older: Vec<_> = older.copied().take(most).collect();
        for entry in &older {
            self.told.remove(entry);
            self.told.insert((version, entry.1));
            self.sessions.insert(entry.1, version);
        }
        older.into_iter().map(|(_, key)| key).collect()
    }

    pub(super) fn mark_told(&mut self, key: SessionKey, version: u32) {
        if let Some(told) = self.sessions.get_mut(&key)
            && *told < version
        {
            if self.told.remove(&(*told, key)) {
                self.told.insert((version, key));
            }
            *told = version;
        }
    }

    /// What is persisted, and what is on its way.
    fn all_persisted(&self) -> impl Iterator<Item = &PersistedRecord> {
        let writing = self.writing.iter().flat_map(|writing| &writing.persisted);
        self.persisted().iter().chain(writing)
    }

    /// Whether its persisted data refers to blobs.
    pub(super) fn refers(&self) -> bool {
        self.all_persisted().any(|record| !record.roots.is_empty())
    }

    /// The blobs to which its persisted data refers.
    pub(super) fn holds(&self, id: RoomId) -> Output {
        let roots = self.all_persisted().flat_map(|record| record.roots.iter().copied());
        let mut roots: Vec<_> = roots.collect();
        roots.sort_unstable();
        roots.dedup();
        let (holder, holding) = (Key::Room(id), Holding::Exactly(roots));
        Output::References { holder, room: id.id, holding }
    }

    /// Whether it has this data already.
    pub(super) fn has(&self, new: &PersistedRecord) -> bool {
        let is_it = |record: &PersistedRecord| {
            (record.session, &record.data, &record.roots) == (new.session, &new.data, &new.roots)
        };
        self.persisted().iter().any(is_it)
    }

    /// Its persisted data with this. It takes the place only of what the same session had persisted before. In a full room, a
    /// new session finds place only if the room has a password: that of the oldest data of its lineage before what it
    /// began with. So in a room whose members may be strangers, none of them pushes out what another has persisted.
    pub(super) fn with(&self, new: PersistedRecord, is_open: bool) -> Option<Vec<PersistedRecord>> {
        let mut persisted = self.persisted().to_vec();
        let is_known = persisted.iter().any(|record| record.session == new.session);
        persisted.retain(|record| record.session != new.session);
        if !is_known && is_full(&persisted) {
            let oldest = oldest_ancestor(&persisted, &new).filter(|_| !is_open)?;
            persisted.retain(|record| record.session != oldest);
            if is_full(&persisted) {
                return None;
            }
        }
        if persisted.iter().any(|record| record.change == new.change) {
            let newer = persisted.iter_mut().filter(|record| record.change >= new.change);
            newer.for_each(|record| record.change += 1);
        }
        let order = |record: &PersistedRecord| (record.version, record.change);
        let at = persisted.partition_point(|other| order(other) > order(&new));
        persisted.insert(at, new);
        Some(persisted)
    }

    /// The number in the order of all that was persisted in the room. What comes late stands where the data stood that
    /// it replaces, or else right after what its session began with, or before everything: whatever other sessions have
    /// persisted since stays newer.
    pub(super) fn order_of(&self, new: &PersistedRecord, condition: &Condition) -> u64 {
        if !matches!(condition, Condition::IfMissing) {
            return self.changes() + 1;
        }
        let persisted = self.persisted();
        if let Some(before) = persisted.iter().find(|record| record.session == new.session) {
            return before.change;
        }
        let is_begun_with = |record: &&PersistedRecord| new.from == Some(record.as_ancestor());
        persisted.iter().find(is_begun_with).map_or(0, |record| record.change) + 1
    }

    /// Whether a wish has a condition that does not hold. What a loaded session has persisted is missing in the room if it
    /// could not be stored, if the session was copied here without its room, or if the room was lost.
    pub(super) fn is_needless(&self, wish: &Wish) -> bool {
        let own = &wish.new;
        // What is on its way comes first.
        let writing = self.writing.as_ref().map(|writing| &writing.persisted[..]);
        let persisted = writing.unwrap_or(self.persisted());
        let there = persisted.iter().find(|record| record.session == own.session);
        match wish.condition {
            Condition::Always => false,
            Condition::IfRoomIsEmpty => !persisted.is_empty(),
            Condition::IfMissing => there.is_some_and(|there| {
                let is_earlier = there.origin.0 == own.origin.0 && there.origin.1 < own.origin.1;
                let is_begun_with = own.from == Some(there.as_ancestor());
                there.data == own.data || !(is_earlier || is_begun_with)
            }),
        }
    }

    /// Remembers a wish until the room is read or written, in the place of an older one.
    pub(super) fn wait(&mut self, wish: Wish) {
        let is_older =
            |older: &Wish| (older.session, older.new.session) == (wish.session, wish.new.session);
        self.wishes.retain(|older| !is_older(older));
        self.wishes.push(wish);
    }

    pub(super) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// Whether this data of a session is being written, or waits until it can be.
    pub(super) fn is_pending(&self, session: SessionKey, origin: Origin) -> bool {
        let is_written = |one: &Writing| (one.session, one.origin) == (session, origin);
        self.writing.as_ref().is_some_and(is_written)
            || self.wishes.iter().any(|wish| (wish.session, wish.new.origin) == (session, origin))
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Returns the number of the change.
    pub(super) fn begin_write(&mut self, writing: Writing) -> u64 {
        self.writing = Some(writing);
        self.changes() + 1
    }

    pub(super) fn end_write(&mut self, is_stored: bool) -> Option<Written> {
        let Writing { persisted, session, origin } = self.writing.take()?;
        if is_stored && let Content::Read { persisted: old, changes } = &mut self.content {
            *old = persisted;
            *changes += 1;
        }
        Some(Written { session, origin })
    }
}

/// Whether a room with this data has no place for that of another session.
fn is_full(persisted: &[PersistedRecord]) -> bool {
    let bytes: usize = persisted.iter().map(|record| record.data.len()).sum();
    persisted.len() >= MAX_RECORDS || bytes >= FULL_BYTES
}

/// The oldest data in the lineage of a record, unless the record began with it.
fn oldest_ancestor(persisted: &[PersistedRecord], new: &PersistedRecord) -> Option<SessionId> {
    let find = |from| persisted.iter().find(|record| record.as_ancestor() == from);
    let mut oldest = None;
    let mut next = new.from.and_then(find)?.from;
    // A lineage names no record twice, but files may come from anywhere.
    for _ in 0..MAX_RECORDS {
        let Some(ancestor) = next.and_then(find) else { break };
        oldest = Some(ancestor.session);
        next = ancestor.from;
    }
    oldest
}
