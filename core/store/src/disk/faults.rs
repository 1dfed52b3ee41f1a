//! The faults of a disk in memory: which changes fail, and how.

use std::io;

/// Which changes fail, and how.
#[derive(Debug, Default)]
pub(super) struct Faults {
    capacity: Option<u64>,
    is_read_only: bool,
    fails_write: bool,
    tears_write: Option<usize>,
    fails_sync: bool,
    changes_left: Option<u64>,
    is_dead: bool,
    changes: u64,
    syncs: u64,
}

impl Faults {
    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    pub(super) fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    pub(super) fn set_read_only(&mut self, read_only: bool) {
        self.is_read_only = read_only;
    }

    pub(super) fn fail_next_write(&mut self) {
        self.fails_write = true;
    }

    pub(super) fn tear_next_write(&mut self, bytes: usize) {
        self.tears_write = Some(bytes);
    }

    pub(super) fn fail_next_sync(&mut self) {
        self.fails_sync = true;
    }

    pub(super) fn die_after(&mut self, changes: u64) {
        self.changes_left = Some(changes);
    }

    /// How many changes and syncs were tried.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// How many syncs of files were tried.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// To be called before each change. Counts it, or fails it.
    pub(super) fn change(&mut self) -> io::Result<()> {
        if self.is_dead {
            return Err(failure("the process has ended"));
        }
        if self.is_read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.changes += 1;
        match &mut self.changes_left {
            Some(0) => {
                self.is_dead = true;
                Err(failure("the process has ended"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// To be called before each sync of a file.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.change()?;
        self.syncs += 1;
        if std::mem::take(&mut self.fails_sync) { Err(failure("a sync failed")) } else { Ok(()) }
    }

    /// How many bytes of a write reach the disk, which has this many in use, and the result of the write.
    pub(super) fn write(&mut self, length: usize, used: u64) -> (usize, io::Result<()>) {
        let was_alive = !self.is_dead;
        let changed = self.change();
        // A process that ends during a write leaves a part of it.
        let ends_here = was_alive && self.is_dead;
        let space = self.capacity.map_or(u64::MAX, |all| all.saturating_sub(used));
        let fits = usize::try_from(space).unwrap_or(usize::MAX).min(length);
        let tear = self.tears_write.take();
        match (changed, tear) {
            (Err(error), _) if ends_here => (length / 2, Err(error)),
            (Err(error), _) => (0, Err(error)),
            _ if std::mem::take(&mut self.fails_write) => (0, Err(failure("a write failed"))),
            (_, Some(tear)) => (tear.min(length), Err(failure("a write was torn"))),
            _ if fits < length => (fits, Err(io::ErrorKind::StorageFull.into())),
            _ => (fits, Ok(())),
        }
    }
}

fn failure(what: &'static str) -> io::Error {
    io::Error::other(what)
}
