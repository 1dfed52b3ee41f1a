//! Examines stores that are not open, without changing them.

use std::path::Path;

use teatime_blobs::VaultCheck;
use teatime_reflector::storage::Key;

use crate::Error;
use crate::blobs;
use crate::disk::disk::Disk;
use crate::disk::real::RealDisk;
use crate::log::segment;
use crate::store::item::Info;
use crate::store::survey::{Survey, survey};

/// What [`check`] found.
#[derive(Debug)]
pub struct Report {
    /// How many sessions.
    pub sessions: usize,
    /// How many rooms with persisted data.
    pub rooms: usize,
    /// How many sessions can go back to an older checkpoint, or to their beginning.
    pub histories: usize,
    /// How many records live.
    pub records: u64,
    /// Bytes of all segments and checkpoints.
    pub disk_bytes: u64,
    /// Bytes of garbage in them.
    pub garbage_bytes: u64,
    /// A torn write at the end, which the next opening cuts off: always [`Error::Corrupt`].
    pub torn: Option<Error>,
    /// The first problem that would make a reflector refuse the store, or a session in it. If it is in the log,
    /// everything above is zero.
    pub problem: Option<Error>,
    /// The blobs beside the sessions. Damaged blobs are lost; nothing else depends on them.
    pub blobs: VaultCheck,
}

/// Reads everything: the log, checkpoints, blobs.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`], [`Error::Permission`], [`Error::Io`]: why the check
/// could not run. What it finds is in the report.
pub fn check(dir: impl AsRef<Path>) -> Result<Report, Error> {
    let disk = lock(dir.as_ref())?;
    let blobs = blobs::check(RealDisk::new(dir.as_ref()), None)?;
    let survey = match survey(&disk) {
        Ok(survey) => survey,
        Err(problem @ (Error::Corrupt { .. } | Error::OtherFormat { .. })) => {
            return Ok(Report {
                sessions: 0,
                rooms: 0,
                histories: 0,
                records: 0,
                disk_bytes: 0,
                garbage_bytes: 0,
                torn: None,
                problem: Some(problem),
                blobs,
            });
        }
        Err(error) => return Err(error),
    };
    let catalog = &survey.catalog;
    let (log, live) = catalog.segments().bytes();
    let (keys, infos) = (catalog.keys(), catalog.infos());
    let rooms = keys.iter().filter(|key| matches!(key, Key::Room(_))).count();
    Ok(Report {
        sessions: keys.len() - rooms,
        rooms,
        histories: infos.iter().filter(|info| info.previous.is_some()).count(),
        records: infos.iter().map(|info| info.records).sum(),
        disk_bytes: log + catalog.checkpoint_bytes(),
        garbage_bytes: log - live,
        torn: torn(&survey),
        problem: check_checkpoints(&disk, &survey)?,
        blobs,
    })
}

fn torn(survey: &Survey) -> Option<Error> {
    let damage = survey.torn.as_ref();
    let cut =
        damage.map(|damage| Error::corrupt(segment::name(survey.newest), survey.end, damage.what));
    let unbegun = survey.unbegun.as_ref();
    cut.or(unbegun.map(|file| Error::corrupt(file, 0, "the segment was not begun completely")))
}

fn check_checkpoints(disk: &RealDisk, survey: &Survey) -> Result<Option<Error>, Error> {
    for item in survey.catalog.items() {
        let Some(key) = item.key() else { continue };
        for file in item.files() {
            match file.read(disk, key) {
                Ok(_) => {}
                Err(problem @ Error::Corrupt { .. }) => return Ok(Some(problem)),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}

/// The sessions and rooms of a store, sorted by key.
///
/// # Errors
/// As [`check`], and [`Error::Corrupt`], [`Error::OtherFormat`].
pub fn list(dir: impl AsRef<Path>) -> Result<Vec<Info>, Error> {
    let mut infos = survey(&lock(dir.as_ref())?)?.catalog.infos();
    infos.sort_by_key(|info| info.key);
    Ok(infos)
}

/// The directory, locked for reading.
pub(crate) fn lock(dir: &Path) -> Result<RealDisk, Error> {
    if !dir.is_dir() {
        return Err(Error::NoStore);
    }
    let mut disk = RealDisk::new(dir);
    if !disk.lock_to_read()? {
        return Err(Error::Locked);
    }
    // For an empty directory, "no store" says more than the name of a missing file.
    if disk.list("")?.is_empty() {
        return Err(Error::NoStore);
    }
    Ok(disk)
}
