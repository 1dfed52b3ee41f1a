//! What an operator sees, and removes, of the persisted data of a room.

use teatime_wire::{Digest, SessionId};

use crate::storage::{Checkpoint, StorageError, Stored};
use crate::stored::{self, PersistedRecord};

/// What a session has persisted in a room, without the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordInfo {
    /// The session.
    pub session: SessionId,
    /// The declared version of the app.
    pub version: u32,
    /// BLAKE3 of the data as it is stored.
    pub hash: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// To how many blobs it refers.
    pub blobs: usize,
    /// Its place in the order of all that was persisted in the room. Of one version, the highest counts.
    pub change: u64,
    /// What the session began with: the session, the version and the hash.
    pub from: Option<(SessionId, u32, Digest)>,
}

impl From<&PersistedRecord> for RecordInfo {
    fn from(record: &PersistedRecord) -> Self {
        Self {
            session: record.session,
            version: record.version,
            hash: record.hash(),
            bytes: record.data.len() as u64,
            blobs: record.roots.len(),
            change: record.change,
            from: record.from.map(|from| (from.session, from.version, from.hash)),
        }
    }
}

/// What the sessions of a room have persisted: that of the newest version first.
///
/// # Errors
/// [`StorageError::Corrupt`] if no reflector has written this.
pub fn persisted_records(room: &Stored) -> Result<Vec<RecordInfo>, StorageError> {
    let (persisted, _) = stored::read_room(room)?;
    Ok(persisted.iter().map(RecordInfo::from).collect())
}

/// The room without what a session has persisted. `None` if the room does not have it.
///
/// # Errors
/// [`StorageError::Corrupt`] if no reflector has written this.
pub fn without_record(
    room: &Stored,
    session: SessionId,
) -> Result<Option<Checkpoint>, StorageError> {
    let (mut persisted, changes) = stored::read_room(room)?;
    let before = persisted.len();
    persisted.retain(|record| record.session != session);
    let bytes = stored::write_room(&persisted);
    Ok((persisted.len() < before).then_some(Checkpoint { seq: changes + 1, bytes }))
}
