//! The reader of the log: opening a store, loading a session, cleaning, checking and salvaging all
//! read entries with it.

use std::io;

use crate::disk::disk::{Disk, DiskFile};
use crate::log::batch::{self, Batch};
use crate::log::checksum::Salt;
use crate::log::entry::{self, Entry};
use crate::log::format::StoreId;
use crate::log::position::Position;
use crate::log::segment::{self, Header};

/// Damage in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// Why reading the commits of a segment ended before its end.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) damage: Damage,
    /// The end of the last complete commit.
    pub(crate) cut: u64,
    /// The first valid header of a commit after the damage.
    pub(crate) next: Option<u64>,
    /// A torn write may have caused it: no valid commit follows.
    pub(crate) may_be_torn: bool,
}

/// Receives each entry with its position, and may refuse it.
pub(crate) type Visit<'v> = dyn FnMut(&Entry<'_>, Position) -> Result<(), &'static str> + 'v;

/// Reads one segment. It has one range of the file in memory, its *window*.
pub(crate) struct SegmentReader<F> {
    salt: Salt,
    number: u64,
    file: F,
    /// Bytes after this are not read.
    end: u64,
    start: u64,
    window: Vec<u8>,
}

impl<F: DiskFile> SegmentReader<F> {
    /// Opens a segment to read it as far as it was written now.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, salt: Salt, number: u64) -> io::Result<Self> {
        let file = disk.open(&segment::name(number))?;
        let end = file.len()?;
        Ok(Self { salt, number, file, end, start: 0, window: Vec::new() })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        self.end
    }

    /// The beginning of the segment, at most as long as a header.
    pub(crate) fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let length = self.end.min(segment::HEADER as u64);
        self.get(0, length, 0)
    }

    /// The header of the segment, or why it is not a valid one of this store.
    pub(crate) fn header(&mut self, store: StoreId) -> io::Result<Result<Header, &'static str>> {
        let number = self.number;
        Ok(Header::decode(store, number, self.header_bytes()?))
    }

    /// Reads this range into the window, up to the end of the segment.
    pub(crate) fn fill(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let length = self.end.saturating_sub(offset).min(length);
        self.window = self.file.read(offset, length)?;
        self.start = offset;
        Ok(())
    }

    /// The header of a commit at this offset; `None` if it is not valid. Reads `ahead` bytes into
    /// the window if the window lacks it.
    pub(crate) fn batch(&mut self, offset: u64, ahead: u64) -> io::Result<Option<Batch>> {
        let (salt, number) = (self.salt, self.number);
        let bytes = self.get(offset, batch::HEADER as u64, ahead)?;
        Ok(Batch::decode(salt, number, offset, bytes))
    }

    /// The entry at this offset, and where it is; `None` if it is not valid. Reads `ahead` bytes into
    /// the window if the window lacks it.
    pub(crate) fn entry(
        &mut self,
        offset: u64,
        ahead: u64,
    ) -> io::Result<Option<(Entry<'_>, Position)>> {
        let header = self.get(offset, entry::HEADER as u64, ahead)?;
        let Some(length) = Entry::length(header) else { return Ok(None) };
        if offset + length as u64 > self.end {
            return Ok(None);
        }
        let (salt, segment) = (self.salt, self.number);
        let bytes = self.get(offset, length as u64, ahead)?;
        let position = Position { segment, offset, length: length as u32 };
        Ok(Entry::decode(salt, bytes).map(|(entry, _)| (entry, position)))
    }

    /// Reads every complete commit from this offset on, up to the first damage.
    pub(crate) fn commits(
        &mut self,
        from: u64,
        visit: &mut Visit<'_>,
    ) -> io::Result<Result<(), Stop>> {
        if self.start != 0 || (self.window.len() as u64) < self.end {
            self.fill(0, self.end)?;
        }
        let segment = Whole { salt: self.salt, number: self.number, bytes: &self.window };
        Ok(segment.commits(from, visit))
    }

    /// Bytes of the segment: from the window, which is read if it lacks them.
    fn get(&mut self, offset: u64, length: u64, ahead: u64) -> io::Result<&[u8]> {
        let end = self.start + self.window.len() as u64;
        if offset < self.start || offset + length > end {
            self.fill(offset, ahead.max(length))?;
        }
        let from = (offset - self.start) as usize;
        let bytes = self.window.get(from..from + length as usize);
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A whole segment in memory.
struct Whole<'a> {
    salt: Salt,
    number: u64,
    bytes: &'a [u8],
}

/// The damage of a commit, and where the next one may begin.
type Broken = (Damage, u64);

impl Whole<'_> {
    fn commits(&self, from: u64, visit: &mut Visit<'_>) -> Result<(), Stop> {
        let mut at = from;
        // Reused: most commits have few entries.
        let mut entries = Vec::new();
        while at < self.bytes.len() as u64 {
            let broken = |(damage, after): Broken| self.stop(at, damage, after);
            let end = self.commit(at, &mut entries).map_err(broken)?;
            for (entry, position) in entries.drain(..) {
                visit(&entry, position).map_err(|what| {
                    let damage = Damage { offset: position.offset, what };
                    Stop { may_be_torn: false, ..self.stop(at, damage, at + 1) }
                })?;
            }
            at = end;
        }
        Ok(())
    }

    fn stop(&self, cut: u64, damage: Damage, after: u64) -> Stop {
        let next = Batch::find(self.salt, self.number, after, self.bytes);
        Stop { damage, cut, next: next.map(|next| next as u64), may_be_torn: next.is_none() }
    }

    /// Collects the entries of the commit at this offset. Returns where it ends.
    fn commit<'s>(
        &'s self,
        at: u64,
        entries: &mut Vec<(Entry<'s>, Position)>,
    ) -> Result<u64, Broken> {
        entries.clear();
        let damage = |offset, what| Damage { offset, what };
        let header = Batch::decode(self.salt, self.number, at, &self.bytes[at as usize..]);
        let Some(header) = header else {
            return Err((damage(at, "the header of a commit is invalid"), at + 1));
        };
        let start = at + batch::HEADER as u64;
        let end = start + u64::from(header.length);
        if end > self.bytes.len() as u64 {
            return Err((damage(at, "a commit is incomplete"), self.bytes.len() as u64));
        }
        let mut offset = start;
        while offset < end {
            let body = &self.bytes[offset as usize..end as usize];
            let Some((entry, length)) = Entry::decode(self.salt, body) else {
                return Err((damage(offset, "the checksum of an entry is wrong"), end));
            };
            let segment = self.number;
            entries.push((entry, Position { segment, offset, length: length as u32 }));
            offset += length as u64;
        }
        if entries.len() != header.entries as usize {
            return Err((damage(at, "a commit has a wrong number of entries"), end));
        }
        Ok(end)
    }
}
