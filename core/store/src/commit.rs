//! Writes what has gathered, and mends what a failure leaves.

use std::io;

use crate::checkpoint;
use crate::clean::Cleaning;
use crate::config::Durability;
use crate::disk::{Disk, DiskFile};
use crate::segment::{self, Header};
use crate::store::{Active, Store};
use crate::{Error, catalog};

impl<D: Disk> Store<D> {
    /// Writes everything that has gathered, or forgets it.
    pub(crate) fn commit_pending(&mut self) -> Result<(), Error> {
        let written = self.heal().and_then(|()| self.write());
        written.or_else(|error| self.give_up(error))?;
        self.tidy();
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        self.clean()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        self.note_writing()?;
        if self.is_full() {
            self.roll()?;
        }
        let sync = self.pending.must_sync || self.config.durability == Durability::Power;
        let Active { number, length, .. } = self.active;
        let bytes = self.pending.seal(number, length);
        let end = length + bytes.len() as u64;
        self.wound.tail = true;
        self.active.file.append(bytes)?;
        if sync {
            self.wound.distrusted = true;
            self.active.file.sync()?;
            self.wound.distrusted = false;
        }
        self.wound.tail = false;
        self.active.length = end;
        if let Some(segment) = self.catalog.segments.get_mut(&number) {
            segment.length = end;
        }
        self.pending.adopt(&mut self.catalog, number, length);
        self.pending.clear();
        Ok(())
    }

    fn is_full(&self) -> bool {
        let empty = self.active.length <= segment::HEADER as u64;
        let with_pending = self.active.length + self.pending.length() as u64;
        (!empty && with_pending > self.config.segment_bytes) || self.wound.distrusted
    }

    /// Begins the next segment. The one before is durable then, and never changes again.
    fn roll(&mut self) -> Result<(), Error> {
        self.active.file.sync()?;
        let number = self.active.number + 1;
        let name = segment::name(number);
        self.wound.stray = Some(name.clone());
        let header = Header {
            store: self.id,
            number,
            first: self.catalog.first,
            previous_length: self.active.length,
            next_index: self.catalog.next_index,
        };
        let file = begin_segment(&self.disk, &header)?;
        self.wound.stray = None;
        self.wound.distrusted = false;
        let length = segment::HEADER as u64;
        self.catalog.segments.insert(number, catalog::Segment { length, live: 0 });
        self.active = Active { number, file, length };
        Ok(())
    }

    /// Forgets what has gathered, of which nothing was written.
    pub(crate) fn forget(&mut self) {
        self.wound.staged.append(&mut self.pending.staged);
        self.pending.clear();
    }

    /// Nothing counts of what has gathered.
    pub(crate) fn give_up(&mut self, error: Error) -> Result<(), Error> {
        self.forget();
        // What was to be carried forward was not.
        self.cleaning = Cleaning::of(self.catalog.first);
        if let Err(why) = self.heal() {
            tracing::error!(%why, "the store takes nothing until it can mend its log");
        }
        Err(error)
    }

    /// Removes what a failure may have left.
    pub(crate) fn heal(&mut self) -> Result<(), Error> {
        if let Some(stray) = &self.wound.stray {
            remove_if_there(&self.disk, stray)?;
            self.disk.sync_folder(segment::FOLDER)?;
            self.wound.stray = None;
        }
        if self.wound.tail {
            self.active.file.truncate(self.active.length)?;
            self.active.file.sync()?;
            self.wound.tail = false;
        }
        self.trash.append(&mut self.wound.staged);
        Ok(())
    }

    /// Deletes what is not needed any more. What cannot be deleted now can be later.
    fn tidy(&mut self) {
        self.trash.append(&mut self.catalog.doomed);
        if !self.others_delete {
            delete(&self.disk, &mut self.trash);
        }
        while let Some((number, _)) = self.catalog.segments.first_key_value()
            && *number < self.catalog.first
        {
            let file = segment::name(*number);
            if let Err(why) = remove_segment(&self.disk, &file) {
                tracing::warn!(file, %why, "a segment that is not needed could not be deleted");
                break;
            }
            self.catalog.segments.pop_first();
        }
    }
}

/// Deletes files of checkpoints; those that cannot be deleted stay in the list.
pub(crate) fn delete<D: Disk>(disk: &D, trash: &mut Vec<String>) {
    let before = trash.len();
    trash.retain(|path| match remove_if_there(disk, path) {
        Ok(()) => false,
        Err(why) => {
            tracing::warn!(path, %why, "a checkpoint that is not needed could not be deleted");
            true
        }
    });
    if trash.len() < before
        && let Err(why) = disk.sync_folder(checkpoint::FOLDER)
    {
        tracing::warn!(%why, "deletions could not be made durable");
    }
}

/// Deletes the oldest segment. No newer one may be gone before it is: what that said of this one
/// would be lost.
pub(crate) fn remove_segment<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    remove_if_there(disk, path)?;
    disk.sync_folder(segment::FOLDER)
}

/// Makes a segment with nothing in it, durably.
pub(crate) fn begin_segment<D: Disk>(disk: &D, header: &Header) -> io::Result<D::File> {
    let mut file = disk.create(&segment::name(header.number))?;
    file.append(&header.encode())?;
    file.sync()?;
    disk.sync_folder(segment::FOLDER)?;
    Ok(file)
}

pub(crate) fn remove_if_there<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
