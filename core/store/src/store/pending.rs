//! What has gathered for the next commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use teatime_reflector::storage::Key;

use crate::limits::{MAX_BATCH, at_most};
use crate::log::batch::{self, Batch};
use crate::log::checkpoint::CheckpointFile;
use crate::log::checksum::Salt;
use crate::log::entry::{self, Entry, What};
use crate::log::installed::Installed;
use crate::log::key;
use crate::log::position::Position;
use crate::store::catalog::Catalog;
use crate::{Error, limits};

/// Numbers entries. Any thread may draw an index; clones draw from the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct Indices(Arc<AtomicU64>);

impl Indices {
    /// An index higher than all that were drawn before.
    pub(crate) fn draw(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A key as it will be after the next commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tentative {
    pub(crate) number: u64,
    pub(crate) newest: u64,
}

/// What has gathered for the next commit.
pub(crate) struct Pending {
    salt: Salt,
    /// Space for the header, then entries.
    buffer: Vec<u8>,
    entries: u32,
    /// Keys that were looked up; `None` for a key that will not exist.
    keys: HashMap<Key, Option<Tentative>>,
    /// Numbers of keys that the commit removes.
    removed: Vec<u64>,
    indices: Indices,
    /// Files of checkpoints whose entries are part of the commit.
    staged: Vec<String>,
    must_sync: bool,
}

/// What had gathered at a moment, before the changes of one key.
pub(crate) struct Mark {
    key: Key,
    tentative: Option<Option<Tentative>>,
    length: usize,
    entries: u32,
    removed: usize,
    must_sync: bool,
}

impl Pending {
    pub(crate) fn new(salt: Salt, next_index: u64) -> Self {
        Self {
            salt,
            buffer: vec![0; batch::HEADER],
            entries: 0,
            keys: HashMap::new(),
            removed: Vec::new(),
            indices: Indices(Arc::new(AtomicU64::new(next_index))),
            staged: Vec::new(),
            must_sync: false,
        }
    }

    pub(crate) fn indices(&self) -> &Indices {
        &self.indices
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(batch::HEADER);
        // Gives back the memory of a burst.
        self.buffer.shrink_to(1024 * 1024);
        self.entries = 0;
        self.keys.clear();
        self.removed.clear();
        self.staged.clear();
        self.must_sync = false;
    }

    /// Notes what has gathered so far, to take back later what is about to be added for a key.
    pub(crate) fn mark(&self, key: Key) -> Mark {
        let tentative = self.keys.get(&key).copied();
        Mark {
            key,
            tentative,
            length: self.buffer.len(),
            entries: self.entries,
            removed: self.removed.len(),
            must_sync: self.must_sync,
        }
    }

    /// Takes back what was added since the mark: only changes of its key, and no checkpoint.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        self.buffer.truncate(mark.length);
        self.entries = mark.entries;
        self.removed.truncate(mark.removed);
        self.must_sync = mark.must_sync;
        match mark.tentative {
            Some(before) => self.keys.insert(mark.key, before),
            None => self.keys.remove(&mark.key),
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether the commit must be durable, whatever the durability of others: files are deleted
    /// after it, or its durability was promised.
    pub(crate) fn must_sync(&self) -> bool {
        self.must_sync
    }

    /// Bytes of all entries.
    pub(crate) fn length(&self) -> usize {
        self.buffer.len() - batch::HEADER
    }

    /// Takes the paths of the checkpoints whose entries have gathered.
    pub(crate) fn take_staged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.staged)
    }

    /// A key as it will be.
    pub(crate) fn find(&mut self, catalog: &Catalog, key: Key) -> Result<&mut Tentative, Error> {
        let known = || {
            let (number, item) = catalog.find(key)?;
            Some(Tentative { number, newest: item.newest() })
        };
        self.keys.entry(key).or_insert_with(known).as_mut().ok_or(Error::Unknown)
    }

    pub(crate) fn begin(&mut self, key: Key, head: &[u8]) -> Result<(), Error> {
        at_most(head.len(), limits::MAX_HEAD)?;
        let index = self.indices.draw();
        let bytes = key::encode(key);
        let entry = Entry { bytes: &bytes, ..Entry::bare(What::Begin, index, index, 0) };
        self.push(&entry, head)?;
        self.keys.insert(key, Some(Tentative { number: index, newest: 0 }));
        Ok(())
    }

    pub(crate) fn append(
        &mut self,
        catalog: &Catalog,
        key: Key,
        seq: u64,
        kind: u8,
        bytes: &[u8],
    ) -> Result<(), Error> {
        at_most(bytes.len(), limits::MAX_RECORD)?;
        let Tentative { number, newest } = *self.find(catalog, key)?;
        if seq < newest {
            return Err(Error::OutOfOrder { seq, newest });
        }
        let entry = Entry::bare(What::Record, number, self.indices.draw(), seq);
        self.push(&Entry { kind, bytes, ..entry }, &[])?;
        self.find(catalog, key)?.newest = seq;
        Ok(())
    }

    /// Adds the entry of a checkpoint whose new file is durable.
    pub(crate) fn checkpoint(
        &mut self,
        catalog: &Catalog,
        key: Key,
        file: &CheckpointFile,
        previous: Option<u64>,
    ) -> Result<(), Error> {
        self.install(catalog, key, &Installed::new(file.clone(), previous))?;
        self.staged.push(file.path(key));
        Ok(())
    }

    /// Adds an entry that tells which checkpoint counts, and what becomes of the history before it.
    pub(crate) fn install(
        &mut self,
        catalog: &Catalog,
        key: Key,
        installed: &Installed,
    ) -> Result<(), Error> {
        let number = self.find(catalog, key)?.number;
        let seq = installed.file().map_or(0, CheckpointFile::seq);
        let entry = Entry::bare(What::Checkpoint, number, self.indices.draw(), seq);
        self.push(&Entry { bytes: &installed.encode(), ..entry }, &[])?;
        self.must_sync = true;
        let tentative = self.find(catalog, key)?;
        tentative.newest = tentative.newest.max(seq);
        Ok(())
    }

    pub(crate) fn remove(&mut self, catalog: &Catalog, key: Key) -> Result<(), Error> {
        let number = self.find(catalog, key)?.number;
        self.push(&Entry::bare(What::Remove, number, self.indices.draw(), 0), &[])?;
        self.keys.insert(key, None);
        self.removed.push(number);
        self.must_sync = true;
        Ok(())
    }

    /// Notes when a key was last used, in seconds since 1970.
    pub(crate) fn touch(&mut self, number: u64, time: u64) -> Result<(), Error> {
        self.push(&Entry::bare(What::Touch, number, self.indices.draw(), time), &[])
    }

    /// Segments before this one no longer count, and are deleted after the commit.
    pub(crate) fn first(&mut self, segment: u64) -> Result<(), Error> {
        self.push(&Entry::bare(What::First, 0, self.indices.draw(), segment), &[])?;
        self.must_sync = true;
        Ok(())
    }

    /// Whether the next commit removes the key with this number.
    pub(crate) fn removes(&self, number: u64) -> bool {
        self.removed.contains(&number)
    }

    fn push(&mut self, entry: &Entry<'_>, more: &[u8]) -> Result<(), Error> {
        let bytes = self.length() + entry::HEADER + entry.bytes.len() + more.len();
        at_most(bytes, MAX_BATCH)?;
        entry.encode(self.salt, more, &mut self.buffer);
        self.entries += 1;
        Ok(())
    }

    /// Adds a copy of a living entry. Cleaning has its own limit.
    pub(crate) fn carry(&mut self, entry: &Entry<'_>) {
        entry.encode(self.salt, &[], &mut self.buffer);
        self.entries += 1;
    }

    /// The bytes of the commit at this place.
    pub(crate) fn seal(&mut self, segment: u64, offset: u64) -> &[u8] {
        let batch = Batch { length: self.length() as u32, entries: self.entries };
        let header = batch.encode(self.salt, segment, offset);
        self.buffer[..batch::HEADER].copy_from_slice(&header);
        &self.buffer
    }

    /// Applies what was written at this place to the catalog, and forgets it.
    pub(crate) fn adopt(&mut self, catalog: &mut Catalog, segment: u64, offset: u64) {
        let mut at = batch::HEADER;
        while let Some((entry, length)) = Entry::decode(self.salt, &self.buffer[at..]) {
            let offset = offset + at as u64;
            let position = Position { segment, offset, length: length as u32 };
            if let Err(what) = catalog.apply(&entry, position) {
                unreachable!("this process wrote an entry that does not fit: {what}");
            }
            at += length;
        }
        self.clear();
    }
}
