//! What lives in the log, and where.

use std::collections::HashMap;

use bytes::Bytes;
use teatime_reflector::storage::{Claims, Key, Record, RecordKind, RoomId};
use teatime_reflector::{RoomIndex, room_of};

use crate::log::entry::{Entry, What};
use crate::log::installed::Installed;
use crate::log::key;
use crate::log::position::Position;
use crate::store::item::{Changes, Info, Item, Row};
use crate::store::segments::Segments;

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// How many sessions and rooms.
    pub keys: usize,
    /// How many segments the log has.
    pub segments: usize,
    /// Bytes of all segments and checkpoints.
    pub disk_bytes: u64,
    /// Bytes of what lives in them.
    pub live_bytes: u64,
}

/// Everything that lives. Opening and committing apply the same entries in the same way.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// By number.
    items: HashMap<u64, Item>,
    numbers: HashMap<Key, u64>,
    rooms: RoomIndex,
    segments: Segments,
    /// Higher than every index so far.
    next_index: u64,
    /// Bytes of all checkpoints.
    checkpoint_bytes: u64,
    /// Files of checkpoints that no longer count.
    doomed: Vec<String>,
}

impl Catalog {
    /// Applies an entry at this place of the log. It may be a copy of one that was applied before.
    pub(crate) fn apply(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        self.next_index = self.next_index.max(entry.index.saturating_add(1));
        match entry.what {
            What::Begin => self.begin(entry, at)?,
            What::Checkpoint => self.checkpoint(entry, at)?,
            What::Record => self.record(entry, at),
            What::Remove => self.remove(entry.number),
            What::Touch => self.touch(entry, at),
            What::First => self.segments.raise_first(entry.seq),
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        let (key, head) = key::decode(entry.bytes).ok_or("an entry has an invalid key")?;
        let item = self.items.entry(entry.number).or_default();
        let before = item.begin.replace((key, at));
        if before.is_none() {
            match key {
                Key::Room(room) => self.rooms.add_persisted(room),
                Key::Session(_) => item.room = room_of(head),
            }
            if item.is_used
                && let Some(room) = item.room
            {
                self.rooms.add_use(room);
            }
        }
        if self.numbers.insert(key, entry.number).is_some_and(|number| number != entry.number) {
            return Err("a key begins twice");
        }
        self.replace(entry.number, before.map(|(_, at)| at), Some(at));
        Ok(())
    }

    fn checkpoint(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        let installed = Installed::decode(entry).ok_or("the entry of a checkpoint is too short")?;
        let item = self.items.entry(entry.number).or_default();
        item.newest = item.newest.max(entry.seq);
        mark_used(item, &mut self.rooms);
        let changes = item.take_checkpoint(entry.index, installed, at);
        self.adopt(entry.number, changes, at);
        Ok(())
    }

    fn record(&mut self, entry: &Entry<'_>, at: Position) {
        let item = self.items.entry(entry.number).or_default();
        item.newest = item.newest.max(entry.seq);
        if !item.is_used && is_use(entry) {
            mark_used(item, &mut self.rooms);
        }
        let changes = item.take_row(Row { index: entry.index, seq: entry.seq, at });
        self.adopt(entry.number, changes, at);
    }

    /// Counts what an entry at this place has changed.
    fn adopt(&mut self, number: u64, changes: Changes, at: Position) {
        let Changes { dead, lives, doomed, added } = changes;
        self.replace(number, None, lives.then_some(at));
        dead.into_iter().for_each(|at| self.replace(number, Some(at), None));
        self.checkpoint_bytes += added.map_or(0, |file| file.length());
        let key = self.items.get(&number).and_then(Item::key);
        for file in doomed {
            self.checkpoint_bytes -= file.length();
            self.doomed.extend(key.map(|key| file.path(key)));
        }
    }

    fn touch(&mut self, entry: &Entry<'_>, at: Position) {
        let item = self.items.entry(entry.number).or_default();
        if item.touched.is_some_and(|(index, ..)| index > entry.index) {
            return;
        }
        let before = item.touched.replace((entry.index, entry.seq, at));
        self.replace(entry.number, before.map(|(.., at)| at), Some(at));
    }

    fn remove(&mut self, number: u64) {
        let places: Vec<_> =
            self.items.get(&number).map_or_else(Vec::new, |item| item.places().collect());
        places.into_iter().for_each(|at| self.replace(number, Some(at), None));
        let Some(item) = self.items.remove(&number) else { return };
        if let Some(room) = item.room.filter(|_| item.is_used) {
            self.rooms.remove_use(room);
        }
        let Some(key) = item.key() else { return };
        if let Key::Room(room) = key {
            self.rooms.remove_persisted(room);
        }
        self.numbers.remove(&key);
        for file in item.files() {
            self.checkpoint_bytes -= file.length();
            self.doomed.push(file.path(key));
        }
    }

    /// The entry at one place became garbage, the one at another place lives now.
    fn replace(&mut self, number: u64, before: Option<Position>, now: Option<Position>) {
        let mut difference = 0i64;
        for (at, sign) in [(before, -1), (now, 1)] {
            let Some(at) = at else { continue };
            let bytes = sign * i64::from(at.length);
            difference += bytes;
            self.segments.change_live(at.segment, bytes);
        }
        if let Some(item) = self.items.get_mut(&number) {
            item.log_bytes = item.log_bytes.saturating_add_signed(difference);
        }
    }

    /// Whether this entry lives at this very place.
    pub(crate) fn lives(&self, entry: &Entry<'_>, at: Position) -> bool {
        let Some(item) = self.items.get(&entry.number) else { return false };
        match entry.what {
            What::Begin => item.begin() == Some(at),
            What::Checkpoint => item.has_checkpoint_at(at),
            What::Touch => item.touched.is_some_and(|(.., place)| place == at),
            What::Record => item.row_at(entry.index) == Some(at),
            What::Remove | What::First => false,
        }
    }

    /// The number and the item of a key.
    pub(crate) fn find(&self, key: Key) -> Option<(u64, &Item)> {
        let number = *self.numbers.get(&key)?;
        Some((number, self.items.get(&number)?))
    }

    /// The item with this number.
    pub(crate) fn item(&self, number: u64) -> Option<&Item> {
        self.items.get(&number)
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// All keys, sorted.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.numbers.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Time has passed in which the store was open. Returns which sessions need a new entry of their checkpoint, and what
    /// it says.
    pub(crate) fn pass_time(&mut self, seconds: u64) -> Vec<(Key, Installed)> {
        let items = self.items.values_mut();
        items.filter_map(|item| Some((item.key()?, item.pass_time(seconds)?))).collect()
    }

    pub(crate) fn infos(&self) -> Vec<Info> {
        self.items.values().filter_map(Item::info).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let (log, live) = self.segments.bytes();
        Stats {
            keys: self.items.len(),
            segments: self.segments.count(),
            disk_bytes: log + self.checkpoint_bytes,
            live_bytes: live + self.checkpoint_bytes,
        }
    }

    pub(crate) fn claims(&self, room: RoomId) -> Claims {
        self.rooms.claims(room)
    }

    /// Higher than every index so far.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// All indices are at least this high from now on.
    pub(crate) fn raise_next_index(&mut self, least: u64) {
        self.next_index = self.next_index.max(least);
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(crate) fn segments_mut(&mut self) -> &mut Segments {
        &mut self.segments
    }

    /// Bytes of all checkpoints that count.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes
    }

    /// Takes the paths of the checkpoints that no longer count.
    pub(crate) fn take_doomed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.doomed)
    }
}

fn mark_used(item: &mut Item, rooms: &mut RoomIndex) {
    if !std::mem::replace(&mut item.is_used, true)
        && let Some(room) = item.room
    {
        rooms.add_use(room);
    }
}

/// Whether a record shows that a participant has done something in its session.
fn is_use(entry: &Entry<'_>) -> bool {
    let bytes = || Bytes::copy_from_slice(entry.bytes);
    RecordKind::try_from(entry.kind)
        .is_ok_and(|kind| Record { seq: entry.seq, kind, bytes: bytes() }.is_use())
}
