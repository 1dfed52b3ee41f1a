//! The history that a checkpoint has replaced: how long it is retained, and how a session goes back to it.

use teatime_reflector::storage::Key;

use crate::Error;
use crate::disk::disk::Disk;
use crate::log::checkpoint::CheckpointFile;
use crate::log::installed::Installed;
use crate::store::commit::OpenCommit;
use crate::store::item::Item;
use crate::store::store::Store;

/// What is to become of the history before a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A client has loaded the checkpoint with this sequence number: the history is retained for this many seconds.
    Proven { seq: u64, retain: u64 },
    /// It takes the place of the checkpoint, back to the one with this sequence number.
    GoBack { to: u64 },
}

impl<D: Disk> Store<D> {
    /// Retains the history that the checkpoint with this sequence number has replaced for this many seconds, and commits.
    /// Only the time counts that [`pass_time`](Self::pass_time) hears of. Does nothing if there is none, or if that was
    /// said before.
    ///
    /// # Errors
    /// [`Error::Unknown`]; as [`commit`](Self::commit).
    pub fn prove(&mut self, key: Key, seq: u64, retain: u64) -> Result<(), Error> {
        self.change_history(key, Change::Proven { seq, retain })
    }

    /// Puts the history that the newest checkpoint has replaced in its place again, and commits: the checkpoint with the
    /// sequence number `to`, or the beginning with 0, and all records after it. Does nothing if that was done before.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::NoHistory`]; as [`commit`](Self::commit).
    pub fn go_back(&mut self, key: Key, to: u64) -> Result<(), Error> {
        self.change_history(key, Change::GoBack { to })
    }

    fn change_history(&mut self, key: Key, change: Change) -> Result<(), Error> {
        let open = self.start_change(key, change)?;
        self.finish_commit(open.sync())
    }

    /// Starts the commit that changes the history of a session.
    pub(crate) fn start_change(
        &mut self,
        key: Key,
        change: Change,
    ) -> Result<OpenCommit<D::File>, Error> {
        let (pending, catalog) = self.pending()?;
        let number = pending.find(catalog, key)?.number;
        // A session that the next commit begins has no checkpoint yet.
        let item = catalog.item(number);
        if let Some(installed) = item.map_or(Ok(None), |item| changed(item, change))? {
            pending.install(catalog, key, &installed)?;
        }
        self.start_commit()
    }

    /// The store was open for this many seconds more: drops the histories whose time is over, and commits. To be called
    /// every few minutes.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn pass_time(&mut self, seconds: u64) -> Result<(), Error> {
        let changed = self.age_histories(seconds);
        let (pending, catalog) = self.pending()?;
        for (key, installed) in changed {
            pending.install(catalog, key, &installed)?;
        }
        self.commit()
    }
}

/// What the entry of the checkpoint must say after this change. `None` if it says so already.
fn changed(item: &Item, change: Change) -> Result<Option<Installed>, Error> {
    let newest = item.checkpoint().map_or(0, CheckpointFile::seq);
    match change {
        Change::Proven { seq, retain } => Ok(item
            .installed()
            .filter(|one| seq == newest && one.previous().is_some() && one.left().is_none())
            .map(|installed| installed.proven(retain))),
        Change::GoBack { to } => match item.previous() {
            Some((file, _)) if file.map_or(0, CheckpointFile::seq) == to => {
                Ok(Some(Installed::alone(file.cloned())))
            }
            _ if to == newest => Ok(None),
            _ => Err(Error::NoHistory),
        },
    }
}

/// The file to which the history before a new checkpoint goes back, if it shall go back to the checkpoint with this
/// sequence number: the newest one, or the one that this has replaced.
pub(crate) fn previous_of(item: &Item, seq: u64) -> u64 {
    let newest = item.checkpoint();
    let older = item.installed().and_then(Installed::previous);
    match older {
        Some(older) if newest.map_or(0, CheckpointFile::seq) != seq => older,
        _ => newest.map_or(0, CheckpointFile::index),
    }
}
