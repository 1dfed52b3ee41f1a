//! The files of checkpoints. A file has the bytes of the checkpoint and nothing else; its length and checksum
//! are in the log.

use std::io;

use teatime_reflector::storage::Key;

use crate::Error;
use crate::disk::disk::{Disk, DiskFile};
use crate::log::checksum::{Take, long};
use crate::log::key;

/// The folder of the checkpoints.
pub(crate) const FOLDER: &str = "checkpoints";

/// The file of a checkpoint, as its entry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointFile {
    index: u64,
    seq: u64,
    length: u64,
    sum: u128,
}

/// Bytes of the longest file that an entry may name: far more than a snapshot has.
const MOST: u64 = 1 << 40;

impl CheckpointFile {
    /// The description of these bytes. `index` was drawn when the checkpoint was handed in: it stands for records with
    /// lower ones.
    pub(crate) fn new(index: u64, seq: u64, bytes: &[u8]) -> Self {
        Self { index, seq, length: bytes.len() as u64, sum: long(bytes) }
    }

    /// Unique among the files of a store.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the checkpoint stands for a record.
    pub(crate) fn covers(&self, seq: u64, index: u64) -> bool {
        seq <= self.seq && index < self.index
    }

    /// What an entry says of it besides its index and sequence number.
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..].copy_from_slice(&self.sum.to_le_bytes());
        out
    }

    pub(crate) fn decode(index: u64, seq: u64, take: &mut Take<'_>) -> Option<Self> {
        // So the sum of all lengths is a number, whatever a damaged log says.
        let length = take.u64().filter(|length| *length <= MOST)?;
        let sum = u128::from_le_bytes(take.array()?);
        Some(Self { index, seq, length, sum })
    }

    /// Its path, different for every checkpoint.
    pub(crate) fn path(&self, key: Key) -> String {
        format!("{FOLDER}/{}-{:016x}.ckpt", key::file_stem(key), self.index)
    }

    /// Writes the file, durably.
    pub(crate) fn write<D: Disk>(&self, disk: &D, key: Key, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let write = || {
            let mut file = disk.create(&path)?;
            file.append(bytes)?;
            file.sync()?;
            disk.sync_folder(FOLDER)
        };
        let written = write();
        if written.is_err() {
            // At once: a part of a file could take the last bytes of the disk from others. If this
            // fails, the file is deleted later.
            let _ = disk.remove(&path);
        }
        written
    }

    /// Reads the file and verifies it.
    pub(crate) fn read<D: Disk>(&self, disk: &D, key: Key) -> Result<Vec<u8>, Error> {
        let path = self.path(key);
        let bytes = match disk.open(&path) {
            Ok(file) if file.len()? == self.length => file.read(0, self.length)?,
            Ok(_) => return Err(Error::corrupt(path, 0, "the checkpoint has a wrong length")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::corrupt(path, 0, "the checkpoint is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        if long(&bytes) == self.sum {
            Ok(bytes)
        } else {
            Err(Error::corrupt(path, 0, "the checkpoint has a wrong checksum"))
        }
    }
}
