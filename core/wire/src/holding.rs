//! Which blobs a session or a room still needs.

use crate::Digest;

/// What a reflector reports to the server that stores the blobs of a room: about one session, or about the
/// data that is persisted in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// A participant is in the session, so the session may come to refer to any blob. It refers to at least
    /// these already.
    Awake(Vec<Digest>),
    /// The state that a majority has voted for this many seconds ago, and that a client has loaded, refers to exactly
    /// these.
    Snapshot(Vec<Digest>, u64),
    /// The last participant has left: nothing changes until another joins.
    AtRest,
    /// The persisted data refers to exactly these, until the next report.
    Exactly(Vec<Digest>),
    /// The session or the persisted data was deleted.
    Gone,
}
