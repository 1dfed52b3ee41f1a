//! What lives of one session or room.

use std::collections::VecDeque;

use teatime_reflector::storage::{Key, RoomId};

use crate::log::checkpoint::CheckpointFile;
use crate::log::installed::Installed;
use crate::log::position::Position;

/// A stored session or room, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its key.
    pub key: Key,
    /// Its highest sequence number, of a record or of the checkpoint; 0 if it has neither.
    pub newest: u64,
    /// How many records it has after the checkpoint.
    pub records: u64,
    /// The sequence number of the checkpoint to which it can go back, 0 for its beginning. `None` if the history before
    /// its checkpoint is not retained.
    pub previous: Option<u64>,
    /// Whether a participant has done something in it. Always true for a room.
    pub is_used: bool,
    /// Bytes that it needs on disk, without garbage.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970, as noted by
    /// `Store::retain`.
    pub last_used: Option<u64>,
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) at: Position,
}

/// How long a history is still retained is noted when the store was open for this many seconds.
const NOTED_AFTER: u64 = 900;

/// What lives of one key.
#[derive(Debug, Default)]
pub(crate) struct Item {
    /// The key and the place of its head; `None` only while the log is read.
    pub(super) begin: Option<(Key, Position)>,
    /// The room of a session, if its head names one.
    pub(super) room: Option<RoomId>,
    pub(super) is_used: bool,
    current: Option<Current>,
    previous: Option<History>,
    /// Index, time and place of the newest note of use.
    pub(super) touched: Option<(u64, u64, Position)>,
    /// Sorted by index.
    rows: VecDeque<Row>,
    pub(super) newest: u64,
    /// Bytes of its living entries.
    pub(super) log_bytes: u64,
    /// For how many seconds the store was open since the newest entry that tells how long to retain the history.
    aged: u64,
}

/// The newest entry of a checkpoint.
#[derive(Debug, Clone)]
struct Current {
    index: u64,
    at: Position,
    installed: Installed,
}

/// What the checkpoint has replaced, back to the one before.
#[derive(Debug, Default)]
struct History {
    /// `None` for the beginning; while the log is read, also if the entry was not read yet.
    checkpoint: Option<Before>,
    /// Sorted by index.
    rows: VecDeque<Row>,
}

/// The entry of the checkpoint before.
#[derive(Debug, Clone)]
struct Before {
    index: u64,
    at: Position,
    file: CheckpointFile,
}

/// What an entry has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The places of entries that became garbage.
    pub(super) dead: Vec<Position>,
    /// Whether the entry itself lives.
    pub(super) lives: bool,
    /// Files that no longer count.
    pub(super) doomed: Vec<CheckpointFile>,
    /// A file that counts now, and did not before.
    pub(super) added: Option<CheckpointFile>,
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
        self.installed().and_then(Installed::file)
    }

    /// What the newest entry of a checkpoint says.
    pub(crate) fn installed(&self) -> Option<&Installed> {
        self.current.as_ref().map(|current| &current.installed)
    }

    pub(crate) fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    /// The checkpoint that the newest one has replaced, `None` for the beginning, and the records between the two. Only if
    /// they are retained.
    pub(crate) fn previous(&self) -> Option<(Option<&CheckpointFile>, &VecDeque<Row>)> {
        let previous = self.previous.as_ref()?;
        Some((previous.checkpoint.as_ref().map(|before| &before.file), &previous.rows))
    }

    /// The sequence number of the checkpoint to which it can go back: 0 for the beginning.
    pub(crate) fn previous_seq(&self) -> Option<u64> {
        self.previous().map(|(file, _)| file.map_or(0, CheckpointFile::seq))
    }

    /// All files that count.
    pub(crate) fn files(&self) -> impl Iterator<Item = &CheckpointFile> {
        let before = self.previous().and_then(|(file, _)| file);
        self.checkpoint().into_iter().chain(before)
    }

    /// Whether the entry of the checkpoint to go back to is missing.
    pub(crate) fn lacks_previous(&self) -> bool {
        let wanted = self.installed().and_then(Installed::previous).filter(|file| *file != 0);
        wanted.is_some() && self.previous().is_none_or(|(file, _)| file.is_none())
    }

    /// The highest sequence number.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Where its living entries are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Position> {
        let current = self.current.as_ref().map(|current| current.at);
        let before = self.before().map(|before| before.at);
        let touched = self.touched.map(|(.., at)| at);
        let previous = self.previous.iter().flat_map(|previous| &previous.rows);
        let rows = previous.chain(&self.rows).map(|row| row.at);
        [self.begin(), current, before, touched].into_iter().flatten().chain(rows)
    }

    fn before(&self) -> Option<&Before> {
        self.previous.as_ref().and_then(|previous| previous.checkpoint.as_ref())
    }

    /// Whether the entry of a checkpoint at this place lives.
    pub(super) fn has_checkpoint_at(&self, at: Position) -> bool {
        self.current.as_ref().is_some_and(|current| current.at == at)
            || self.before().is_some_and(|before| before.at == at)
    }

    /// The place of the record with this index.
    pub(super) fn row_at(&self, index: u64) -> Option<Position> {
        let find = |rows: &VecDeque<Row>| {
            let found = rows.binary_search_by_key(&index, |row| row.index);
            found.ok().map(|place| rows[place].at)
        };
        find(&self.rows).or_else(|| self.previous.as_ref().and_then(|one| find(&one.rows)))
    }

    /// Takes a record, or a copy of one. Returns what that made garbage.
    pub(super) fn take_row(&mut self, row: Row) -> Changes {
        let rows = match &mut self.previous {
            _ if !self
                .current
                .as_ref()
                .is_some_and(|one| one.installed.covers(row.seq, row.index)) =>
            {
                &mut self.rows
            }
            Some(previous) if !previous.covers(&row) => &mut previous.rows,
            _ => return Changes::default(),
        };
        let dead = insert(rows, row);
        Changes { dead: dead.into_iter().collect(), lives: true, ..Changes::default() }
    }

    /// Takes the entry of a checkpoint, or a copy of one. The newest one tells what counts.
    pub(super) fn take_checkpoint(
        &mut self,
        index: u64,
        installed: Installed,
        at: Position,
    ) -> Changes {
        match &mut self.current {
            Some(current) if current.index == index => {
                let dead = vec![std::mem::replace(&mut current.at, at)];
                Changes { dead, lives: true, ..Changes::default() }
            }
            Some(current) if current.index > index => {
                let file =
                    installed.into_file().filter(|file| current.installed.goes_back_to(file));
                file.map_or_else(Changes::default, |file| {
                    self.take_before(Before { index, at, file })
                })
            }
            _ => self.replace_checkpoint(Current { index, at, installed }),
        }
    }

    /// Takes the entry of the checkpoint to go back to, which comes after that of the newest one only while the log is read.
    fn take_before(&mut self, before: Before) -> Changes {
        let previous = self.previous.get_or_insert_default();
        if previous.checkpoint.as_ref().is_some_and(|known| known.index > before.index) {
            return Changes::default();
        }
        let file = before.file.clone();
        let known = previous.checkpoint.replace(before);
        let added = if known.is_none() { Some(file) } else { None };
        let dead = known.map(|known| known.at).into_iter().collect();
        Changes { dead, lives: true, added, ..Changes::default() }
    }

    fn replace_checkpoint(&mut self, current: Current) -> Changes {
        let mut changes = Changes { lives: true, ..Changes::default() };
        let replaced = self.current.take();
        let History { checkpoint, mut rows } = self.previous.take().unwrap_or_default();
        for row in self.rows.drain(..) {
            insert(&mut rows, row);
        }
        let installed = &current.installed;
        let mut previous = installed.previous().map(|_| History::default());
        let mut added = installed.file().cloned();
        let known = [replaced.and_then(|one| one.into_before(&mut changes.dead)), checkpoint];
        for before in known.into_iter().flatten() {
            match &mut previous {
                Some(previous) if installed.goes_back_to(&before.file) => {
                    previous.checkpoint = Some(before);
                }
                _ => {
                    changes.dead.push(before.at);
                    if added.as_ref().is_some_and(|file| file.index() == before.file.index()) {
                        added = None;
                    } else {
                        changes.doomed.push(before.file);
                    }
                }
            }
        }
        changes.added = added;
        for row in rows {
            match &mut previous {
                _ if !installed.covers(row.seq, row.index) => self.rows.push_back(row),
                Some(previous) if !previous.covers(&row) => previous.rows.push_back(row),
                _ => changes.dead.push(row.at),
            }
        }
        (self.previous, self.current, self.aged) = (previous, Some(current), 0);
        changes
    }

    /// Time has passed in which the store was open. Returns what the entry of the checkpoint must say now, if that is worth
    /// an entry.
    pub(super) fn pass_time(&mut self, seconds: u64) -> Option<Installed> {
        let left = self.installed()?.left()?;
        self.aged = self.aged.saturating_add(seconds);
        let (aged, installed) = (self.aged, self.installed()?);
        let is_worth_it = aged >= left.min(NOTED_AFTER);
        is_worth_it.then(|| installed.proven(left.saturating_sub(aged)))
    }

    pub(super) fn info(&self) -> Option<Info> {
        let key = self.key()?;
        Some(Info {
            key,
            is_used: self.is_used || matches!(key, Key::Room(_)),
            newest: self.newest,
            records: self.rows.len() as u64,
            previous: self.previous_seq(),
            bytes: self.log_bytes + self.files().map(CheckpointFile::length).sum::<u64>(),
            last_used: self.touched.map(|(_, time, _)| time),
        })
    }
}

impl Current {
    /// What can be gone back to. Without a file the entry is garbage.
    fn into_before(self, dead: &mut Vec<Position>) -> Option<Before> {
        let Self { index, at, installed } = self;
        match installed.into_file() {
            Some(file) => Some(Before { index, at, file }),
            None => {
                dead.push(at);
                None
            }
        }
    }
}

impl History {
    /// Whether a record is from before the history.
    fn covers(&self, row: &Row) -> bool {
        self.checkpoint.as_ref().is_some_and(|before| before.file.covers(row.seq, row.index))
    }
}

/// Inserts a record. Returns where it was before, if this is a copy.
fn insert(rows: &mut VecDeque<Row>, row: Row) -> Option<Position> {
    if rows.back().is_none_or(|last| last.index < row.index) {
        rows.push_back(row);
        return None;
    }
    match rows.binary_search_by_key(&row.index, |row| row.index) {
        Ok(place) => Some(std::mem::replace(&mut rows[place], row).at),
        Err(place) => {
            rows.insert(place, row);
            None
        }
    }
}
