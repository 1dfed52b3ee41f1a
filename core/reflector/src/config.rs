//! What an operator can set, with the reason for each default. Times are in µs.

use teatime_wire::{SendLimits, limits};

/// How a reflector treats its sessions and clients.
#[derive(Debug, Clone)]
pub struct Config {
    /// Joins and exits within this time travel as one message. Twice the usual round trip: who
    /// reloads a page is through, and nobody notices that he waited.
    pub gather_window: u64,
    /// How long a view may be cut off without an exit. Longer than a walk from one radio cell to
    /// the next, shorter than people wait before they ask where somebody is.
    pub rejoin_limit: u64,
    /// A connection that has not joined by then is closed.
    pub join_timeout: u64,
    /// A client of which nothing was heard for so long is taken for dead. Three times the pace of
    /// the transport's pings.
    pub silence_timeout: u64,
    /// How long a vote waits for voters. A voter needs a round trip, and the time to encode its
    /// state.
    pub vote_timeout: u64,
    /// How long an upload of a snapshot may stand still.
    pub upload_timeout: u64,
    /// After a vote that led to no snapshot, the next is held not before this time. And a vote that
    /// was not unanimous costs those who are right something not before this time after the last
    /// one that did: somebody must hand in his state, or everybody must look at his own again.
    pub vote_retry: u64,
    /// Least time between votes that clients ask for: each costs every client an encoding of its
    /// state.
    pub vote_interval: u64,
    /// Least time between snapshots that clients ask for because of what their model has persisted; a second more for every MB
    /// that the snapshot has. Long enough that a model which persists at every change costs no one anything, and as
    /// short as people take to close one version of an app and open the next.
    pub persist_interval: u64,
    /// A log of so many events asks for a snapshot: a joiner simulates them in some 50 ms.
    pub snapshot_after_events: u64,
    /// A log of so many bytes asks for a snapshot: a joiner loads them in a second at 8 Mbit/s.
    pub snapshot_after_bytes: u64,
    /// A session that goes on for so long, on its own clock, is due for a snapshot, however small its log: only from
    /// that it is known to which blobs it refers no more, and the others of its room can go.
    pub snapshot_after_time: u64,
    /// At a log of so many bytes senders are held back. It bounds the memory of a session.
    pub log_limit_bytes: u64,
    /// What may still come in after that, from senders who have not heard it yet. When that is used up,
    /// too, whoever sends or comes anew is told to come back later, and nothing is lost.
    pub log_reserve_bytes: u64,
    /// What one view may still send after that. Twice what a client keeps until it has come back, and so
    /// more than one that pauses when it hears of it can have under way.
    pub held_bytes_per_view: u64,
    /// What a client may send.
    pub send_limits: SendLimits,
    /// What a line has held up for so long may come at once, on top of a burst: a client that keeps to its
    /// rate must not be closed because the network did not keep the pace. As long as the rejoin limit, for
    /// after that a connection is given up anyway.
    pub stall_tolerance: u64,
    /// Most views of one session.
    pub max_views: usize,
    /// Most connections of this reflector.
    pub max_connections: usize,
    /// Most sessions with nobody in them that stay in memory; the oldest go first.
    pub max_idle_sessions: usize,
    /// Most bytes that they may take.
    pub max_idle_bytes: u64,
    /// Most bytes of what was persisted in rooms that have no session in memory, if nothing is stored; the oldest go first.
    pub max_idle_persisted: u64,
    /// A stored session with nobody in it stays in memory for so long: who comes back finds it at once.
    pub max_idle_time: u64,
    /// How many departed views' counters a session remembers, so that what such a view sends again
    /// when it comes back is still recognized.
    pub max_departed: usize,
}

const SECOND: u64 = 1_000_000;
const MIB: u64 = 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            gather_window: SECOND / 5,
            rejoin_limit: 10 * SECOND,
            join_timeout: 10 * SECOND,
            silence_timeout: 30 * SECOND,
            vote_timeout: 5 * SECOND,
            upload_timeout: 10 * SECOND,
            vote_retry: 5 * SECOND,
            vote_interval: SECOND / 10,
            persist_interval: 5 * SECOND,
            snapshot_after_events: 10_000,
            snapshot_after_bytes: MIB,
            snapshot_after_time: 6 * 3600 * SECOND,
            log_limit_bytes: 64 * MIB,
            log_reserve_bytes: 16 * MIB,
            held_bytes_per_view: 2 * MIB,
            send_limits: SendLimits {
                max_payload: limits::MAX_PAYLOAD as u32,
                // Sixty frames a second with a dozen events each, and room for a burst.
                per_second: 1_000,
                burst: 2_000,
                max_snapshot: limits::MAX_SNAPSHOT,
            },
            max_views: 10_000,
            max_connections: 100_000,
            max_idle_sessions: 10_000,
            max_idle_bytes: 1024 * MIB,
            max_idle_persisted: 256 * MIB,
            max_idle_time: 600 * SECOND,
            max_departed: 1_000,
            stall_tolerance: 10 * SECOND,
        }
    }
}
