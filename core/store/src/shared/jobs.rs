//! What the threads of a shared store do.

use bytes::Bytes;
use teatime_reflector::storage::{Append, Key, RoomId};

use crate::shared::mailbox::Reply;
use crate::store::history::Change;

/// A job for the thread that commits.
pub(crate) enum CommitJob {
    Append(AppendJob),
    /// A handle was dropped: it no longer holds any key.
    Leave(Holder),
}

/// Names a handle of the store.
pub(crate) type Holder = u64;

/// Something to commit.
pub(crate) struct AppendJob {
    pub(crate) append: Append,
    pub(crate) reply: Reply,
}

impl AppendJob {
    /// About how many bytes a commit has because of it.
    pub(crate) fn bytes(&self) -> usize {
        let head = self.append.begin.as_ref().map_or(0, |head| head.len() + 256);
        self.append.records.iter().map(|record| record.bytes.len() + 64).sum::<usize>() + head
    }
}

/// A job for the thread that writes checkpoints.
pub(crate) enum WriteJob {
    Checkpoint(CheckpointJob),
    History(HistoryJob),
}

/// A change of the history before a checkpoint.
pub(crate) struct HistoryJob {
    pub(crate) key: Key,
    pub(crate) change: Change,
    pub(crate) reply: Reply,
}

/// A checkpoint to be written.
pub(crate) struct CheckpointJob {
    pub(crate) key: Key,
    /// Drawn when the checkpoint was handed in.
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) bytes: Bytes,
    /// How far back the history before it is retained.
    pub(crate) previous: Option<u64>,
    pub(crate) reply: Reply,
}

/// Something to read.
pub(crate) enum ReadJob {
    Load(Key, Holder, Reply),
    Claims(RoomId, Reply),
}
