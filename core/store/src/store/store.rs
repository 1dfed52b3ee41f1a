//! A store on any disk.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use teatime_reflector::storage::{
    Append, Checkpoint, Claims, Key, Previous, Record, RecordKind, RoomId, Stored,
};

use crate::config::{Config, Durability};
use crate::disk::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::real::RealDisk;
use crate::limits::at_most;
use crate::log::checkpoint::CheckpointFile;
use crate::log::checksum::Salt;
use crate::log::installed::Installed;
use crate::log::segment;
use crate::store::catalog::{Catalog, Stats};
use crate::store::commit::{Commits, OpenCommit};
use crate::store::history::previous_of;
use crate::store::item::Info;
use crate::store::open::prepare;
use crate::store::pending::{Indices, Pending};
use crate::store::read::Plan;
use crate::store::retain::{Decision, Retention};
use crate::store::staging::{Staged, Staging};
use crate::store::trash::Trash;
use crate::{Error, limits};

/// A store in a directory.
///
/// It has at most three files open, and a fourth and a folder during a call.
pub type DiskStore = Store<RealDisk>;

/// A store in memory. Tests make its [`MemoryDisk`] fail.
pub type MemoryStore = Store<MemoryDisk>;

/// A store on any disk, used by one thread at a time; the crate's documentation describes it.
///
/// `begin`, `append` and `remove` only gather changes; [`commit`](Self::commit) writes them. If a
/// method that writes fails, everything that has gathered since the last commit is forgotten, and
/// the caller must hand it in again. The store removes what it may have written of it before it
/// takes more; until it can, it refuses everything with the error that stops it. Reading shows what
/// is committed, not what has gathered. What has gathered when the store is dropped is lost.
pub struct Store<D: Disk> {
    disk: D,
    salt: Salt,
    commits: Commits<D>,
    unused_for: Option<u64>,
}

impl<D: Disk> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store<RealDisk> {
    /// Opens the store in this directory: [`open`](Self::open) on a [`RealDisk`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_dir(dir: impl Into<PathBuf>, config: Config) -> Result<Self, Error> {
        Self::open(RealDisk::new(dir), config)
    }
}

impl<D: Disk> Store<D> {
    /// Opens the store on this disk, or makes one if there is none. Reads the whole log, cuts off
    /// what a crash has torn, and deletes what no longer counts. The content of a checkpoint is
    /// read and verified when its session or room is loaded.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::OtherFormat`], [`Error::Corrupt`], and what the disk reports. The
    /// store has not changed then.
    pub fn open(mut disk: D, config: Config) -> Result<Self, Error> {
        // Before it changes anything.
        let unused_for = disk.unchanged_for(segment::FOLDER).map(micros);
        let (survey, file) = prepare(&mut disk)?;
        let salt = survey.id.salt();
        let commits = Commits::new(disk.clone(), config, survey, file)?;
        Ok(Self { disk, salt, commits, unused_for })
    }

    /// Begins a session or room with this head.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::TooLarge`].
    pub fn begin(&mut self, key: Key, head: &[u8]) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        at_most(head.len(), limits::MAX_HEAD)?;
        match pending.find(catalog, key) {
            Ok(_) => Err(Error::Exists),
            Err(_) => pending.begin(key, head),
        }
    }

    /// Adds a record. `seq` never decreases; a record without a sequence number of its own has the
    /// newest one.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::OutOfOrder`], [`Error::TooLarge`].
    pub fn append(
        &mut self,
        key: Key,
        seq: u64,
        kind: RecordKind,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        pending.append(catalog, key, seq, kind as u8, bytes)
    }

    /// Adds everything that happened in a session, or nothing of it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin) and [`append`](Self::append). What gathered before stays.
    pub(crate) fn gather(&mut self, append: &Append) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        let mark = pending.mark(Key::Session(append.session));
        let gathered = gather_all(pending, catalog, append);
        if gathered.is_err() {
            pending.take_back(mark);
        }
        gathered
    }

    /// Replaces the checkpoint, and every record so far whose sequence number is at most `seq`.
    /// Commits everything that has gathered, durably on the disk whatever the
    /// [`Durability`](crate::Durability). Takes as long as the disk needs for this many bytes.
    ///
    /// # Errors
    /// As [`append`](Self::append) and [`commit`](Self::commit). [`Error::OutOfOrder`] if the
    /// checkpoint before is newer. If a limit refuses it, what has gathered stays.
    pub fn checkpoint(&mut self, key: Key, seq: u64, bytes: &[u8]) -> Result<(), Error> {
        self.checkpoint_after(key, seq, bytes, None)
    }

    /// The same, but what it replaces is retained, so that [`go_back`](Self::go_back) can undo this: back to the checkpoint
    /// with the sequence number `previous`, or to the beginning with 0. That is the newest one, or the one to which the
    /// session could go back before; if the store has neither, it is the older one.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_after(
        &mut self,
        key: Key,
        seq: u64,
        bytes: &[u8],
        previous: Option<u64>,
    ) -> Result<(), Error> {
        let staged = self.stage(key, seq, bytes.to_vec())?.write();
        match staged.written {
            Ok(()) => self.install_after(staged, previous),
            Err(error) => self.commits.give_up(error.into()),
        }
    }

    /// The same in three steps, so that the store does not wait for the disk: this one, then
    /// [`Staging::write`] on another thread, then [`install`](Self::install). Records that are
    /// appended after this call stay, whatever their sequence number. The first checkpoint of a room
    /// begins it.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint). What has gathered stays.
    pub fn stage(&mut self, key: Key, seq: u64, bytes: Vec<u8>) -> Result<Staging<D>, Error> {
        let index = self.indices().draw();
        let file = CheckpointFile::new(index, seq, &[]);
        at_most(bytes.len(), limits::MAX_CHECKPOINT)?;
        self.may_install(key, &file)?;
        Ok(Staging::new(self.disk.clone(), key, index, seq, bytes.into()))
    }

    /// Makes a checkpoint count whose file was written beside the store, and commits everything
    /// that has gathered. What it replaces is not retained.
    ///
    /// # Errors
    /// Why its file could not be written, [`Error::Unknown`] if its session was removed, and
    /// [`Error::OutOfOrder`] if a later checkpoint was installed before: what has gathered stays.
    /// As [`commit`](Self::commit).
    pub fn install(&mut self, staged: Staged) -> Result<(), Error> {
        self.install_after(staged, None)
    }

    fn install_after(&mut self, staged: Staged, previous: Option<u64>) -> Result<(), Error> {
        let open = self.start_install(staged, previous)?;
        self.finish_commit(open.sync())
    }

    /// Starts the commit that makes a checkpoint count.
    pub(crate) fn start_install(
        &mut self,
        staged: Staged,
        previous: Option<u64>,
    ) -> Result<OpenCommit<D::File>, Error> {
        let Staged { key, file, written } = staged;
        let may_install = written.map_err(Error::from).and_then(|()| self.may_install(key, &file));
        if let Err(error) = may_install {
            self.trash().add(vec![file.path(key)]);
            return Err(error);
        }
        let item = self.commits.catalog().find(key).map(|(_, item)| item);
        let previous = previous.map(|seq| item.map_or(0, |item| previous_of(item, seq)));
        if let Err(error) = self.gather_checkpoint(key, &file, previous) {
            self.trash().add_unsure(vec![file.path(key)]);
            return self.commits.give_up(error);
        }
        self.commits.start()
    }

    /// Adds the entry of a checkpoint, and begins the room if it is its first.
    fn gather_checkpoint(
        &mut self,
        key: Key,
        file: &CheckpointFile,
        previous: Option<u64>,
    ) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        if matches!(key, Key::Room(_)) && pending.find(catalog, key).is_err() {
            pending.begin(key, &[])?;
        }
        pending.checkpoint(catalog, key, file, previous)
    }

    /// Refuses a checkpoint of a session that was removed, and one that a later one has made needless.
    fn may_install(&mut self, key: Key, file: &CheckpointFile) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        let number = match (pending.find(catalog, key), key) {
            (Ok(there), _) => there.number,
            (Err(_), Key::Room(_)) => return Ok(()),
            (Err(error), Key::Session(_)) => return Err(error),
        };
        // It was staged before this session began: it belongs to one that was removed.
        if number > file.index() && matches!(key, Key::Session(_)) {
            return Err(Error::Unknown);
        }
        match catalog.item(number).and_then(|item| item.checkpoint()) {
            Some(before) if before.index() > file.index() || before.seq() > file.seq() => {
                Err(Error::OutOfOrder { seq: file.seq(), newest: before.seq() })
            }
            _ => Ok(()),
        }
    }

    /// Adds a whole session or room with one commit.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), [`checkpoint`](Self::checkpoint) and [`commit`](Self::commit).
    pub(crate) fn insert(&mut self, key: Key, stored: &Stored) -> Result<(), Error> {
        self.begin(key, &stored.head)?;
        let mut previous = None;
        if let Some(Previous { checkpoint, records }) = &stored.previous {
            previous = Some(self.insert_checkpoint(key, checkpoint.as_ref(), None)?);
            self.insert_records(key, records)?;
        }
        self.insert_checkpoint(key, stored.checkpoint.as_ref(), previous)?;
        self.insert_records(key, &stored.records)?;
        self.commit()
    }

    /// Returns the index of its file, or 0 without one.
    fn insert_checkpoint(
        &mut self,
        key: Key,
        checkpoint: Option<&Checkpoint>,
        previous: Option<u64>,
    ) -> Result<u64, Error> {
        let Some(Checkpoint { seq, bytes }) = checkpoint else { return Ok(0) };
        let staged = self.stage(key, *seq, bytes.to_vec())?.write();
        let written = staged.written.map_err(Error::from);
        let added = written.and_then(|()| self.gather_checkpoint(key, &staged.file, previous));
        added.or_else(|error| self.commits.give_up(error))?;
        Ok(staged.file.index())
    }

    fn insert_records(&mut self, key: Key, records: &[Record]) -> Result<(), Error> {
        for record in records {
            self.append(key, record.seq, record.kind, &record.bytes)?;
        }
        Ok(())
    }

    /// Removes a session or room.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn remove(&mut self, key: Key) -> Result<(), Error> {
        let (pending, catalog) = self.commits.pending()?;
        pending.remove(catalog, key)
    }

    /// Writes everything that has gathered, all or nothing.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Permission`], [`Error::Io`].
    pub fn commit(&mut self) -> Result<(), Error> {
        let open = self.commits.start()?;
        self.finish_commit(open.sync())
    }

    /// Writes everything that has gathered, but for the sync. Until
    /// [`finish_commit`](Self::finish_commit), the store may only be read.
    pub(crate) fn start_commit(&mut self) -> Result<OpenCommit<D::File>, Error> {
        self.commits.start()
    }

    /// Makes a commit count, or forgets it if it could not be synced.
    pub(crate) fn finish_commit(&mut self, open: OpenCommit<D::File>) -> Result<(), Error> {
        self.commits.finish(open)
    }

    /// Forgets what has gathered.
    pub(crate) fn forget(&mut self) {
        self.commits.forget();
    }

    /// Whether a commit of this many bytes would wait for the disk.
    pub(crate) fn would_wait(&self, bytes: usize) -> bool {
        self.commits.would_wait(bytes)
    }

    /// From now on another thread empties the trash.
    pub(crate) fn leave_trash(&mut self) {
        self.commits.leave_trash();
    }

    pub(crate) fn trash(&mut self) -> &mut Trash {
        self.commits.trash()
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn salt(&self) -> Salt {
        self.salt
    }

    pub(crate) fn durability(&self) -> Durability {
        self.commits.durability()
    }

    /// The number of the newest segment.
    pub(crate) fn newest_segment(&self) -> u64 {
        self.commits.newest_segment()
    }

    pub(crate) fn indices(&self) -> &Indices {
        self.commits.indices()
    }

    /// All sessions and rooms, in any order.
    pub fn infos(&self) -> Vec<Info> {
        self.commits.catalog().infos()
    }

    /// What has gathered, to add to it, and the catalog.
    pub(super) fn pending(&mut self) -> Result<(&mut Pending, &Catalog), Error> {
        self.commits.pending()
    }

    pub(super) fn age_histories(&mut self, seconds: u64) -> Vec<(Key, Installed)> {
        self.commits.age_histories(seconds)
    }

    /// Everything of one session or room; `None` if the store does not have it. Checkpoint and
    /// records are verified as they are read.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and what the disk reports.
    pub fn load(&self, key: Key) -> Result<Option<Stored>, Error> {
        self.plan(key).map(|plan| plan.read_usable(&self.disk, self.salt)).transpose()
    }

    /// Whether the store has this session or room.
    pub fn has(&self, key: Key) -> bool {
        self.commits.catalog().find(key).is_some()
    }

    /// Where everything of a key is.
    pub(crate) fn plan(&self, key: Key) -> Option<Plan> {
        Plan::new(self.commits.catalog(), key)
    }

    /// Which rooms of the name of this one have something to lose.
    pub fn claims(&self, room: RoomId) -> Claims {
        self.commits.catalog().claims(room)
    }

    /// Removes the sessions and rooms that are unused and expired under this policy, the least
    /// recently used first, and commits. `now` is in seconds since 1970. To be called every few
    /// minutes: a key counts as used whenever `in_use` returns true for it. Returns what was
    /// removed: at most [`REMOVED_AT_ONCE`](limits::REMOVED_AT_ONCE), so a caller that gets
    /// that many calls again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn retain(
        &mut self,
        policy: &Retention,
        in_use: &dyn Fn(&Key) -> bool,
        now: u64,
    ) -> Result<Vec<Key>, Error> {
        let infos = self.infos();
        let (pending, catalog) = self.commits.pending()?;
        let Decision { touched, removed, now } = policy.decide(infos, in_use, now);
        for key in touched {
            if let Ok(tentative) = pending.find(catalog, key) {
                let number = tentative.number;
                pending.touch(number, now)?;
            }
        }
        for key in &removed {
            tracing::info!(%key, "removing an unused session or room");
        }
        removed.iter().try_for_each(|key| pending.remove(catalog, *key))?;
        self.commit()?;
        Ok(removed)
    }

    /// How much there is.
    pub fn stats(&self) -> Stats {
        self.commits.catalog().stats()
    }

    /// How long before it was opened the log was written last, in µs by the machine's clock. `None` if there was no log
    /// yet, or if the disk does not know.
    pub fn unused_for(&self) -> Option<u64> {
        self.unused_for
    }

    /// A number that changes whenever committed writes may be missing: after a power cut, unless the
    /// [`Durability`](crate::Durability) was `Power` or the store was [closed](Self::close), and after
    /// [`import`](../fn.import.html). After restoring a backup, delete the file `ERA`, to the same end.
    pub fn era(&self) -> u64 {
        self.commits.era()
    }

    /// Begins a new era.
    pub(crate) fn begin_era(&mut self) -> Result<(), Error> {
        self.commits.begin_era()
    }

    /// Makes everything durable, and notes that. Call it last.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn close(&mut self) -> Result<(), Error> {
        self.commits.close()
    }
}

fn gather_all(pending: &mut Pending, catalog: &Catalog, append: &Append) -> Result<(), Error> {
    let key = Key::Session(append.session);
    if let Some(head) = &append.begin {
        match pending.remove(catalog, key) {
            Ok(()) | Err(Error::Unknown) => {}
            Err(error) => return Err(error),
        }
        pending.begin(key, head)?;
    }
    for record in &append.records {
        pending.append(catalog, key, record.seq, record.kind as u8, &record.bytes)?;
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
