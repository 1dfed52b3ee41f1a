//! Lists and removes what is persisted in a room.

use std::path::Path;

use teatime_reflector::storage::{Key, RoomId};
use teatime_reflector::{RecordInfo, persisted_records, without_record};
use teatime_wire::SessionId;

use crate::Error;
use crate::config::Config;
use crate::offline::transfer::load;
use crate::store::store::DiskStore;

/// What the sessions of a room have persisted, that of the newest version first. A reflector may have the store open.
///
/// # Errors
/// [`Error::Unknown`], and as [`load`].
pub fn records(dir: impl AsRef<Path>, room: RoomId) -> Result<Vec<RecordInfo>, Error> {
    let stored = load(dir, Key::Room(room))?.ok_or(Error::Unknown)?;
    Ok(persisted_records(&stored)?)
}

/// Removes what a session has persisted in a room, in a store that is not open. Sessions that have begun with it stay as
/// they are. If the session is stored and is used again, it persists its data again.
///
/// # Errors
/// [`Error::Unknown`] if the room does not have it; as opening and committing.
pub fn remove_record(dir: impl AsRef<Path>, room: RoomId, session: SessionId) -> Result<(), Error> {
    let mut store = DiskStore::open_dir(dir.as_ref(), Config::default())?;
    let key = Key::Room(room);
    let stored = store.load(key)?.ok_or(Error::Unknown)?;
    let rest = without_record(&stored, session)?.ok_or(Error::Unknown)?;
    if persisted_records(&stored)?.len() == 1 {
        store.remove(key)?;
        return store.commit();
    }
    store.checkpoint(key, rest.seq, &rest.bytes)
}
