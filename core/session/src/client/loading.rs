//! A snapshot, or persisted data, on its way in.

use teatime_wire::{SnapshotInfo, limits};

/// Collects the pieces.
pub(super) struct Loading {
    info: SnapshotInfo,
    /// The version of the app that has persisted it; `None` if it is a snapshot.
    persisted_by: Option<u32>,
    data: Vec<u8>,
}

impl Loading {
    /// # Errors
    /// If it is empty, or larger than any snapshot may be.
    pub(super) fn new(info: SnapshotInfo, persisted_by: Option<u32>) -> Result<Self, String> {
        if info.size == 0 || info.size > limits::MAX_SNAPSHOT {
            return Err(format!("invalid size of the snapshot: {} bytes", info.size));
        }
        Ok(Self { info, persisted_by, data: Vec::new() })
    }

    pub(super) fn info(&self) -> SnapshotInfo {
        self.info
    }

    /// The version of the app that has persisted what arrives; `None` if a snapshot arrives.
    pub(super) fn persisted_by(&self) -> Option<u32> {
        self.persisted_by
    }

    /// Adds a piece. Returns the whole with the last piece.
    ///
    /// # Errors
    /// If it is empty, or exceeds the announced size.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let size = self.data.len() as u64 + piece.len() as u64;
        if piece.is_empty() || size > self.info.size {
            return Err("a piece of the snapshot does not fit its announced size".into());
        }
        self.data.extend_from_slice(piece);
        Ok((size == self.info.size).then(|| std::mem::take(&mut self.data)))
    }

    /// The part that has arrived, from 0 to 1.
    pub(super) fn progress(&self) -> f32 {
        self.data.len() as f32 / self.info.size as f32
    }
}
