//! Files of checkpoints that are to be deleted.

use crate::disk::disk::{Disk, remove_if_there};
use crate::log::checkpoint;

/// Files of checkpoints that no longer count.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    /// To be deleted at any time.
    files: Vec<String>,
    /// Their commit failed. The log may still name them until it has been mended.
    unsure: Vec<String>,
}

impl Trash {
    /// These can be deleted.
    pub(crate) fn add(&mut self, mut files: Vec<String>) {
        self.files.append(&mut files);
    }

    /// These can be deleted once the log has been mended.
    pub(crate) fn add_unsure(&mut self, mut files: Vec<String>) {
        self.unsure.append(&mut files);
    }

    /// The log has been mended: it names none of the unsure files.
    pub(crate) fn settle(&mut self) {
        self.files.append(&mut self.unsure);
    }

    /// Takes out what can be deleted, for deletion by another thread.
    pub(crate) fn take(&mut self) -> Self {
        Self { files: std::mem::take(&mut self.files), unsure: Vec::new() }
    }

    /// Deletes the files; those that cannot be deleted stay here.
    pub(crate) fn delete<D: Disk>(&mut self, disk: &D) {
        let before = self.files.len();
        self.files.retain(|path| match remove_if_there(disk, path) {
            Ok(()) => false,
            Err(why) => {
                tracing::warn!(path, %why, "an obsolete checkpoint could not be deleted");
                true
            }
        });
        if self.files.len() < before
            && let Err(why) = disk.sync_folder(checkpoint::FOLDER)
        {
            tracing::warn!(%why, "deletions of checkpoints could not be made durable");
        }
    }

    /// Puts back what another thread could not delete.
    pub(crate) fn put_back(&mut self, rest: Self) {
        self.add(rest.files);
    }
}
