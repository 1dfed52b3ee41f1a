//! Takes a session back to the history before its checkpoint.

use std::path::Path;

use teatime_reflector::storage::Key;

use crate::Error;
use crate::config::Config;
use crate::log::checkpoint::CheckpointFile;
use crate::offline::tools;
use crate::store::catalog::Catalog;
use crate::store::store::DiskStore;
use crate::store::survey::survey;

/// What a [`rollback`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// The sequence number of the checkpoint that is dropped.
    pub from: u64,
    /// The sequence number of the checkpoint that counts again; 0 for the beginning of the session.
    pub to: u64,
    /// The sequence number of the newest record. All records after `to` stay.
    pub newest: u64,
}

/// Finds out what [`rollback`] would do. Changes nothing.
///
/// # Errors
/// As [`list`](crate::list); [`Error::Unknown`]; [`Error::NoHistory`].
pub fn plan_rollback(dir: impl AsRef<Path>, key: Key) -> Result<Rollback, Error> {
    find(&survey(&tools::lock(dir.as_ref())?)?.catalog, key)
}

/// Puts the history that the newest checkpoint of a session has replaced in its place again, in a store that is not open.
/// Only the checkpoint is lost. Begins a new [era](crate::Store::era), because clients may have gone on from the
/// checkpoint: all clients load their sessions again.
///
/// # Errors
/// As [`plan_rollback`], opening and committing.
pub fn rollback(dir: impl AsRef<Path>, key: Key) -> Result<Rollback, Error> {
    let plan = plan_rollback(dir.as_ref(), key)?;
    let mut store = DiskStore::open_dir(dir.as_ref(), Config::default())?;
    store.begin_era()?;
    store.go_back(key, plan.to)?;
    Ok(plan)
}

fn find(catalog: &Catalog, key: Key) -> Result<Rollback, Error> {
    let (_, item) = catalog.find(key).ok_or(Error::Unknown)?;
    let from = item.checkpoint().map_or(0, CheckpointFile::seq);
    let to = item.previous_seq().ok_or(Error::NoHistory)?;
    Ok(Rollback { from, to, newest: item.newest() })
}
