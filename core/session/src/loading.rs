//! A snapshot on its way in.

use teatime_wire::{SnapshotInfo, limits};

/// Collects the pieces of a snapshot.
pub(crate) struct Loading {
    pub(crate) info: SnapshotInfo,
    /// It is no snapshot but what this version of the app has persisted.
    pub(crate) persisted_by: Option<u32>,
    data: Vec<u8>,
}

impl Loading {
    /// Fails if the snapshot is larger than any may be.
    pub(crate) fn new(info: SnapshotInfo, persisted_by: Option<u32>) -> Result<Self, String> {
        if info.size == 0 || info.size > limits::MAX_SNAPSHOT {
            return Err(format!("a snapshot of {} bytes was announced", info.size));
        }
        Ok(Self { info, persisted_by, data: Vec::new() })
    }

    /// Adds a piece; the whole when it was the last.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let size = self.data.len() as u64 + piece.len() as u64;
        if piece.is_empty() || size > self.info.size {
            return Err("a piece of the snapshot does not fit its announced size".into());
        }
        self.data.extend_from_slice(piece);
        Ok((size == self.info.size).then(|| std::mem::take(&mut self.data)))
    }

    /// From 0 to 1.
    pub(crate) fn progress(&self) -> f32 {
        self.data.len() as f32 / self.info.size as f32
    }
}
