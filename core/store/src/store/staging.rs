//! A checkpoint on its way to the disk, beside the store.

use std::fmt;
use std::io;

use bytes::Bytes;
use teatime_reflector::storage::Key;

use crate::disk::disk::Disk;
use crate::log::checkpoint::CheckpointFile;

/// A checkpoint whose file is still to be written: by any thread, while the store goes on. The
/// directory stays locked until it is dropped.
pub struct Staging<D: Disk> {
    disk: D,
    key: Key,
    index: u64,
    seq: u64,
    bytes: Bytes,
}

/// A checkpoint whose file was written, if the disk did not fail. It counts once
/// `Store::install` has returned `Ok`.
#[derive(Debug)]
pub struct Staged {
    pub(crate) key: Key,
    pub(crate) file: CheckpointFile,
    pub(crate) written: io::Result<()>,
}

impl<D: Disk> Staging<D> {
    /// `index` was drawn when the checkpoint was handed in: it stands for entries with lower indices.
    pub(crate) fn new(disk: D, key: Key, index: u64, seq: u64, bytes: Bytes) -> Self {
        Self { disk, key, index, seq, bytes }
    }

    /// Writes the file, durably. Takes as long as the disk needs. A file that is never installed is
    /// deleted when the store is opened next.
    pub fn write(self) -> Staged {
        let Self { disk, key, index, seq, bytes } = self;
        let file = CheckpointFile::new(index, seq, &bytes);
        let written = file.write(&disk, key, &bytes);
        Staged { key, file, written }
    }
}

impl<D: Disk> fmt::Debug for Staging<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Staging");
        debug.field("key", &self.key).field("seq", &self.seq).field("bytes", &self.bytes.len());
        debug.finish_non_exhaustive()
    }
}
