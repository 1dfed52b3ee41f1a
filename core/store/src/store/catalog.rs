//! What lives in the log, and where.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use teatime_reflector::storage::{Claims, Key, Record, RecordKind, RoomId};
use teatime_reflector::{RoomIndex, room_of};

use crate::log::checkpoint::CheckpointFile;
use crate::log::entry::{Entry, What};
use crate::log::key;
use crate::log::position::Position;
use crate::store::segments::Segments;

/// A record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) at: Position,
}

/// A stored session or room, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its key.
    pub key: Key,
    /// Its highest sequence number, of a record or of the checkpoint; 0 if it has neither.
    pub newest: u64,
    /// How many records it has after the checkpoint.
    pub records: u64,
    /// Bytes that it needs on disk, without garbage.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970, as noted by
    /// `Store::retain`.
    pub last_used: Option<u64>,
}

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

/// What lives of one key.
#[derive(Debug, Default)]
pub(crate) struct Item {
    /// The key and the place of its head; `None` only while the log is read.
    begin: Option<(Key, Position)>,
    /// The room of a session, if its head names one.
    room: Option<RoomId>,
    is_used: bool,
    checkpoint: Option<(CheckpointFile, Position)>,
    /// Index, time and place of the newest note of use.
    touched: Option<(u64, u64, Position)>,
    /// Sorted by index.
    rows: VecDeque<Row>,
    newest: u64,
    /// Bytes of its living entries.
    log_bytes: u64,
}

impl Item {
    pub(crate) fn key(&self) -> Option<Key> {
        self.begin.map(|(key, _)| key)
    }

    /// Where its head is.
    pub(crate) fn begin(&self) -> Option<Position> {
        self.begin.map(|(_, at)| at)
    }

    pub(crate) fn checkpoint(&self) -> Option<&CheckpointFile> {
        self.checkpoint.as_ref().map(|(file, _)| file)
    }

    pub(crate) fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    /// The highest sequence number.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Where its living entries are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Position> {
        let checkpoint = self.checkpoint.as_ref().map(|(_, at)| *at);
        let touched = self.touched.map(|(.., at)| at);
        let rows = self.rows.iter().map(|row| row.at);
        [self.begin(), checkpoint, touched].into_iter().flatten().chain(rows)
    }

    fn covers(&self, seq: u64, index: u64) -> bool {
        self.checkpoint().is_some_and(|file| seq <= file.seq() && index < file.index())
    }

    fn mark_used(&mut self, rooms: &mut RoomIndex) {
        if !std::mem::replace(&mut self.is_used, true)
            && let Some(room) = self.room
        {
            rooms.add_use(room);
        }
    }

    fn info(&self) -> Option<Info> {
        Some(Info {
            key: self.key()?,
            newest: self.newest,
            records: self.rows.len() as u64,
            bytes: self.log_bytes + self.checkpoint().map_or(0, CheckpointFile::length),
            last_used: self.touched.map(|(_, time, _)| time),
        })
    }
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
        let file = CheckpointFile::decode(entry).ok_or("the entry of a checkpoint is too short")?;
        let item = self.items.entry(entry.number).or_default();
        if item.checkpoint().is_some_and(|before| before.index() > file.index()) {
            return Ok(());
        }
        item.newest = item.newest.max(file.seq());
        item.mark_used(&mut self.rooms);
        self.checkpoint_bytes += file.length();
        let before = item.checkpoint.replace((file, at));
        if let Some((before, _)) = &before {
            self.checkpoint_bytes -= before.length();
            if before.index() != entry.index
                && let Some(key) = item.key()
            {
                self.doomed.push(before.path(key));
            }
        }
        self.replace(entry.number, before.map(|(_, at)| at), Some(at));
        self.drop_covered(entry.number);
        Ok(())
    }

    /// Makes the records that the checkpoint stands for garbage.
    fn drop_covered(&mut self, number: u64) {
        let Some(item) = self.items.get_mut(&number) else { return };
        let mut rows = std::mem::take(&mut item.rows);
        let mut gone = Vec::new();
        rows.retain(|row| {
            let covered = item.covers(row.seq, row.index);
            if covered {
                gone.push(row.at);
            }
            !covered
        });
        item.rows = rows;
        gone.into_iter().for_each(|at| self.replace(number, Some(at), None));
    }

    fn record(&mut self, entry: &Entry<'_>, at: Position) {
        let item = self.items.entry(entry.number).or_default();
        item.newest = item.newest.max(entry.seq);
        if !item.is_used && is_use(entry) {
            item.mark_used(&mut self.rooms);
        }
        if item.covers(entry.seq, entry.index) {
            return;
        }
        let row = Row { index: entry.index, seq: entry.seq, at };
        let before = if item.rows.back().is_none_or(|last| last.index < row.index) {
            item.rows.push_back(row);
            None
        } else {
            match item.rows.binary_search_by_key(&row.index, |row| row.index) {
                Ok(place) => Some(std::mem::replace(&mut item.rows[place], row).at),
                Err(place) => {
                    item.rows.insert(place, row);
                    None
                }
            }
        };
        self.replace(entry.number, before, Some(at));
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
        if let Some(file) = item.checkpoint() {
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
        let place = match entry.what {
            What::Begin => item.begin(),
            What::Checkpoint => item.checkpoint.as_ref().map(|(_, at)| *at),
            What::Touch => item.touched.map(|(.., at)| at),
            What::Record => {
                let found = item.rows.binary_search_by_key(&entry.index, |row| row.index);
                found.ok().map(|place| item.rows[place].at)
            }
            What::Remove | What::First => None,
        };
        place == Some(at)
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

/// Whether a record shows that a participant has done something in its session.
fn is_use(entry: &Entry<'_>) -> bool {
    let bytes = || Bytes::copy_from_slice(entry.bytes);
    RecordKind::try_from(entry.kind)
        .is_ok_and(|kind| Record { seq: entry.seq, kind, bytes: bytes() }.is_use())
}
