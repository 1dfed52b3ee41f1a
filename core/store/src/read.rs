//! Reads sessions back.

use std::io;

use crate::Error;
use crate::catalog::Row;
use crate::disk::{Disk, DiskFile};
use crate::entry::{Entry, What};
use crate::limits::{READ_BYTES, READ_GAP};
use crate::position::Position;
use crate::segment;
use crate::storage::{Checkpoint, Record, SessionId, Stored};
use crate::store::Store;

impl<D: Disk> Store<D> {
    pub(crate) fn load_session(&self, id: &SessionId) -> Result<Option<Stored>, Error> {
        let Some((_, session)) = self.catalog.find(id) else { return Ok(None) };
        let Some((_, begin)) = session.begin else { return Ok(None) };
        let mut reader = Reader { store: self, open: None };
        let bytes = reader.read(begin, begin.offset + u64::from(begin.length))?;
        let entry = self.decode(&bytes, begin, What::Begin)?;
        let head = entry.bytes.get(id.len()..).unwrap_or_default().to_vec();
        let checkpoint = match session.checkpoint_file() {
            Some(file) => Some(Checkpoint { seq: file.seq, bytes: file.read(&self.disk, id)? }),
            None => None,
        };
        let rows: Vec<Row> = session.rows.iter().copied().collect();
        let mut records = Vec::with_capacity(rows.len());
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest));
            reader.run(run, &mut records)?;
            rest = after;
        }
        Ok(Some(Stored { head, checkpoint, records }))
    }

    fn decode<'a>(&self, bytes: &'a [u8], at: Position, what: What) -> Result<Entry<'a>, Error> {
        let found = Entry::decode(self.salt, bytes).map(|(entry, _)| entry);
        found.filter(|entry| entry.what == what).ok_or_else(|| broken(at))
    }
}

/// Reads from the log, with the segment open that it read from last.
struct Reader<'a, D: Disk> {
    store: &'a Store<D>,
    open: Option<(u64, D::File)>,
}

impl<D: Disk> Reader<'_, D> {
    /// Reads records that stand close together at once.
    fn run(&mut self, run: &[Row], records: &mut Vec<Record>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let bytes = self.read(first.at, last.at.offset + u64::from(last.at.length))?;
        for row in run {
            let from = (row.at.offset - first.at.offset) as usize;
            let entry = self.store.decode(&bytes[from..], row.at, What::Record)?;
            if entry.index != row.index {
                return Err(broken(row.at));
            }
            records.push(Record { seq: entry.seq, kind: entry.kind, bytes: entry.bytes.to_vec() });
        }
        Ok(())
    }

    fn read(&mut self, from: Position, end: u64) -> Result<Vec<u8>, Error> {
        let active = &self.store.active;
        let read = if from.segment == active.number {
            active.file.read(from.offset, end - from.offset)
        } else {
            let file = self.file(from.segment);
            file.and_then(|file| file.read(from.offset, end - from.offset))
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => broken(from),
            _ => error.into(),
        })
    }

    fn file(&mut self, number: u64) -> io::Result<&D::File> {
        let open = match self.open.take() {
            Some(open) if open.0 == number => open,
            _ => (number, self.store.disk.open(&segment::name(number))?),
        };
        Ok(&self.open.insert(open).1)
    }
}

/// The log was right when the store was opened.
fn broken(at: Position) -> Error {
    Error::corrupt(segment::name(at.segment), at.offset, "an entry has changed since it was read")
}

/// How many rows from the front on are read at once.
fn run_length(rows: &[Row]) -> usize {
    let Some(first) = rows.first() else { return 0 };
    let close = |pair: &&[Row]| {
        let (before, row) = (pair[0].at, pair[1].at);
        let end = before.offset + u64::from(before.length);
        row.segment == before.segment
            && row.offset >= end
            && row.offset - end <= READ_GAP
            && row.offset - first.at.offset <= READ_BYTES
    };
    1 + rows.windows(2).take_while(close).count()
}
