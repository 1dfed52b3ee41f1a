//! What has gathered for the next commit.

use std::collections::{HashMap, HashSet};

use crate::batch::{self, Batch};
use crate::catalog::Catalog;
use crate::checksum::Salt;
use crate::entry::{self, Entry, What};
use crate::limits::MAX_BATCH;
use crate::position::Position;
use crate::storage::SessionId;
use crate::{Error, limits};

/// A session as it will be after the next commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tentative {
    pub(crate) number: u64,
    pub(crate) newest: u64,
}

/// What has gathered for the next commit.
pub(crate) struct Pending {
    salt: Salt,
    /// Room for the header, then entries.
    buffer: Vec<u8>,
    entries: u32,
    /// Sessions that were looked at; nothing for those that will not be there.
    sessions: HashMap<SessionId, Option<Tentative>>,
    /// Their numbers.
    removed: HashSet<u64>,
    /// Higher than all indices.
    next_index: u64,
    /// Files of checkpoints that the next commit makes count.
    pub(crate) staged: Vec<String>,
    /// The commit is followed by deletions, or is promised to be durable.
    pub(crate) must_sync: bool,
}

impl Pending {
    pub(crate) fn new(salt: Salt, next_index: u64) -> Self {
        Self {
            salt,
            buffer: vec![0; batch::HEADER],
            entries: 0,
            sessions: HashMap::new(),
            removed: HashSet::new(),
            next_index,
            staged: Vec::new(),
            must_sync: false,
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(batch::HEADER);
        // A burst must not hold its memory for ever.
        self.buffer.shrink_to(1024 * 1024);
        self.entries = 0;
        self.sessions.clear();
        self.removed.clear();
        self.staged.clear();
        self.must_sync = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes of all entries.
    pub(crate) fn length(&self) -> usize {
        self.buffer.len() - batch::HEADER
    }

    pub(crate) fn next_index(&mut self) -> u64 {
        self.next_index += 1;
        self.next_index - 1
    }

    /// A session as it will be.
    pub(crate) fn find(&mut self, catalog: &Catalog, id: &SessionId) -> Option<&mut Tentative> {
        let known = || {
            catalog.find(id).map(|(number, session)| Tentative { number, newest: session.newest })
        };
        self.sessions.entry(*id).or_insert_with(known).as_mut()
    }

    pub(crate) fn begin(&mut self, id: &SessionId, head: &[u8]) -> Result<(), Error> {
        let index = self.next_index();
        let entry = Entry { bytes: id, ..Entry::bare(What::Begin, index, index, 0) };
        self.push(&entry, head)?;
        self.sessions.insert(*id, Some(Tentative { number: index, newest: 0 }));
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &SessionId, number: u64) -> Result<(), Error> {
        let index = self.next_index();
        self.push(&Entry::bare(What::Remove, number, index, 0), &[])?;
        self.sessions.insert(*id, None);
        self.removed.insert(number);
        self.must_sync = true;
        Ok(())
    }

    /// Whether the next commit removes this session.
    pub(crate) fn removes(&self, number: u64) -> bool {
        self.removed.contains(&number)
    }

    pub(crate) fn push(&mut self, entry: &Entry<'_>, more: &[u8]) -> Result<(), Error> {
        let bytes = self.length() + entry::HEADER + entry.bytes.len() + more.len();
        at_most(bytes, MAX_BATCH)?;
        entry.encode(self.salt, more, &mut self.buffer);
        self.entries += 1;
        Ok(())
    }

    /// Adds what is carried forward: it has its own bound.
    pub(crate) fn carry(&mut self, entry: &Entry<'_>) {
        entry.encode(self.salt, &[], &mut self.buffer);
        self.entries += 1;
    }

    /// Everything as it is written at this place.
    pub(crate) fn seal(&mut self, segment: u64, offset: u64) -> &[u8] {
        let batch = Batch { length: self.length() as u32, entries: self.entries };
        let header = batch.encode(self.salt, segment, offset);
        self.buffer[..batch::HEADER].copy_from_slice(&header);
        &self.buffer
    }

    /// Tells the catalog what has been written at this place.
    pub(crate) fn adopt(&self, catalog: &mut Catalog, segment: u64, offset: u64) {
        let mut at = batch::HEADER;
        while let Some((entry, length)) = Entry::decode(self.salt, &self.buffer[at..]) {
            let offset = offset + at as u64;
            let position = Position { segment, offset, length: length as u32 };
            if let Err(what) = catalog.apply(&entry, position) {
                unreachable!("an entry of this process does not fit: {what}");
            }
            at += length;
        }
    }
}

/// Refuses what is too large.
pub(crate) fn at_most(bytes: usize, most: usize) -> Result<(), Error> {
    if bytes > most { Err(Error::TooLarge { bytes, most }) } else { Ok(()) }
}

/// Refuses records that are too large.
pub(crate) fn fits_record(bytes: &[u8]) -> Result<(), Error> {
    at_most(bytes.len(), limits::MAX_RECORD)
}
