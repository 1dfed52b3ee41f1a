//! Prepares a disk for a store: makes a new one, or mends what a crash has left.

use crate::Error;
use crate::disk::disk::{Disk, DiskFile, remove_if_there};
use crate::log::checkpoint;
use crate::log::format::{self, StoreId};
use crate::log::segment::{self, Header};
use crate::store::end::{begin_segment, remove_segment};
use crate::store::survey::{Survey, read_format, segments, survey};

/// The description of a store before it is complete.
const NEW_FORMAT: &str = "FORMAT.new";

/// Locks the disk, makes a store if there is none, and mends it. Returns what is there, and the newest
/// segment.
pub(crate) fn prepare<D: Disk>(disk: &mut D) -> Result<(Survey, D::File), Error> {
    disk.make_folder("")?;
    if !disk.lock()? {
        return Err(Error::Locked);
    }
    if read_format(disk)?.is_none() {
        create(disk)?;
    }
    let survey = survey(disk)?;
    let file = mend(disk, &survey)?;
    Ok((survey, file))
}

/// Makes a store. Its description comes last: without it the disk has no store.
fn create<D: Disk>(disk: &D) -> Result<(), Error> {
    disk.make_folder(segment::FOLDER)?;
    disk.make_folder(checkpoint::FOLDER)?;
    for number in segments(disk)? {
        let name = segment::name(number);
        if number != 1 || disk.open(&name)?.len()? > segment::HEADER as u64 {
            return Err(Error::corrupt(format::FILE, 0, "the file is missing, but there is a log"));
        }
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let store = StoreId(id);
    let header = Header { store, number: 1, first: 1, previous_length: 0, next_index: 1 };
    begin_segment(disk, &header)?;
    let mut file = disk.create(NEW_FORMAT)?;
    file.append(format::encode(store).as_bytes())?;
    file.sync()?;
    disk.rename(NEW_FORMAT, format::FILE)?;
    disk.sync_folder("")?;
    Ok(())
}

/// Cuts off and deletes what does not count. Returns the newest segment.
fn mend<D: Disk>(disk: &D, survey: &Survey) -> Result<D::File, Error> {
    // A copy of a store may lack an empty folder.
    disk.make_folder(checkpoint::FOLDER)?;
    let name = segment::name(survey.newest);
    let mut file = disk.open_to_append(&name)?;
    if let Some(torn) = &survey.torn {
        let (offset, bytes) = (survey.end, file.len()? - survey.end);
        let what = torn.what;
        tracing::warn!(file = name, offset, bytes, what, "the last write was torn: cutting it off");
        file.truncate(survey.end)?;
    }
    if let Some(unbegun) = &survey.unbegun {
        tracing::warn!(
            file = unbegun,
            offset = 0,
            "deleting a segment that was not begun completely"
        );
        remove_if_there(disk, unbegun)?;
    }
    // What was read decides what is deleted: it must be durable before that.
    file.sync()?;
    disk.sync_folder(segment::FOLDER)?;
    for segment in &survey.old_segments {
        remove_segment(disk, segment)?;
    }
    for leftover in &survey.old_checkpoints {
        remove_if_there(disk, leftover)?;
    }
    disk.sync_folder(checkpoint::FOLDER)?;
    Ok(file)
}
