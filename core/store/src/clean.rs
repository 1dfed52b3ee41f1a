//! Carries live entries of the oldest segment forward, so that it can be deleted.

use std::io;

use crate::Error;
use crate::batch::{self, Batch};
use crate::disk::{Disk, DiskFile};
use crate::entry::{self, Entry, What};
use crate::limits::{CLEAN_BYTES, DROPPED_AT_ONCE, MAX_CLEAN_BYTES, MIN_GARBAGE_PERCENT};
use crate::position::Position;
use crate::segment;
use crate::store::Store;

/// How far the oldest segment has been looked at.
pub(crate) struct Cleaning<F> {
    segment: u64,
    window: Option<Window<F>>,
    offset: u64,
    /// Entries of the current commit that are still to come.
    entries: u32,
    /// Damage was found in this segment: it stays as it is.
    stuck: bool,
}

impl<F> Cleaning<F> {
    /// From the beginning of this segment on.
    pub(crate) fn of(segment: u64) -> Self {
        let offset = segment::HEADER as u64;
        Self { segment, window: None, offset, entries: 0, stuck: false }
    }
}

/// A part of a file in memory.
struct Window<F> {
    file: F,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<F: DiskFile> Window<F> {
    fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside =
            offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let most = self.end.saturating_sub(offset).min(CLEAN_BYTES as u64);
            self.bytes = self.file.read(offset, most.max(length as u64))?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + length])
    }
}

impl<D: Disk> Store<D> {
    /// Adds to the next commit what cleans the log: a bounded number of bytes.
    pub(crate) fn clean(&mut self) -> Result<(), Error> {
        let oldest = self.catalog.first;
        let is_garbage = |number: &u64| {
            self.catalog.segments.get(number).is_none_or(|segment| segment.live == 0)
        };
        let most = self.active.number.min(oldest + DROPPED_AT_ONCE);
        let garbage = (oldest..most).take_while(is_garbage).count() as u64;
        if garbage > 0 {
            let index = self.pending.next_index();
            let entry = Entry::bare(What::First, 0, index, oldest + garbage);
            self.pending.push(&entry, &[])?;
            // The segments are deleted as soon as the commit returns.
            self.pending.must_sync = true;
        } else if oldest < self.active.number && self.has_much_garbage() {
            self.carry_forward(oldest);
        }
        Ok(())
    }

    fn has_much_garbage(&self) -> bool {
        let (log, live) = self.catalog.log_bytes();
        let most = self.config.garbage_percent.max(MIN_GARBAGE_PERCENT);
        (log - live) * 100 > log * u64::from(most)
    }

    fn carry_forward(&mut self, oldest: u64) {
        if self.cleaning.segment != oldest {
            self.cleaning = Cleaning::of(oldest);
        }
        if self.cleaning.stuck {
            return;
        }
        // Twice what is appended, so that garbage cannot win the race.
        let budget = (2 * self.pending.length()).clamp(CLEAN_BYTES, MAX_CLEAN_BYTES) as u64;
        if let Err(why) = self.carry_some(oldest, budget) {
            let (file, offset) = (segment::name(oldest), self.cleaning.offset);
            // Nothing wrong is copied, and nothing that is right is lost by leaving it there.
            tracing::error!(file, offset, %why, "a segment cannot be cleaned");
            self.cleaning.stuck = true;
        }
    }

    fn carry_some(&mut self, number: u64, budget: u64) -> Result<(), Error> {
        let end = self.catalog.segments.get(&number).map_or(0, |segment| segment.length);
        let cleaning = &mut self.cleaning;
        let mut window = match cleaning.window.take() {
            Some(window) => window,
            None => {
                let file = self.disk.open(&segment::name(number))?;
                Window { file, end, start: 0, bytes: Vec::new() }
            }
        };
        let until = end.min(cleaning.offset + budget);
        while cleaning.offset < until {
            let offset = cleaning.offset;
            let broken = || Error::corrupt(segment::name(number), offset, "an entry is wrong");
            if cleaning.entries == 0 {
                let header = window.get(offset, batch::HEADER)?;
                let header = Batch::decode(self.salt, number, offset, header);
                cleaning.entries = header.ok_or_else(broken)?.entries;
                cleaning.offset += batch::HEADER as u64;
                continue;
            }
            let length = Entry::length(window.get(offset, entry::HEADER)?).ok_or_else(broken)?;
            if offset + length as u64 > end {
                return Err(broken());
            }
            let bytes = window.get(offset, length)?;
            let (entry, _) = Entry::decode(self.salt, bytes).ok_or_else(broken)?;
            let at = Position { segment: number, offset, length: length as u32 };
            if self.catalog.lives(&entry, at) && !self.pending.removes(entry.session) {
                self.pending.carry(&entry);
            }
            cleaning.offset += length as u64;
            cleaning.entries -= 1;
        }
        if cleaning.offset < end {
            cleaning.window = Some(window);
        }
        Ok(())
    }
}
