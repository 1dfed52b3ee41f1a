//! A session as a reflector keeps it beyond its own life.

use crate::{Digest, Room, SnapshotInfo, ViewId};

/// What a reflector has kept of a session: what it would hand to somebody who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// What proves that one knows the password, if there is one.
    pub password_proof: Option<Digest>,
    /// The snapshot as it was handed in, if there is one.
    pub snapshot: Option<(SnapshotInfo, Vec<u8>)>,
    /// If there is no snapshot: what the session began with, and the version of the app that has persisted it.
    pub persisted: Option<(u32, Vec<u8>)>,
    /// The frames of all ordered messages after it, or from the session's beginning on.
    pub messages: Vec<Vec<u8>>,
    /// The session's time in µs.
    pub time: u64,
}

/// A session that begins with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Of which room it is.
    pub room: Room,
    /// What proves that one knows the password, if there is one.
    pub password_proof: Option<Digest>,
    /// Ticks per second.
    pub ticks_per_second: u16,
    /// What the snapshot is.
    pub info: SnapshotInfo,
    /// The snapshot as it would have been handed in.
    pub snapshot: Vec<u8>,
    /// The views that the models know, with what they brought along. Nobody of them is there.
    pub views: Vec<(ViewId, Option<Vec<u8>>)>,
}
