//! Reads sessions and rooms back.

use std::io;

use bytes::Bytes;
use teatime_reflector::storage::{Checkpoint, Key, Record, RecordKind, Stored};

use crate::Error;
use crate::disk::disk::Disk;
use crate::limits::{READ_BYTES, READ_GAP};
use crate::log::checkpoint::CheckpointFile;
use crate::log::checksum::Salt;
use crate::log::entry::{Entry, What};
use crate::log::key;
use crate::log::position::Position;
use crate::log::scan::SegmentReader;
use crate::log::segment;
use crate::store::catalog::{Catalog, Row};

/// Where everything of one key is. It can be read while the store goes on; what is deleted meanwhile
/// reads as corrupt.
pub(crate) struct Plan {
    key: Key,
    begin: Position,
    checkpoint: Option<CheckpointFile>,
    rows: Vec<Row>,
}

impl Plan {
    /// `None` if the store does not have this key.
    pub(crate) fn new(catalog: &Catalog, key: Key) -> Option<Self> {
        let (_, item) = catalog.find(key)?;
        let checkpoint = item.checkpoint().cloned();
        let rows = item.rows().iter().copied().collect();
        Some(Self { key, begin: item.begin()?, checkpoint, rows })
    }

    /// Reads and verifies everything.
    pub(crate) fn read<D: Disk>(&self, disk: &D, salt: Salt) -> Result<Stored, Error> {
        let mut log = LogReader { disk, salt, open: None };
        let head = log.head(self.key, self.begin)?;
        let checkpoint = match &self.checkpoint {
            Some(file) => {
                let bytes = file.read(disk, self.key)?.into();
                Some(Checkpoint { seq: file.seq(), bytes })
            }
            None => None,
        };
        let mut records = Vec::with_capacity(self.rows.len());
        let mut rest = &self.rows[..];
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest));
            log.run(run, &mut records)?;
            rest = after;
        }
        Ok(Stored { head, checkpoint, records })
    }
}

/// Reads entries at known places. The segment that it read from last stays open.
struct LogReader<'a, D: Disk> {
    disk: &'a D,
    salt: Salt,
    open: Option<SegmentReader<D::File>>,
}

impl<D: Disk> LogReader<'_, D> {
    fn head(&mut self, key: Key, at: Position) -> Result<Bytes, Error> {
        let entry = self.entry(at, What::Begin)?;
        let (found, head) = key::decode(entry.bytes).ok_or_else(|| changed(at))?;
        if found == key { Ok(Bytes::copy_from_slice(head)) } else { Err(changed(at)) }
    }

    /// Reads records that are close together with one system call.
    fn run(&mut self, run: &[Row], records: &mut Vec<Record>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let (offset, end) = (first.at.offset, last.at.end());
        let filled = self.segment(first.at).and_then(|segment| segment.fill(offset, end - offset));
        filled.map_err(|error| unreadable(error, first.at))?;
        for row in run {
            let entry = self.entry(row.at, What::Record)?;
            if entry.index != row.index {
                return Err(changed(row.at));
            }
            let kind = RecordKind::try_from(entry.kind).map_err(|error| {
                Error::corrupt(segment::name(row.at.segment), row.at.offset, error.to_string())
            })?;
            let bytes = Bytes::copy_from_slice(entry.bytes);
            records.push(Record { seq: entry.seq, kind, bytes });
        }
        Ok(())
    }

    fn entry(&mut self, at: Position, what: What) -> Result<Entry<'_>, Error> {
        let segment = self.segment(at).map_err(|error| unreadable(error, at))?;
        let found = segment.entry(at.offset, u64::from(at.length));
        match found.map_err(|error| unreadable(error, at))? {
            Some((entry, found)) if found == at && entry.what == what => Ok(entry),
            _ => Err(changed(at)),
        }
    }

    fn segment(&mut self, at: Position) -> io::Result<&mut SegmentReader<D::File>> {
        let reader = match self.open.take() {
            Some(reader) if reader.number() == at.segment => reader,
            _ => SegmentReader::open(self.disk, self.salt, at.segment)?,
        };
        Ok(self.open.insert(reader))
    }
}

/// The entry was valid when the store was opened or wrote it.
fn changed(at: Position) -> Error {
    Error::corrupt(segment::name(at.segment), at.offset, "an entry has changed on the disk")
}

fn unreadable(error: io::Error, at: Position) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => changed(at),
        _ => error.into(),
    }
}

/// How many of the first rows are read at once.
fn run_length(rows: &[Row]) -> usize {
    let Some(first) = rows.first() else { return 0 };
    let is_close = |pair: &&[Row]| {
        let (before, row) = (pair[0].at, pair[1].at);
        row.segment == before.segment
            && row.offset >= before.end()
            && row.offset - before.end() <= READ_GAP
            && row.offset - first.at.offset <= READ_BYTES
    };
    1 + rows.windows(2).take_while(is_close).count()
}
