//! Sizes that are refused, each with its why.

/// Most bytes of a record: sixteen times the largest frame of an event, so that it is never the
/// store that says no.
pub const MAX_RECORD: usize = 1024 * 1024;

/// Most bytes of a head: what an app has persisted and a session begins with, 1 MiB, and as much again. It is copied whenever
/// its segment is cleaned.
pub const MAX_HEAD: usize = 2 * 1024 * 1024;

/// Most bytes of a checkpoint: the largest snapshot that a client may send, 256 MiB, and what is stored
/// of the views besides.
pub const MAX_CHECKPOINT: usize = 320 * 1024 * 1024;

/// Most bytes that one commit writes. Lengths in the log have 32 bits, and memory has an end.
pub const MAX_BATCH: usize = 1024 * 1024 * 1024;

/// Least bytes of the oldest segment that a commit looks at when it cleans: about a tenth of a
/// millisecond.
pub(crate) const CLEAN_BYTES: usize = 256 * 1024;

/// Most bytes of it, however large the commit is.
pub(crate) const MAX_CLEAN_BYTES: usize = 64 * 1024 * 1024;

/// Most segments that one commit deletes: each costs a system call.
pub(crate) const DROPPED_AT_ONCE: u64 = 4;

/// Most sessions that one call of [`retain`](crate::Storage::retain) removes: each may have a
/// checkpoint, a file to delete.
pub const REMOVED_AT_ONCE: usize = 64;

/// A smaller share of garbage is never chased: headers alone are a few percent.
pub(crate) const MIN_GARBAGE_PERCENT: u8 = 10;

/// How much is read at once when a session is loaded.
pub(crate) const READ_BYTES: u64 = 256 * 1024;

/// A gap of so many bytes between two records is rather read than jumped over.
pub(crate) const READ_GAP: u64 = 4096;
