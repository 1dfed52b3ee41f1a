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

/// Where a checkpoint belongs.
#[derive(Debug)]
enum Place {
    /// To the session of this number.
    In(u64),
    /// To one that begins with it, with this head.
    New(Vec<u8>),
}

/// A checkpoint that is still to be written: by any thread, while the store goes on. It keeps the
/// store locked.
pub struct Staging {
    session: SessionId,
    place: Place,
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
    place: Place,
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
        let Self { session, place, index, seq, bytes, write } = self;
        let file = CheckpointFile::new(index, seq, &bytes);
        let written = write(&file, &session, &bytes);
        Staged { session, place, file, written }
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
        Ok(self.staging(id, Place::In(number), seq, bytes))
    }

    /// The same for a session that perhaps is not there yet: then it begins when its checkpoint counts.
    pub(crate) fn stage_whole(
        &mut self,
        id: &SessionId,
        head: &[u8],
        seq: u64,
        bytes: Vec<u8>,
    ) -> Result<Staging, Error> {
        self.heal()?;
        if self.tentative(id).is_ok() {
            return self.stage_checkpoint(id, seq, bytes);
        }
        at_most(head.len(), limits::MAX_HEAD)?;
        at_most(bytes.len(), limits::MAX_CHECKPOINT)?;
        Ok(self.staging(id, Place::New(head.to_vec()), seq, bytes))
    }

    fn staging(&mut self, id: &SessionId, place: Place, seq: u64, bytes: Vec<u8>) -> Staging {
        let index = self.pending.next_index();
        let disk = self.disk.clone();
        let write = Box::new(move |file: &CheckpointFile, id: &SessionId, bytes: &[u8]| {
            file.write(&disk, id, bytes)
        });
        Staging { session: *id, place, index, seq, bytes, write }
    }

    pub(crate) fn install_checkpoint(&mut self, staged: Staged) -> Result<(), Error> {
        let Staged { session, place, file, written } = staged;
        let number = match self.may_install(&session, &place, &file, written) {
            Ok(number) => number,
            Err(error) => {
                self.trash.push(file.name(&session));
                return Err(error);
            }
        };
        self.pending.staged.push(file.name(&session));
        let gathered = self.gather_checkpoint(&session, number, &file);
        gathered.or_else(|error| self.give_up(error))?;
        self.commit_pending()
    }

    /// The number of the session to which it is added.
    fn may_install(
        &mut self,
        id: &SessionId,
        place: &Place,
        file: &CheckpointFile,
        written: io::Result<()>,
    ) -> Result<u64, Error> {
        written?;
        self.heal()?;
        let there = self.tentative(id).map(|session| session.number);
        let number = match (place, there) {
            (Place::In(number), Ok(there)) if *number == there => there,
            (Place::In(_), _) => return Err(Error::UnknownSession),
            (Place::New(_), Ok(_)) => return Err(Error::SessionExists),
            (Place::New(head), Err(_)) => {
                self.pending.begin(id, head)?;
                return Ok(self.tentative(id)?.number);
            }
        };
        match self.checkpoint_of(number) {
            Some(before) if before.index > file.index => {
                Err(Error::OutOfOrder { seq: file.seq, newest: before.seq })
            }
            _ => Ok(number),
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
