//! Copies what is readable of a damaged store into a new one.

use std::path::Path;

use teatime_blobs::VaultCheck;
use teatime_reflector::storage::{Key, RecordKind, Stored};

use crate::blobs::{self, DiskBlobs};
use crate::disk::real::RealDisk;
use crate::offline::tools;
use crate::store::read::Plan;
use crate::store::store::DiskStore;
use crate::store::survey::read_damaged_log;
use crate::{Config, Durability, Error};

/// What became of a session or room.
#[derive(Debug)]
pub enum Salvaged {
    /// It was copied whole, as far as can be known: only the newest records may be missing.
    Whole(Key),
    /// It was copied up to this sequence number. The record after that is missing, but later ones exist.
    UpTo(Key, u64),
    /// It cannot be read.
    Lost(Key, Error),
}

/// What [`salvage`] found.
#[derive(Debug, Default)]
pub struct Salvage {
    /// Sorted by key.
    pub outcomes: Vec<Salvaged>,
    /// How many others there were whose key cannot be read.
    pub nameless: usize,
    /// The damage in the log.
    pub damages: Vec<Error>,
    /// The blobs: all undamaged ones were copied.
    pub blobs: VaultCheck,
}

/// Copies every session and room of a damaged store into a new one. The store must not be open, and
/// does not change. Of each session it copies the checkpoint, and the records after it up to the first
/// missing ordered message. A damaged commit counts as missing: what it removed is copied. Undamaged
/// blobs are copied too.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`] and what the disk reports, of either store;
/// [`Error::Exists`] if the new store is not empty; [`Error::Corrupt`] if the id of the
/// damaged store cannot be read.
pub fn salvage(dir: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Salvage, Error> {
    let disk = tools::lock(dir.as_ref())?;
    let mut target = DiskStore::open_dir(into.as_ref(), Config::default())?;
    if let Some(info) = target.infos().first() {
        tracing::warn!(key = %info.key, "the new store is not empty");
        return Err(Error::Exists);
    }
    target.begin_era()?;
    let (survey, damages) = read_damaged_log(&disk)?;
    let nameless = survey.catalog.items().filter(|item| item.key().is_none()).count();
    let mut found = Salvage { nameless, damages, ..Salvage::default() };
    for key in survey.catalog.keys() {
        let Some(plan) = Plan::new(&survey.catalog, key) else { continue };
        match plan.read_usable(&disk, survey.id.salt()) {
            Ok(mut stored) => {
                let gap = cut_at_gap(&mut stored);
                target.insert(key, &stored)?;
                found
                    .outcomes
                    .push(gap.map_or(Salvaged::Whole(key), |seq| Salvaged::UpTo(key, seq)));
            }
            Err(error @ Error::Corrupt { .. }) => found.outcomes.push(Salvaged::Lost(key, error)),
            Err(error) => return Err(error),
        }
    }
    let mut copies = DiskBlobs::open_dir(into.as_ref(), Durability::Power)?;
    found.blobs = blobs::check(RealDisk::new(dir.as_ref()), Some(&mut copies))?;
    Ok(found)
}

/// Drops everything after a gap in the numbers of ordered messages. Returns the last number before the gap.
fn cut_at_gap(stored: &mut Stored) -> Option<u64> {
    let mut newest = stored.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
    for (at, record) in stored.records.iter().enumerate() {
        // Other records have the number of the message before them.
        let is_ordered = record.kind == RecordKind::Ordered;
        if record.seq > newest + u64::from(is_ordered) || (is_ordered && record.seq <= newest) {
            stored.records.truncate(at);
            return Some(newest);
        }
        newest = record.seq.max(newest);
    }
    None
}
