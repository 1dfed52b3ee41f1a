//! The files of checkpoints. Each holds the bytes and nothing else: what they must be, the log
//! says.

use std::fmt::Write;
use std::io;

use crate::Error;
use crate::checksum::{Take, long};
use crate::disk::{Disk, DiskFile};
use crate::entry::Entry;
use crate::storage::SessionId;

/// The folder of the checkpoints.
pub(crate) const FOLDER: &str = "checkpoints";

/// The file of a checkpoint, as its entry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointFile {
    /// Of its entry.
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) length: u64,
    sum: u128,
}

impl CheckpointFile {
    pub(crate) fn new(index: u64, seq: u64, bytes: &[u8]) -> Self {
        Self { index, seq, length: bytes.len() as u64, sum: long(bytes) }
    }

    /// The content of its entry.
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..].copy_from_slice(&self.sum.to_le_bytes());
        out
    }

    pub(crate) fn decode(entry: &Entry<'_>) -> Option<Self> {
        let mut take = Take(entry.bytes);
        let length = take.u64()?;
        let sum = u128::from_le_bytes(take.array()?);
        Some(Self { index: entry.index, seq: entry.seq, length, sum })
    }

    /// No two checkpoints have the same.
    pub(crate) fn name(&self, session: &SessionId) -> String {
        let mut name = format!("{FOLDER}/");
        for byte in session {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let _ = write!(name, "-{:016x}.ckpt", self.index);
        name
    }

    /// Writes it, durably.
    pub(crate) fn write<D: Disk>(
        &self,
        disk: &D,
        session: &SessionId,
        bytes: &[u8],
    ) -> io::Result<()> {
        let name = self.name(session);
        let write = || {
            let mut file = disk.create(&name)?;
            file.append(bytes)?;
            file.sync()?;
            disk.sync_folder(FOLDER)
        };
        let written = write();
        if written.is_err() {
            // At once: a part of it may take the last room that others' commits need. What cannot be deleted now is
            // deleted later.
            let _ = disk.remove(&name);
        }
        written
    }

    pub(crate) fn read<D: Disk>(&self, disk: &D, session: &SessionId) -> Result<Vec<u8>, Error> {
        let name = self.name(session);
        let bytes = match disk.open(&name) {
            Ok(file) if file.len()? == self.length => file.read(0, self.length)?,
            Ok(_) => return Err(Error::corrupt(name, 0, "the checkpoint has another length")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::corrupt(name, 0, "the checkpoint is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        if long(&bytes) == self.sum {
            Ok(bytes)
        } else {
            Err(Error::corrupt(name, 0, "the checksum of the checkpoint is wrong"))
        }
    }
}
