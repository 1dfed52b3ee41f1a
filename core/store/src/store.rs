//! A store over any disk.

use crate::catalog::Catalog;
use crate::checkpoint::CheckpointFile;
use crate::checksum::Salt;
use crate::clean::Cleaning;
use crate::config::Config;
use crate::disk::Disk;
use crate::entry::{Entry, What};
use crate::era::Era;
use crate::format::StoreId;
use crate::memory::MemoryDisk;
use crate::pending::{Pending, at_most, fits_record};
use crate::real::RealDisk;
use crate::retain::Retention;
use crate::staging::{Staged, Staging};
use crate::storage::{SessionId, SessionInfo, Stats, Storage, Stored};
use crate::{Error, limits};

/// A store in a directory.
///
/// It holds three files open, and a fourth and a folder for the time of a call.
pub type DiskStore = Store<RealDisk>;

/// A store in memory, which fails when its [`MemoryDisk`] is told to.
pub type MemoryStore = Store<MemoryDisk>;

/// A store over any disk. Everything is as the crate's documentation says; what is not committed
/// when it is dropped is gone.
pub struct Store<D: Disk> {
    pub(crate) disk: D,
    pub(crate) config: Config,
    /// The start of the system in which it was opened.
    pub(crate) boot: Option<String>,
    pub(crate) era: Era,
    pub(crate) id: StoreId,
    pub(crate) salt: Salt,
    pub(crate) catalog: Catalog,
    pub(crate) pending: Pending,
    pub(crate) active: Active<D::File>,
    pub(crate) cleaning: Cleaning<D::File>,
    pub(crate) wound: Wound,
    /// Files to delete once nothing can need them.
    pub(crate) trash: Vec<String>,
    /// They are not deleted here: that takes long.
    pub(crate) others_delete: bool,
}

/// The newest segment.
pub(crate) struct Active<F> {
    pub(crate) number: u64,
    pub(crate) file: F,
    /// Up to where everything is committed.
    pub(crate) length: u64,
}

/// What a failure has left behind.
#[derive(Debug, Default)]
pub(crate) struct Wound {
    /// There may be something behind the end of the newest segment.
    pub(crate) tail: bool,
    /// A segment that was to be the next.
    pub(crate) stray: Option<String>,
    /// Making the newest segment durable failed: nothing more is written to it.
    pub(crate) distrusted: bool,
    /// Files of checkpoints that do not count. Not to be deleted before the log is whole.
    pub(crate) staged: Vec<String>,
}

impl<D: Disk> Store<D> {
    /// Puts a checkpoint's file in place, and gathers its entry.
    pub(crate) fn stage_now(
        &mut self,
        id: &SessionId,
        seq: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let number = self.tentative(id)?.number;
        let file = CheckpointFile::new(self.pending.next_index(), seq, bytes);
        let name = file.name(id);
        self.pending.staged.push(name);
        file.write(&self.disk, id, bytes)?;
        self.gather_checkpoint(id, number, &file)
    }

    pub(crate) fn tentative(
        &mut self,
        id: &SessionId,
    ) -> Result<&mut crate::pending::Tentative, Error> {
        self.pending.find(&self.catalog, id).ok_or(Error::UnknownSession)
    }

    /// Whether a checkpoint may have this sequence number.
    pub(crate) fn checkpoint_follows(&mut self, id: &SessionId, seq: u64) -> Result<(), Error> {
        let number = self.tentative(id)?.number;
        match self.checkpoint_of(number) {
            Some(before) if seq < before.seq => Err(Error::OutOfOrder { seq, newest: before.seq }),
            _ => Ok(()),
        }
    }

    /// By number: a session that is to be removed may have a successor of its name.
    pub(crate) fn checkpoint_of(&self, number: u64) -> Option<&CheckpointFile> {
        self.catalog.sessions.get(&number)?.checkpoint_file()
    }
}

impl<D: Disk> Storage for Store<D> {
    fn begin(&mut self, session: &SessionId, head: &[u8]) -> Result<(), Error> {
        self.heal()?;
        at_most(head.len(), limits::MAX_HEAD)?;
        match self.tentative(session) {
            Ok(_) => Err(Error::SessionExists),
            Err(_) => self.pending.begin(session, head),
        }
    }

    fn append(
        &mut self,
        session: &SessionId,
        seq: u64,
        kind: u8,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.heal()?;
        fits_record(bytes)?;
        let tentative = *self.tentative(session)?;
        if seq < tentative.newest {
            return Err(Error::OutOfOrder { seq, newest: tentative.newest });
        }
        let index = self.pending.next_index();
        let entry = Entry::bare(What::Record, tentative.number, index, seq);
        self.pending.push(&Entry { kind, bytes, ..entry }, &[])?;
        self.tentative(session)?.newest = seq;
        Ok(())
    }

    fn checkpoint(&mut self, session: &SessionId, seq: u64, bytes: &[u8]) -> Result<(), Error> {
        self.heal()?;
        at_most(bytes.len(), limits::MAX_CHECKPOINT)?;
        self.checkpoint_follows(session, seq)?;
        let staged = self.stage_now(session, seq, bytes);
        staged.or_else(|error| self.give_up(error))?;
        self.commit()
    }

    fn stage(&mut self, session: &SessionId, seq: u64, bytes: Vec<u8>) -> Result<Staging, Error> {
        self.stage_checkpoint(session, seq, bytes)
    }

    fn install(&mut self, staged: Staged) -> Result<(), Error> {
        self.install_checkpoint(staged)
    }

    fn remove(&mut self, session: &SessionId) -> Result<(), Error> {
        self.heal()?;
        let number = self.tentative(session)?.number;
        self.pending.remove(session, number)
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.commit_pending()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.catalog.infos()
    }

    fn load(&self, session: &SessionId) -> Result<Option<Stored>, Error> {
        self.load_session(session)
    }

    fn retain(
        &mut self,
        policy: &Retention,
        in_use: &dyn Fn(&SessionId) -> bool,
        now: u64,
    ) -> Result<Vec<SessionId>, Error> {
        self.retain_sessions(policy, in_use, now)
    }

    fn stats(&self) -> Stats {
        let (log, live) = self.catalog.log_bytes();
        Stats {
            sessions: self.catalog.sessions.len(),
            segments: self.catalog.segments.len(),
            disk_bytes: log + self.catalog.checkpoint_bytes,
            live_bytes: live + self.catalog.checkpoint_bytes,
        }
    }
}
