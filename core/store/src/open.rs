//! Opens a store, and makes one where there is none.

use crate::checkpoint;
use crate::clean::Cleaning;
use crate::config::Config;
use crate::disk::{Disk, DiskFile};
use crate::era::Era;
use crate::format::{self, StoreId};
use crate::pending::Pending;
use crate::segment::{self, Header};
use crate::store::{Active, Store, Wound};
use crate::survey::{Survey, read_format, read_log, segments, survey};
use crate::{Error, commit};

/// The description of a store before it is complete.
const NEW_FORMAT: &str = "FORMAT.new";

impl<D: Disk> Store<D> {
    /// Opens the store on this disk, or makes one there if there is nothing. Reads the whole log,
    /// cuts off what a crash has torn, and deletes what nothing needs any more; the content of
    /// checkpoints is read, and verified, when a session is loaded.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NewerFormat`], [`Error::Corrupt`], and what the disk says. The
    /// store is as it was then.
    pub fn open(mut disk: D, config: Config) -> Result<Self, Error> {
        disk.make_folder("")?;
        if !disk.lock()? {
            return Err(Error::Locked);
        }
        if read_format(&disk)?.is_none() {
            create(&disk)?;
        }
        let survey = survey(&disk)?;
        let file = mend(&disk, &survey)?;
        Self::of(disk, config, survey, file)
    }

    pub(crate) fn of(
        disk: D,
        config: Config,
        survey: Survey,
        file: D::File,
    ) -> Result<Self, Error> {
        let Survey { id, catalog, newest, end, .. } = survey;
        let salt = id.salt();
        let (boot, era) = (disk.boot(), Era::of(&disk, salt)?);
        Ok(Self {
            disk,
            config,
            boot,
            era,
            id,
            salt,
            pending: Pending::new(salt, catalog.next_index),
            active: Active { number: newest, file, length: end },
            cleaning: Cleaning::of(catalog.first),
            catalog,
            wound: Wound::default(),
            trash: Vec::new(),
            others_delete: false,
        })
    }
}

impl Store<crate::RealDisk> {
    /// Opens the store in this directory: [`open`](Self::open) on a [`RealDisk`](crate::RealDisk).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_dir(dir: impl Into<std::path::PathBuf>, config: Config) -> Result<Self, Error> {
        Self::open(crate::RealDisk::new(dir), config)
    }
}

/// A store to read sessions from only. Of a checkpoint it shows that it is missing when its session is loaded.
pub(crate) fn read_store<D: Disk>(disk: D) -> Result<Store<D>, Error> {
    let survey = read_log(&disk)?;
    let file = disk.open(&segment::name(survey.newest))?;
    Store::of(disk, Config::default(), survey, file)
}

/// The description comes last: without it there is no store.
fn create<D: Disk>(disk: &D) -> Result<(), Error> {
    disk.make_folder(segment::FOLDER)?;
    disk.make_folder(checkpoint::FOLDER)?;
    for number in segments(disk)? {
        let name = segment::name(number);
        if number != 1 || disk.open(&name)?.len()? > segment::HEADER as u64 {
            return Err(Error::corrupt(format::FILE, 0, "it is missing, but there is a log"));
        }
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let store = StoreId(id);
    let header = Header { store, number: 1, first: 1, previous_length: 0, next_index: 1 };
    commit::begin_segment(disk, &header)?;
    let mut file = disk.create(NEW_FORMAT)?;
    file.append(format::encode(store).as_bytes())?;
    file.sync()?;
    disk.rename(NEW_FORMAT, format::FILE)?;
    disk.sync_folder("")?;
    Ok(())
}

/// Cuts off and deletes what does not count. Returns the newest segment.
fn mend<D: Disk>(disk: &D, survey: &Survey) -> Result<D::File, Error> {
    // An empty folder may have got lost on the way here.
    disk.make_folder(checkpoint::FOLDER)?;
    let name = segment::name(survey.newest);
    let mut file = disk.open_to_append(&name)?;
    if let Some(torn) = &survey.torn {
        let (offset, bytes) = (survey.end, file.len()? - survey.end);
        let what = &torn.what;
        tracing::warn!(file = name, offset, bytes, what, "the last write was torn: it is cut off");
        file.truncate(survey.end)?;
    }
    if let Some(unbegun) = &survey.unbegun {
        tracing::warn!(file = unbegun, offset = 0, "a segment was not begun: it is deleted");
        commit::remove_if_there(disk, unbegun)?;
    }
    // What was read decides what is deleted: it must not be lost after that.
    file.sync()?;
    disk.sync_folder(segment::FOLDER)?;
    for segment in &survey.old_segments {
        commit::remove_segment(disk, segment)?;
    }
    for leftover in &survey.old_checkpoints {
        commit::remove_if_there(disk, leftover)?;
    }
    disk.sync_folder(checkpoint::FOLDER)?;
    Ok(file)
}
