//! Looks at stores that nobody has open, without changing anything.

use std::path::Path;

use teatime_blobs::VaultCheck;

use crate::blobs;
use crate::disk::Disk;
use crate::real::RealDisk;
use crate::storage::SessionInfo;
use crate::survey::{Survey, survey};
use crate::{Error, segment};

/// What [`check`] found.
#[derive(Debug)]
pub struct Report {
    /// How many sessions.
    pub sessions: usize,
    /// How many records live.
    pub records: u64,
    /// Bytes of all segments and checkpoints.
    pub disk_bytes: u64,
    /// Those of them that nothing needs.
    pub garbage_bytes: u64,
    /// A torn write at the end, which the next opening cuts off: always [`Error::Corrupt`].
    pub torn: Option<Error>,
    /// The first thing because of which the store, or a session in it, is refused. If it is in
    /// the log, everything above is zero.
    pub problem: Option<Error>,
    /// The blobs beside the sessions. What is damaged there is as good as gone, and nothing else suffers.
    pub blobs: VaultCheck,
}

/// Reads everything: the log, checkpoints, blobs.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`], [`Error::Permission`], [`Error::Io`]: what keeps it
/// from looking. What it finds is in the report.
pub fn check(dir: impl AsRef<Path>) -> Result<Report, Error> {
    let disk = lock(dir.as_ref())?;
    let blobs = blobs::check(RealDisk::new(dir.as_ref()), None)?;
    let survey = match survey(&disk) {
        Ok(survey) => survey,
        Err(problem @ (Error::Corrupt { .. } | Error::NewerFormat { .. })) => {
            return Ok(Report {
                sessions: 0,
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
    let (log, live) = survey.catalog.log_bytes();
    Ok(Report {
        sessions: survey.catalog.sessions.len(),
        records: survey.catalog.infos().iter().map(|session| session.records).sum(),
        disk_bytes: log + survey.catalog.checkpoint_bytes,
        garbage_bytes: log - live,
        torn: torn(&survey),
        problem: check_checkpoints(&disk, &survey)?,
        blobs,
    })
}

fn torn(survey: &Survey) -> Option<Error> {
    let damage = survey.torn.as_ref();
    let cut =
        damage.map(|damage| Error::corrupt(segment::name(survey.newest), survey.end, &damage.what));
    let unbegun = survey.unbegun.as_ref();
    cut.or(unbegun.map(|file| Error::corrupt(file, 0, "the segment was never begun")))
}

fn check_checkpoints(disk: &RealDisk, survey: &Survey) -> Result<Option<Error>, Error> {
    for session in survey.catalog.sessions.values() {
        let (Some((id, _)), Some(file)) = (session.begin, session.checkpoint_file()) else {
            continue;
        };
        match file.read(disk, &id) {
            Ok(_) => {}
            Err(problem @ Error::Corrupt { .. }) => return Ok(Some(problem)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The sessions of a store, in the order of their names.
///
/// # Errors
/// As [`check`], and [`Error::Corrupt`], [`Error::NewerFormat`].
pub fn list(dir: impl AsRef<Path>) -> Result<Vec<SessionInfo>, Error> {
    let mut sessions = survey(&lock(dir.as_ref())?)?.catalog.infos();
    sessions.sort_by_key(|session| session.id);
    Ok(sessions)
}

/// The directory, with stores kept away from it.
pub(crate) fn lock(dir: &Path) -> Result<RealDisk, Error> {
    if !dir.is_dir() {
        return Err(Error::NoStore);
    }
    let mut disk = RealDisk::new(dir);
    if !disk.lock_to_read()? {
        return Err(Error::Locked);
    }
    // Whoever lists an empty directory should hear that, not what is missing in it.
    if disk.list("")?.is_empty() {
        return Err(Error::NoStore);
    }
    Ok(disk)
}
