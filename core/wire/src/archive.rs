//! A session as it is exported from a reflector's storage, and imported into it.

use crate::{PublicKey, Room, SnapshotInfo, ViewId};

/// A session as a reflector has stored it: what it would send to a client that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The public key of the password, if the session has one.
    pub password_key: Option<PublicKey>,
    /// The snapshot as it was handed in, if there is one.
    pub snapshot: Option<(SnapshotInfo, Vec<u8>)>,
    /// Without a snapshot: the version of the app whose persisted data the session began with, and that data.
    pub persisted: Option<(u32, Vec<u8>)>,
    /// The frames of all ordered messages after that.
    pub messages: Vec<Vec<u8>>,
    /// The session's time in µs.
    pub time: u64,
}

/// A session that begins with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The room that it belongs to.
    pub room: Room,
    /// The public key of the password, if the session has one.
    pub password_key: Option<PublicKey>,
    /// Ticks per second.
    pub ticks_per_second: u16,
    /// Describes the snapshot.
    pub info: SnapshotInfo,
    /// The snapshot as it would have been handed in.
    pub snapshot: Vec<u8>,
    /// The views that the models know, with their view data. None of them is connected.
    pub views: Vec<(ViewId, Option<Vec<u8>>)>,
}
