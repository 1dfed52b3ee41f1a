//! What lives in the log, and where.

use std::collections::{BTreeMap, HashMap, VecDeque};

use teatime_reflector::InRoom;

use crate::checkpoint::CheckpointFile;
use crate::checksum::Take;
use crate::entry::{Entry, What};
use crate::position::Position;
use crate::rooms::Rooms;
use crate::storage::{SessionId, SessionInfo};

/// A record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) at: Position,
}

/// A session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Its name and where its head is; unknown only while the log is read.
    pub(crate) begin: Option<(SessionId, Position)>,
    /// If that is known.
    pub(crate) room: Option<InRoom>,
    /// Somebody has done something in it.
    pub(crate) is_used: bool,
    pub(crate) checkpoint: Option<(CheckpointFile, Position)>,
    /// Index and time of the newest note of use, and where it is.
    pub(crate) touched: Option<(u64, u64, Position)>,
    /// In the order of their indices.
    pub(crate) rows: VecDeque<Row>,
    /// The highest sequence number.
    pub(crate) newest: u64,
    /// Of all its entries that live.
    pub(crate) log_bytes: u64,
}

impl Session {
    pub(crate) fn checkpoint_file(&self) -> Option<&CheckpointFile> {
        self.checkpoint.as_ref().map(|(file, _)| file)
    }

    fn covers(&self, seq: u64, index: u64) -> bool {
        self.checkpoint_file().is_some_and(|file| seq <= file.seq && index < file.index)
    }

    fn is_used(&mut self, rooms: &mut Rooms) {
        if !std::mem::replace(&mut self.is_used, true) {
            self.room.iter().for_each(|room| rooms.is_used(room));
        }
    }

    /// Of everything that lives.
    pub(crate) fn bytes(&self) -> u64 {
        self.log_bytes + self.checkpoint_file().map_or(0, |file| file.length)
    }
}

/// A segment as others see it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment {
    pub(crate) length: u64,
    /// Of its entries that live.
    pub(crate) live: u64,
}

/// Everything that lives. Opening and committing tell it the same entries in the same way.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// By number.
    pub(crate) sessions: HashMap<u64, Session>,
    pub(crate) numbers: HashMap<SessionId, u64>,
    pub(crate) rooms: Rooms,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// The oldest segment that counts.
    pub(crate) first: u64,
    /// Higher than every index so far.
    pub(crate) next_index: u64,
    /// Bytes of all checkpoints.
    pub(crate) checkpoint_bytes: u64,
    /// Files of checkpoints that do not count any more.
    pub(crate) doomed: Vec<String>,
}

impl Catalog {
    /// An entry is in the log, at this place: maybe again, for it was carried forward.
    pub(crate) fn apply(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        self.next_index = self.next_index.max(entry.index.saturating_add(1));
        match entry.what {
            What::Begin => self.begin(entry, at)?,
            What::Checkpoint => self.checkpoint(entry, at)?,
            What::Record => self.record(entry, at),
            What::Remove => self.remove(entry.session),
            What::Touch => self.touch(entry, at),
            What::First => self.first = self.first.max(entry.seq),
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        let mut take = Take(entry.bytes);
        let id = take.array().ok_or("a session begins without an id")?;
        let session = self.sessions.entry(entry.session).or_default();
        let before = session.begin.replace((id, at));
        if before.is_none() {
            session.room = InRoom::of(teatime_wire::SessionId(id), take.0);
            session.room.iter().for_each(|room| self.rooms.add(room, session.is_used));
        }
        if self.numbers.insert(id, entry.session).is_some_and(|number| number != entry.session) {
            return Err("a session begins twice");
        }
        self.replace(entry.session, before.map(|(_, at)| at), Some(at));
        Ok(())
    }

    fn checkpoint(&mut self, entry: &Entry<'_>, at: Position) -> Result<(), &'static str> {
        let file = CheckpointFile::decode(entry).ok_or("a checkpoint is not described")?;
        let session = self.sessions.entry(entry.session).or_default();
        if session.checkpoint_file().is_some_and(|before| before.index > file.index) {
            return Ok(());
        }
        session.newest = session.newest.max(file.seq);
        session.is_used(&mut self.rooms);
        self.checkpoint_bytes += file.length;
        let before = session.checkpoint.replace((file, at));
        if let Some((before, _)) = &before {
            self.checkpoint_bytes -= before.length;
            if before.index != entry.index
                && let Some((id, _)) = session.begin
            {
                self.doomed.push(before.name(&id));
            }
        }
        self.replace(entry.session, before.map(|(_, at)| at), Some(at));
        self.drop_covered(entry.session);
        Ok(())
    }

    /// Records that the checkpoint stands for are garbage.
    fn drop_covered(&mut self, number: u64) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let mut rows = std::mem::take(&mut session.rows);
        let mut gone = Vec::new();
        rows.retain(|row| {
            let covered = session.covers(row.seq, row.index);
            if covered {
                gone.push(row.at);
            }
            !covered
        });
        session.rows = rows;
        gone.into_iter().for_each(|at| self.replace(number, Some(at), None));
    }

    fn record(&mut self, entry: &Entry<'_>, at: Position) {
        let session = self.sessions.entry(entry.session).or_default();
        session.newest = session.newest.max(entry.seq);
        if !session.is_used && InRoom::is_use(entry.kind, entry.bytes) {
            session.is_used(&mut self.rooms);
        }
        if session.covers(entry.seq, entry.index) {
            return;
        }
        let row = Row { index: entry.index, seq: entry.seq, at };
        let before = if session.rows.back().is_none_or(|last| last.index < row.index) {
            session.rows.push_back(row);
            None
        } else {
            match session.rows.binary_search_by_key(&row.index, |row| row.index) {
                Ok(place) => Some(std::mem::replace(&mut session.rows[place], row).at),
                Err(place) => {
                    session.rows.insert(place, row);
                    None
                }
            }
        };
        self.replace(entry.session, before, Some(at));
    }

    fn touch(&mut self, entry: &Entry<'_>, at: Position) {
        let session = self.sessions.entry(entry.session).or_default();
        if session.touched.is_some_and(|(index, ..)| index > entry.index) {
            return;
        }
        let before = session.touched.replace((entry.index, entry.seq, at));
        self.replace(entry.session, before.map(|(.., at)| at), Some(at));
    }

    fn remove(&mut self, number: u64) {
        for at in self.places(number) {
            self.replace(number, Some(at), None);
        }
        let Some(session) = self.sessions.remove(&number) else { return };
        session.room.iter().for_each(|room| self.rooms.remove(room, session.is_used));
        let Some((id, _)) = session.begin else { return };
        self.numbers.remove(&id);
        if let Some(file) = session.checkpoint_file() {
            self.checkpoint_bytes -= file.length;
            self.doomed.push(file.name(&id));
        }
    }

    fn places(&self, number: u64) -> Vec<Position> {
        let Some(session) = self.sessions.get(&number) else { return Vec::new() };
        let begin = session.begin.map(|(_, at)| at);
        let checkpoint = session.checkpoint.as_ref().map(|(_, at)| *at);
        let touched = session.touched.map(|(.., at)| at);
        let rows = session.rows.iter().map(|row| row.at);
        [begin, checkpoint, touched].into_iter().flatten().chain(rows).collect()
    }

    /// One place does not live any more, another does now.
    fn replace(&mut self, number: u64, before: Option<Position>, now: Option<Position>) {
        let mut difference = 0i64;
        for (at, sign) in [(before, -1), (now, 1)] {
            let Some(at) = at else { continue };
            let bytes = sign * i64::from(at.length);
            difference += bytes;
            if let Some(segment) = self.segments.get_mut(&at.segment) {
                segment.live = segment.live.saturating_add_signed(bytes);
            }
        }
        if let Some(session) = self.sessions.get_mut(&number) {
            session.log_bytes = session.log_bytes.saturating_add_signed(difference);
        }
    }

    /// Whether this entry counts, at this very place.
    pub(crate) fn lives(&self, entry: &Entry<'_>, at: Position) -> bool {
        let Some(session) = self.sessions.get(&entry.session) else { return false };
        let place = match entry.what {
            What::Begin => session.begin.map(|(_, at)| at),
            What::Checkpoint => session.checkpoint.as_ref().map(|(_, at)| *at),
            What::Touch => session.touched.map(|(.., at)| at),
            What::Record => {
                let found = session.rows.binary_search_by_key(&entry.index, |row| row.index);
                found.ok().map(|place| session.rows[place].at)
            }
            What::Remove | What::First => None,
        };
        place == Some(at)
    }

    /// Bytes of the log, and those of them that live.
    pub(crate) fn log_bytes(&self) -> (u64, u64) {
        let sum = |field: fn(&Segment) -> u64| self.segments.values().map(field).sum();
        (sum(|segment| segment.length), sum(|segment| segment.live))
    }

    pub(crate) fn find(&self, id: &SessionId) -> Option<(u64, &Session)> {
        let number = *self.numbers.get(id)?;
        Some((number, self.sessions.get(&number)?))
    }

    pub(crate) fn infos(&self) -> Vec<SessionInfo> {
        let info = |session: &Session| {
            Some(SessionInfo {
                id: session.begin?.0,
                newest: session.newest,
                records: session.rows.len() as u64,
                bytes: session.bytes(),
                last_used: session.touched.map(|(_, time, _)| time),
            })
        };
        self.sessions.values().filter_map(info).collect()
    }
}
