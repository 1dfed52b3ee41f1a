//! Commits what has gathered, in two steps, so that no lock is needed while the disk syncs.

use teatime_reflector::storage::Key;

use crate::Error;
use crate::config::{Config, Durability};
use crate::disk::disk::{Disk, DiskFile};
use crate::log::installed::Installed;
use crate::log::segment;
use crate::store::catalog::Catalog;
use crate::store::clean::Cleaning;
use crate::store::end::{LogEnd, Sync, Written, remove_segment};
use crate::store::era::Era;
use crate::store::pending::{Indices, Pending};
use crate::store::survey::Survey;
use crate::store::trash::Trash;

/// What a store has on its disk, what has gathered, and how the one becomes the other.
pub(crate) struct Commits<D: Disk> {
    disk: D,
    config: Config,
    era: Era<D>,
    catalog: Catalog,
    pending: Pending,
    end: LogEnd<D>,
    cleaning: Cleaning<D>,
    trash: Trash,
    /// Another thread deletes what is in the trash.
    leaves_trash: bool,
    /// A commit was started and not finished.
    is_open: bool,
}

/// A commit that is written, and perhaps still to be synced.
pub(crate) struct OpenCommit<F> {
    written: Option<Written>,
    sync: Option<Sync<F>>,
}

impl<F: DiskFile> OpenCommit<F> {
    /// Makes what was written durable, if it must be. Needs no store.
    pub(crate) fn sync(self) -> Self {
        Self { written: self.written, sync: self.sync.map(Sync::run) }
    }
}

impl<D: Disk> Commits<D> {
    /// `file` is the newest segment.
    pub(crate) fn new(
        disk: D,
        config: Config,
        survey: Survey,
        file: D::File,
    ) -> Result<Self, Error> {
        let Survey { id, catalog, newest, end, .. } = survey;
        let salt = id.salt();
        let mut cleaning = Cleaning::new(disk.clone(), salt, config.garbage_percent);
        cleaning.restart(catalog.segments().first());
        Ok(Self {
            era: Era::read(disk.clone(), salt)?,
            pending: Pending::new(salt, catalog.next_index()),
            end: LogEnd::new(disk.clone(), id, newest, file, end),
            disk,
            config,
            catalog,
            cleaning,
            trash: Trash::default(),
            leaves_trash: false,
            is_open: false,
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What has gathered, to add to it, and the catalog.
    pub(crate) fn pending(&mut self) -> Result<(&mut Pending, &Catalog), Error> {
        self.mend()?;
        Ok((&mut self.pending, &self.catalog))
    }

    /// Time has passed. Returns which sessions need a new entry of their checkpoint, and what it says.
    pub(crate) fn age_histories(&mut self, seconds: u64) -> Vec<(Key, Installed)> {
        self.catalog.pass_time(seconds)
    }

    pub(crate) fn indices(&self) -> &Indices {
        self.pending.indices()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.config.durability
    }

    /// The number of the newest segment.
    pub(crate) fn newest_segment(&self) -> u64 {
        self.end.number()
    }

    /// Writes everything that has gathered, but for the sync. Until
    /// [`finish`](Self::finish), the store may only be read.
    pub(crate) fn start(&mut self) -> Result<OpenCommit<D::File>, Error> {
        let written = self.mend().and_then(|()| self.write());
        written.or_else(|error| self.give_up(error))
    }

    fn write(&mut self) -> Result<OpenCommit<D::File>, Error> {
        self.cleaning.step(&self.catalog, &mut self.pending, self.end.number())?;
        if self.pending.is_empty() {
            return Ok(OpenCommit { written: None, sync: None });
        }
        self.era.note_writing(self.config.durability)?;
        if self.end.is_full_for(self.pending.length(), self.config.segment_bytes) {
            let (first, next) = (self.catalog.segments().first(), self.catalog.next_index());
            let (number, length) = self.end.roll(first, next)?;
            self.catalog.segments_mut().set_length(number, length);
        }
        self.is_open = true;
        let bytes = self.pending.seal(self.end.number(), self.end.length());
        let written = Some(self.end.write(bytes)?);
        let must_sync = self.pending.must_sync() || self.config.durability == Durability::Power;
        let sync = if must_sync { Some(self.end.start_sync()?) } else { None };
        Ok(OpenCommit { written, sync })
    }

    /// Makes a commit count, or forgets it if it could not be synced.
    pub(crate) fn finish(&mut self, open: OpenCommit<D::File>) -> Result<(), Error> {
        let OpenCommit { written, sync } = open;
        let synced = sync.map_or(Ok(()), |sync| self.end.synced(sync));
        if let Err(error) = synced {
            return self.give_up(error.into());
        }
        self.is_open = false;
        if let Some(written) = written {
            self.end.commit(&written);
            self.catalog.segments_mut().set_length(written.segment, self.end.length());
            self.pending.adopt(&mut self.catalog, written.segment, written.offset);
        }
        self.tidy();
        Ok(())
    }

    /// Forgets what has gathered, and mends the log.
    pub(crate) fn give_up<T>(&mut self, error: Error) -> Result<T, Error> {
        self.forget();
        if let Err(why) = self.mend() {
            tracing::error!(%why, "the store refuses everything until it can mend its log");
        }
        Err(error)
    }

    /// Forgets what has gathered.
    pub(crate) fn forget(&mut self) {
        self.is_open = false;
        self.trash.add_unsure(self.pending.take_staged());
        self.pending.clear();
        // What was to be carried forward must be carried again.
        self.cleaning.restart(self.catalog.segments().first());
    }

    /// Removes what a failure may have left in the log.
    pub(crate) fn mend(&mut self) -> Result<(), Error> {
        if self.is_open {
            // A thread panicked while it synced.
            self.forget();
        }
        self.end.mend()?;
        self.trash.settle();
        Ok(())
    }

    /// Deletes what no longer counts. What cannot be deleted now is deleted later.
    fn tidy(&mut self) {
        let doomed = self.catalog.take_doomed();
        self.trash.add(doomed);
        if !self.leaves_trash {
            self.trash.delete(&self.disk);
        }
        while let Some(number) = self.catalog.segments().obsolete() {
            let file = segment::name(number);
            if let Err(why) = remove_segment(&self.disk, &file) {
                tracing::warn!(file, %why, "an obsolete segment could not be deleted");
                break;
            }
            self.catalog.segments_mut().forget_oldest();
        }
    }

    /// Whether a commit of this many bytes waits for the disk, with durability
    /// [`Process`](Durability::Process).
    pub(crate) fn would_wait(&self, bytes: usize) -> bool {
        self.config.durability == Durability::Power
            || self.end.is_wounded()
            || self.end.is_full_for(bytes, self.config.segment_bytes)
            || !self.era.is_noted(self.config.durability)
            || self.cleaning.deletable(&self.catalog, self.end.number()) > 0
    }

    /// From now on another thread empties the trash.
    pub(crate) fn leave_trash(&mut self) {
        self.leaves_trash = true;
    }

    pub(crate) fn trash(&mut self) -> &mut Trash {
        &mut self.trash
    }

    pub(crate) fn era(&self) -> u64 {
        self.era.number()
    }

    /// Begins a new era.
    pub(crate) fn begin_era(&mut self) -> Result<(), Error> {
        self.era.renew()?;
        self.era.note_writing(self.config.durability)
    }

    /// Makes everything durable, and notes that.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.mend()?;
        self.end.sync()?;
        self.era.note_durable()
    }
}
