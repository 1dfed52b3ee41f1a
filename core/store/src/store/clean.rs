//! Cleans the log: commits carry the living entries of the oldest segment forward, so that it can be
//! deleted.

use crate::Error;
use crate::disk::disk::Disk;
use crate::limits::{CLEAN_BYTES, DROPPED_AT_ONCE, MAX_CLEAN_BYTES, MIN_GARBAGE_PERCENT};
use crate::log::batch;
use crate::log::checksum::Salt;
use crate::log::scan::SegmentReader;
use crate::log::segment;
use crate::store::catalog::Catalog;
use crate::store::pending::Pending;

/// How far the oldest segment has been cleaned.
pub(crate) struct Cleaning<D: Disk> {
    disk: D,
    salt: Salt,
    garbage_percent: u8,
    segment: u64,
    reader: Option<SegmentReader<D::File>>,
    offset: u64,
    /// Entries of the current commit that were not read yet.
    entries: u32,
    /// The segment has damage: it stays on the disk.
    is_stuck: bool,
}

impl<D: Disk> Cleaning<D> {
    pub(crate) fn new(disk: D, salt: Salt, garbage_percent: u8) -> Self {
        let garbage_percent = garbage_percent.max(MIN_GARBAGE_PERCENT);
        let (reader, offset) = (None, segment::HEADER as u64);
        let (segment, entries, is_stuck) = (0, 0, false);
        Self { disk, salt, garbage_percent, segment, reader, offset, entries, is_stuck }
    }

    /// Starts from the beginning of this segment again.
    pub(crate) fn restart(&mut self, segment: u64) {
        self.segment = segment;
        self.reader = None;
        self.offset = segment::HEADER as u64;
        self.entries = 0;
        self.is_stuck = false;
    }

    /// How many of the oldest segments the next commit can delete.
    pub(crate) fn deletable(&self, catalog: &Catalog, newest: u64) -> u64 {
        let segments = catalog.segments();
        let oldest = segments.first();
        let most = newest.min(oldest + DROPPED_AT_ONCE);
        (oldest..most).take_while(|number| segments.is_garbage(*number)).count() as u64
    }

    /// Adds to the next commit what cleans the log: a bounded number of bytes.
    pub(crate) fn step(
        &mut self,
        catalog: &Catalog,
        pending: &mut Pending,
        newest: u64,
    ) -> Result<(), Error> {
        let oldest = catalog.segments().first();
        let deletable = self.deletable(catalog, newest);
        if deletable > 0 {
            return pending.first(oldest + deletable);
        }
        if oldest < newest && self.has_much_garbage(catalog) {
            self.carry_forward(catalog, pending, oldest);
        }
        Ok(())
    }

    fn has_much_garbage(&self, catalog: &Catalog) -> bool {
        let (log, live) = catalog.segments().bytes();
        (log - live) * 100 > log * u64::from(self.garbage_percent)
    }

    fn carry_forward(&mut self, catalog: &Catalog, pending: &mut Pending, oldest: u64) {
        if self.segment != oldest {
            self.restart(oldest);
        }
        if self.is_stuck {
            return;
        }
        // Twice what is appended, so that cleaning is faster than garbage.
        let budget = (2 * pending.length()).clamp(CLEAN_BYTES, MAX_CLEAN_BYTES) as u64;
        if let Err(why) = self.carry_some(catalog, pending, budget) {
            let (file, offset) = (segment::name(oldest), self.offset);
            // No damaged entry is copied, and what is valid in the segment stays readable.
            tracing::error!(file, offset, %why, "a segment cannot be cleaned");
            self.is_stuck = true;
        }
    }

    fn carry_some(
        &mut self,
        catalog: &Catalog,
        pending: &mut Pending,
        budget: u64,
    ) -> Result<(), Error> {
        let number = self.segment;
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => SegmentReader::open(&self.disk, self.salt, number)?,
        };
        let end = catalog.segments().length(number).unwrap_or(0);
        let until = end.min(self.offset + budget);
        while self.offset < until {
            let offset = self.offset;
            let broken = || {
                Error::corrupt(segment::name(number), offset, "an entry has changed on the disk")
            };
            if self.entries == 0 {
                let header = reader.batch(offset, CLEAN_BYTES as u64)?.ok_or_else(broken)?;
                self.entries = header.entries;
                self.offset += batch::HEADER as u64;
                continue;
            }
            let (entry, at) = reader.entry(offset, CLEAN_BYTES as u64)?.ok_or_else(broken)?;
            if catalog.lives(&entry, at) && !pending.removes(entry.number) {
                pending.carry(&entry);
            }
            self.offset = at.end();
            self.entries -= 1;
        }
        if self.offset < end {
            self.reader = Some(reader);
        }
        Ok(())
    }
}
