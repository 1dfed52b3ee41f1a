//! What is on disk: segments of commits of entries, the files of checkpoints, the description of
//! the store. [`scan`](self::scan) is the only place that reads entries from a disk.

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod entry;
pub(crate) mod format;
pub(crate) mod installed;
pub(crate) mod key;
pub(crate) mod position;
pub(crate) mod scan;
pub(crate) mod segment;
