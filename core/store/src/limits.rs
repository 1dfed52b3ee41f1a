//! Size limits, each with its reason.

use crate::Error;

/// Most bytes of a record: sixteen times the largest frame of an event, so that the store never
/// refuses one.
pub const MAX_RECORD: usize = 1024 * 1024;

/// Most bytes of a head: the persisted data that a session begins with, 1 MiB, and as much again.
/// The store copies a head whenever it cleans its segment.
pub const MAX_HEAD: usize = 2 * 1024 * 1024;

/// Most bytes of a checkpoint: the largest snapshot that a client may send, 256 MiB, and what is
/// stored about the views.
pub const MAX_CHECKPOINT: usize = 320 * 1024 * 1024;

/// Most bytes that one commit writes. Lengths in the log have 32 bits, and memory is finite.
pub const MAX_BATCH: usize = 1024 * 1024 * 1024;

/// Least bytes of the oldest segment that a commit reads when it cleans: about a tenth of a
/// millisecond.
pub(crate) const CLEAN_BYTES: usize = 256 * 1024;

/// Most bytes of the oldest segment that a commit reads, however large the commit is.
pub(crate) const MAX_CLEAN_BYTES: usize = 64 * 1024 * 1024;

/// Most segments that one commit deletes: each costs a system call.
pub(crate) const DROPPED_AT_ONCE: u64 = 4;

/// Most sessions and rooms that one call of [`retain`](crate::Store::retain) removes: each may have
/// a checkpoint, a file to delete.
pub const REMOVED_AT_ONCE: usize = 64;

/// A smaller share of garbage is never cleaned: headers alone are a few percent.
pub(crate) const MIN_GARBAGE_PERCENT: u8 = 10;

/// How many bytes are read at once when a session is loaded.
pub(crate) const READ_BYTES: u64 = 256 * 1024;

/// A gap of at most this many bytes between two records is read too, because that is faster than
/// a second system call.
pub(crate) const READ_GAP: u64 = 4096;

/// Refuses what is larger than a limit.
pub(crate) fn at_most(bytes: usize, most: usize) -> Result<(), Error> {
    if bytes > most { Err(Error::TooLarge { bytes, most }) } else { Ok(()) }
}
