//! What an operator can set, with the reason for each default. Times are in µs.

use teatime_wire::{SendLimits, limits};

use crate::allowance::Allowance;

/// How a reflector treats its sessions and clients.
#[derive(Debug, Clone)]
pub struct Config {
    /// Joins and exits within this time travel as one message. Twice the usual round trip: a page that reloads is
    /// through, and no user notices the wait.
    pub gather_window: u64,
    /// How long a view may be cut off without an exit. Longer than a walk from one radio cell to
    /// the next, shorter than people wait before they ask where another participant is.
    pub rejoin_limit: u64,
    /// The longest time after which a view may leave that says so in advance. A person who looks at something else for
    /// longer is not there for the others.
    pub max_leave_after: u64,
    /// How long a connection may take to join, the answers of the storage included. Then it is closed.
    pub join_timeout: u64,
    /// After this long without a sign of life a client counts as dead. Three times the interval of the transport's
    /// pings.
    pub silence_timeout: u64,
    /// How long a vote waits for voters. A voter needs a round trip, and the time to encode its
    /// state.
    pub vote_timeout: u64,
    /// How long an upload of a snapshot may stand still.
    pub upload_timeout: u64,
    /// Least time between a vote that led to no snapshot and the next one. Also the least time between votes after which
    /// all clients must check their states, because there was no majority.
    pub vote_retry: u64,
    /// For how long a client that contradicts the majority, and has confirmed its state, keeps the session from a new
    /// snapshot. A full log ends it, too.
    pub dispute_limit: u64,
    /// Least time between votes that clients ask for: each costs every client an encoding of its
    /// state.
    pub vote_interval: u64,
    /// Least time between snapshots that clients ask for because of persisted data; one second more for every MB of the
    /// snapshot. Long enough that a model which persists at every change costs little, and as short as people take to
    /// close one version of an app and open the next.
    pub persist_interval: u64,
    /// A log of this many events asks for a snapshot: a client that joins simulates them in some 50 ms.
    pub snapshot_after_events: u64,
    /// A log of this many bytes asks for a snapshot: a client that joins loads them in a second at 8 Mbit/s.
    pub snapshot_after_bytes: u64,
    /// A session that goes on for this long, on its own clock, is due for a snapshot, however small its log. Only the
    /// snapshot shows which blobs it no longer refers to, so that the room can drop them.
    pub snapshot_after_time: u64,
    /// At a log of this many bytes senders are held back. It bounds the memory of a session.
    pub log_limit_bytes: u64,
    /// What may still come in after that, from senders that have not heard it yet. When that is used up
    /// too, clients that send or join are disconnected and retry. Nothing is lost.
    pub log_reserve_bytes: u64,
    /// What a snapshot has replaced, and the log, may have this many bytes together. Beyond it only the snapshot and what
    /// follows stay, and the session cannot go back. It bounds the memory of a session whose only participant stays.
    pub history_limit_bytes: u64,
    /// How long a storage retains what a snapshot has replaced after a client has loaded the snapshot. Long enough that an
    /// operator hears of a forged state, and can go back. Until a client has loaded it, that is retained anyway, and the
    /// session goes back to it if a client cannot.
    pub history_time: u64,
    /// When this many bytes wait behind an append that the storage has not acknowledged, senders are held back, with the
    /// same reserve. It bounds what a slow storage costs, and what it delays.
    pub storage_backlog_bytes: u64,
    /// How long the storage may take to acknowledge what happened in a session. Then the clients of the session are
    /// disconnected with NOT_STORED and retry. After the same time without an answer about persisted data, they hear that
    /// it is not stored. Longer than a network store takes to elect a new leader.
    pub storage_timeout: u64,
    /// What one view may still send after that. Twice what a client holds until it has come back, and so
    /// more than a client that pauses in time can have under way.
    pub held_bytes_per_view: u64,
    /// What a client may send.
    pub send_limits: SendLimits,
    /// What a line has held up for this long may come at once, on top of a burst: a client that respects its
    /// rate must not be closed because the network stalled. As long as the rejoin limit, because
    /// after that a connection is given up anyway.
    pub stall_tolerance: u64,
    /// How many frames of all kinds a view may send for each event that [`send_limits`](Self::send_limits) allow it: votes,
    /// pings, pongs and requests count, too. The driver reads more of them later.
    pub frames_per_event: u32,
    /// How many bytes per second the driver reads from one view in the long run. Snapshots that the reflector has asked for
    /// do not count.
    pub bytes_per_second: u64,
    /// How many bytes it reads from one view at once. Twice what a client holds until it has come back, and some more, so
    /// that a client which reconnects never waits.
    pub byte_burst: u64,
    /// Most views of one session.
    pub max_views: usize,
    /// Most bytes that the logs and snapshots of all sessions may take together, over all reflectors that share a
    /// [`Budget`](crate::Budget). Beyond that, senders are asked to pause, and no session begins.
    pub max_session_bytes: u64,
    /// Most bytes of these that one address may cause, by what it sends and by the sessions that it begins.
    pub max_session_bytes_per_address: u64,
    /// Most bytes that one address may have stored: in sessions and persisted data if there is a storage, and in blobs. As
    /// much as a room may have of blobs by default.
    pub max_stored_bytes_per_address: u64,
    /// Least time between two messages about what participants show of themselves, in µs.
    pub presence_interval: u64,
    /// Most connections of this reflector.
    pub max_connections: usize,
    /// Most sessions without clients that stay in memory; the oldest go first.
    pub max_idle_sessions: usize,
    /// Most bytes that they may take.
    pub max_idle_bytes: u64,
    /// Most bytes of what was persisted in rooms that have no session in memory, if nothing is stored; the oldest go first.
    pub max_idle_persisted: u64,
    /// How long a stored session without clients stays in memory: clients that come back find it at once.
    pub max_idle_time: u64,
    /// How many departed views' counters a session remembers, so that what such a view sends again when it comes back is
    /// still recognized. A view that was forgotten finds out from the log, or gives up its unconfirmed sends.
    pub max_departed: usize,
}

const SECOND: u64 = 1_000_000;
const MIB: u64 = 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            gather_window: SECOND / 5,
            rejoin_limit: 10 * SECOND,
            max_leave_after: 3600 * SECOND,
            join_timeout: 10 * SECOND,
            silence_timeout: 30 * SECOND,
            vote_timeout: 5 * SECOND,
            upload_timeout: 10 * SECOND,
            vote_retry: 5 * SECOND,
            dispute_limit: 600 * SECOND,
            vote_interval: SECOND / 10,
            persist_interval: 5 * SECOND,
            snapshot_after_events: 10_000,
            snapshot_after_bytes: MIB,
            snapshot_after_time: 6 * 3600 * SECOND,
            log_limit_bytes: 64 * MIB,
            log_reserve_bytes: 16 * MIB,
            history_limit_bytes: 4 * MIB,
            history_time: 24 * 3600 * SECOND,
            storage_backlog_bytes: 4 * MIB,
            storage_timeout: 10 * SECOND,
            held_bytes_per_view: 2 * MIB,
            send_limits: SendLimits {
                max_payload: limits::MAX_PAYLOAD as u32,
                // Sixty frames a second with a dozen events each, and room for a burst.
                per_second: 1_000,
                burst: 2_000,
                max_snapshot: limits::MAX_SNAPSHOT,
            },
            frames_per_event: 4,
            bytes_per_second: 4 * MIB,
            byte_burst: 16 * MIB,
            max_views: 10_000,
            max_session_bytes: 2048 * MIB,
            max_session_bytes_per_address: 512 * MIB,
            max_stored_bytes_per_address: 4096 * MIB,
            presence_interval: 33_000,
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

impl Config {
    /// What the driver reads from one view.
    pub(crate) fn view_allowance(&self) -> Allowance {
        let frames = |events: u32| u64::from(events) * u64::from(self.frames_per_event);
        Allowance {
            frames_per_second: frames(self.send_limits.per_second),
            frame_burst: frames(self.send_limits.burst),
            bytes_per_second: self.bytes_per_second,
            byte_burst: self.byte_burst,
        }
    }
}
