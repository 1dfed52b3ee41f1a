//! A checkpoint on its way to the disk, beside the store.

use std::fmt;
use std::io;

use crate::checkpoint::CheckpointFile;
use crate::disk::Disk;
use crate::entry::{Entry, What};
use crate::pending::at_most;
use crate::storage::SessionId;
use crate::store::Store;
use crate::{Error, limits};

type Writer = dyn FnOnce(&CheckpointFile, &SessionId, &[u8]) -> io::Result<()> + Send;

/// A checkpoint that is still to be written: by any thread, while the store goes on. It keeps the
/// store locked.
pub struct Staging {
    session: SessionId,
    number: u64,
    index: u64,
    seq: u64,
    bytes: Vec<u8>,
    write: Box<Writer>,
}

/// A checkpoint whose bytes are on the disk, if all went well. It counts when
/// [`Storage::install`](crate::Storage::install) has said so.
#[derive(Debug)]
pub struct Staged {
    session: SessionId,
    number: u64,
    file: CheckpointFile,
    written: io::Result<()>,
}

impl Staging {
    /// Whose checkpoint it is.
    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    /// Writes the bytes, durably. Takes as long as the disk needs. What is never installed is
    /// deleted when the store is opened next.
    pub fn write(self) -> Staged {
        let Self { session, number, index, seq, bytes, write } = self;
        let file = CheckpointFile::new(index, seq, &bytes);
        let written = write(&file, &session, &bytes);
        Staged { session, number, file, written }
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, seq, bytes, .. } = self;
        let mut debug = f.debug_struct("Staging");
        debug.field("session", session).field("seq", seq).field("bytes", &bytes.len());
        debug.finish_non_exhaustive()
    }
}

impl<D: Disk> Store<D> {
    pub(crate) fn stage_checkpoint(
        &mut self,
        id: &SessionId,
        seq: u64,
        bytes: Vec<u8>,
    ) -> Result<Staging, Error> {
        self.heal()?;
        at_most(bytes.len(), limits::MAX_CHECKPOINT)?;
        self.checkpoint_follows(id, seq)?;
        let number = self.tentative(id)?.number;
        let index = self.pending.next_index();
        let disk = self.disk.clone();
        let write = Box::new(move |file: &CheckpointFile, id: &SessionId, bytes: &[u8]| {
            file.write(&disk, id, bytes)
        });
        Ok(Staging { session: *id, number, index, seq, bytes, write })
    }

    pub(crate) fn install_checkpoint(&mut self, staged: Staged) -> Result<(), Error> {
        let Staged { session, number, file, written } = staged;
        if let Err(error) = self.may_install(&session, number, &file, written) {
            self.trash.push(file.name(&session));
            return Err(error);
        }
        self.pending.staged.push(file.name(&session));
        let gathered = self.gather_checkpoint(&session, number, &file);
        gathered.or_else(|error| self.give_up(error))?;
        self.commit_pending()
    }

    fn may_install(
        &mut self,
        id: &SessionId,
        number: u64,
        file: &CheckpointFile,
        written: io::Result<()>,
    ) -> Result<(), Error> {
        written?;
        self.heal()?;
        if self.tentative(id)?.number != number {
            return Err(Error::UnknownSession);
        }
        match self.checkpoint_of(number) {
            Some(before) if before.index > file.index => {
                Err(Error::OutOfOrder { seq: file.seq, newest: before.seq })
            }
            _ => Ok(()),
        }
    }

    /// Gathers the entry of a checkpoint whose file is durable.
    pub(crate) fn gather_checkpoint(
        &mut self,
        id: &SessionId,
        number: u64,
        file: &CheckpointFile,
    ) -> Result<(), Error> {
        let entry = Entry::bare(What::Checkpoint, number, file.index, file.seq);
        self.pending.push(&Entry { bytes: &file.encode(), ..entry }, &[])?;
        let session = self.tentative(id)?;
        session.newest = session.newest.max(file.seq);
        self.pending.must_sync = true;
        Ok(())
    }
}
