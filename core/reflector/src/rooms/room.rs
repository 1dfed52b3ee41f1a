//! One room: what is persisted in it, and the sessions of it that are in memory.

use std::collections::{BTreeMap, BTreeSet};

use teatime_wire::Holding;

use super::{Condition, Wish, Written};
use crate::storage::{Key, RoomId, StorageError};
use crate::stored::{Origin, PersistedRecord, VERSIONS_PERSISTED};
use crate::{Output, SessionKey};

/// What is known of a room's persisted data.
#[derive(Debug)]
pub(super) enum Content {
    /// The storage has not answered yet.
    Asked,
    Read {
        /// The newest version first.
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

/// What is on its way to the storage.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) persisted: Vec<PersistedRecord>,
    /// The session that has persisted it, and the origin of that.
    pub(super) session: SessionKey,
    pub(super) from: Origin,
}

#[derive(Debug, Default)]
pub(super) struct Room {
    content: Content,
    writing: Option<Writing>,
    /// What waits until the room is read, or written. The newest of each session and version.
    wishes: Vec<Wish>,
    /// A participant has done something in one of its sessions.
    is_used: bool,
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

    pub(super) fn has_persisted(&self) -> bool {
        !self.persisted().is_empty()
    }

    pub(super) fn memory(&self) -> u64 {
        self.persisted().iter().map(PersistedRecord::memory).sum()
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
    pub(super) fn leave(&mut self, version: u32, key: SessionKey) -> bool {
        self.sleep(version, key);
        self.sessions.remove(&key).is_some() && self.sessions.is_empty()
    }

    pub(super) fn wake(&mut self, version: u32, key: SessionKey) {
        if let Some(told) = self.sessions.get(&key) {
            self.awake.insert((version, key));
            self.told.insert((*told, key));
        }
    }

    pub(super) fn sleep(&mut self, version: u32, key: SessionKey) {
        if let Some(told) = self.sessions.get(&key) {
            self.awake.remove(&(version, key));
            self.told.remove(&(*told, key));
        }
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
            (record.version, &record.data, &record.roots) == (new.version, &new.data, &new.roots)
        };
        self.persisted().iter().any(is_it)
    }

    /// Its persisted data with this, if that is new enough.
    pub(super) fn with(&self, new: PersistedRecord) -> Option<Vec<PersistedRecord>> {
        let mut persisted = self.persisted().to_vec();
        persisted.retain(|other| other.version != new.version);
        let at = persisted.partition_point(|other| other.version > new.version);
        if at >= VERSIONS_PERSISTED {
            return None;
        }
        persisted.insert(at, new);
        persisted.truncate(VERSIONS_PERSISTED);
        Some(persisted)
    }

    /// Whether a wish has a condition that does not hold. What a loaded session holds is missing in the room if it could
    /// not be stored, if the session was copied here without its room, or if the room was lost. What another session
    /// of the version has persisted may be newer, and stays.
    pub(super) fn is_needless(&self, wish: &Wish) -> bool {
        let Condition::IfMissing { version, begun_with } = &wish.condition else { return false };
        let own = &wish.new;
        // What is on its way comes first.
        let writing = self.writing.as_ref().map(|writing| &writing.persisted[..]);
        let persisted = writing.unwrap_or(self.persisted());
        let newer = persisted.iter().filter(|record| record.version > own.version).count();
        let there =
            persisted.iter().find(|record| (own.version..=*version).contains(&record.version));
        let is_missing = there.map_or(newer < VERSIONS_PERSISTED, |there| {
            let is_earlier = there.from.0 == own.from.0 && there.from.1 < own.from.1;
            let is_begun_with = begun_with
                .as_ref()
                .is_some_and(|(version, data)| (there.version, &there.data) == (*version, data));
            there.version == own.version && there.data != own.data && (is_earlier || is_begun_with)
        });
        !is_missing
    }

    /// Remembers a wish until the room is read or written, in the place of an older one.
    pub(super) fn wait(&mut self, wish: Wish) {
        let is_older =
            |older: &Wish| (older.session, older.new.version) == (wish.session, wish.new.version);
        self.wishes.retain(|older| !is_older(older));
        self.wishes.push(wish);
    }

    pub(super) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// Whether this data of a session is being written, or waits until it can be.
    pub(super) fn is_pending(&self, session: SessionKey, from: Origin) -> bool {
        let is_written = |one: &Writing| (one.session, one.from) == (session, from);
        self.writing.as_ref().is_some_and(is_written)
            || self.wishes.iter().any(|wish| (wish.session, wish.new.from) == (session, from))
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Returns the number of the change.
    pub(super) fn begin_write(&mut self, writing: Writing) -> u64 {
        self.writing = Some(writing);
        match &self.content {
            Content::Read { changes, .. } => changes + 1,
            Content::Asked | Content::Unreadable(_) => 1,
        }
    }

    pub(super) fn end_write(&mut self, is_stored: bool) -> Option<Written> {
        let Writing { persisted, session, from } = self.writing.take()?;
        if is_stored && let Content::Read { persisted: old, changes } = &mut self.content {
            *old = persisted;
            *changes += 1;
        }
        Some(Written { session, from })
    }
}
