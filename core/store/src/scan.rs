//! Reads the entries of a segment.

use crate::batch::{self, Batch};
use crate::checksum::Salt;
use crate::entry::Entry;
use crate::position::Position;
use crate::segment;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) what: String,
}

impl Damage {
    fn new(offset: usize, what: impl Into<String>) -> Self {
        Self { offset: offset as u64, what: what.into() }
    }
}

/// Why reading a segment ended before its end.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) damage: Damage,
    /// The end of the last commit before it.
    pub(crate) cut: u64,
    /// No valid header of a commit is behind it: it can be a torn write.
    pub(crate) last: bool,
}

/// A segment in memory.
pub(crate) struct Segment<'a> {
    pub(crate) salt: Salt,
    pub(crate) number: u64,
    pub(crate) bytes: &'a [u8],
}

/// What is told of each entry.
pub(crate) type Visit<'v> = dyn FnMut(&Entry<'_>, Position) -> Result<(), &'static str> + 'v;

impl Segment<'_> {
    /// Tells every entry of every commit that is complete and right, up to the first damage.
    pub(crate) fn read(&self, visit: &mut Visit<'_>) -> Result<(), Box<Stop>> {
        self.read_from(segment::HEADER, visit)
    }

    /// Where the next commit begins whose header is valid, from this offset on.
    pub(crate) fn next_commit(&self, from: usize) -> Option<usize> {
        Batch::find(self.salt, self.number, from as u64, self.bytes)
    }

    /// The same from the beginning of a commit on.
    pub(crate) fn read_from(&self, from: usize, visit: &mut Visit<'_>) -> Result<(), Box<Stop>> {
        let mut at = from;
        while at < self.bytes.len() {
            let cut = at as u64;
            let (entries, end) = self.batch(at).map_err(|(damage, behind)| {
                let last = !Batch::is_behind(self.salt, self.number, behind as u64, self.bytes);
                Box::new(Stop { damage, cut, last })
            })?;
            for (entry, position) in entries {
                visit(&entry, position).map_err(|what| {
                    let damage = Damage::new(position.offset as usize, what);
                    Box::new(Stop { damage, cut, last: false })
                })?;
            }
            at = end;
        }
        Ok(())
    }

    /// The entries of the commit at this offset, and where it ends; or the damage, and from where
    /// on a next commit may stand.
    #[expect(clippy::type_complexity, reason = "a name would say less")]
    fn batch(&self, at: usize) -> Result<(Vec<(Entry<'_>, Position)>, usize), (Damage, usize)> {
        let header = Batch::decode(self.salt, self.number, at as u64, &self.bytes[at..]);
        let Some(header) = header else {
            return Err((Damage::new(at, "the header of a commit is wrong"), at + 1));
        };
        let start = at + batch::HEADER;
        let end = start + header.length as usize;
        let Some(body) = self.bytes.get(start..end) else {
            return Err((Damage::new(at, "a commit is not complete"), self.bytes.len()));
        };
        let mut entries = Vec::new();
        let mut from = 0;
        while from < body.len() {
            let offset = start + from;
            let Some((entry, length)) = Entry::decode(self.salt, &body[from..]) else {
                return Err((Damage::new(offset, "the checksum of an entry is wrong"), end));
            };
            let (segment, offset) = (self.number, offset as u64);
            entries.push((entry, Position { segment, offset, length: length as u32 }));
            from += length;
        }
        if entries.len() != header.entries as usize {
            return Err((Damage::new(at, "a commit has another number of entries"), end));
        }
        Ok((entries, end))
    }
}
