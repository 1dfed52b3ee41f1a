//! Reads sessions and rooms back.

use std::io;

use bytes::Bytes;
use teatime_reflector::storage::{Checkpoint, Key, Previous, Record, RecordKind, Stored};

use crate::Error;
use crate::disk::disk::Disk;
use crate::limits::{READ_BYTES, READ_GAP};
use crate::log::checkpoint::CheckpointFile;
use crate::log::checksum::Salt;
use crate::log::entry::{Entry, What};
use crate::log::installed::Installed;
use crate::log::key;
use crate::log::position::Position;
use crate::log::scan::SegmentReader;
use crate::log::segment;
use crate::store::catalog::Catalog;
use crate::store::item::Row;

/// Where everything of one key is. It can be read while the store goes on; what is deleted meanwhile
/// reads as corrupt.
pub(crate) struct Plan {
    key: Key,
    begin: Position,
    checkpoint: Option<CheckpointFile>,
    rows: Vec<Row>,
    /// The checkpoint before, and the records up to the newest one: unless a client has loaded that.
    previous: Option<(Option<CheckpointFile>, Vec<Row>)>,
}

impl Plan {
    /// `None` if the store does not have this key.
    pub(crate) fn new(catalog: &Catalog, key: Key) -> Option<Self> {
        let (_, item) = catalog.find(key)?;
        let checkpoint = item.checkpoint().cloned();
        let rows = item.rows().iter().copied().collect();
        let is_proven = item.installed().and_then(Installed::left).is_some();
        let previous = item.previous().filter(|_| !is_proven);
        let previous = previous.map(|(file, rows)| (file.cloned(), rows.iter().copied().collect()));
        Some(Self { key, begin: item.begin()?, checkpoint, rows, previous })
    }

    /// Reads and verifies everything. A damaged history does not keep the session from going on with its checkpoint.
    pub(crate) fn read_usable<D: Disk>(mut self, disk: &D, salt: Salt) -> Result<Stored, Error> {
        match self.read(disk, salt) {
            Err(error @ Error::Corrupt { .. }) if self.previous.take().is_some() => {
                let stored = self.read(disk, salt)?;
                let key = self.key;
                tracing::warn!(%key, %error, "the history before the checkpoint is damaged");
                Ok(stored)
            }
            read => read,
        }
    }

    /// Reads and verifies everything.
    pub(crate) fn read<D: Disk>(&self, disk: &D, salt: Salt) -> Result<Stored, Error> {
        let mut log = LogReader { disk, salt, open: None };
        let head = log.head(self.key, self.begin)?;
        let read = |file: &CheckpointFile| {
            let bytes = file.read(disk, self.key)?.into();
            Ok::<_, Error>(Checkpoint { seq: file.seq(), bytes })
        };
        let checkpoint = self.checkpoint.as_ref().map(read).transpose()?;
        let previous = match &self.previous {
            Some((file, rows)) => {
                let checkpoint = file.as_ref().map(read).transpose()?;
                Some(Previous { checkpoint, records: log.records(rows)? })
            }
            None => None,
        };
        Ok(Stored { head, checkpoint, records: log.records(&self.rows)?, previous })
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

    fn records(&mut self, mut rows: &[Row]) -> Result<Vec<Record>, Error> {
        let mut records = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let (run, after) = rows.split_at(run_length(rows));
            self.run(run, &mut records)?;
            rows = after;
        }
        Ok(records)
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
