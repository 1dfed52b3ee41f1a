//! Every limit and waiting time of the client, with its reason. Times are in µs.

/// Longest room name in bytes of UTF-8.
pub const MAX_ROOM_NAME: usize = 128;

/// Longest password in bytes of UTF-8.
pub const MAX_PASSWORD: usize = 1024;

/// Longest description of the client program by its author, in bytes of UTF-8. The library adds what it was built from.
pub const MAX_AGENT: usize = 64;

/// Largest view data in bytes. With a password it is sealed (40 bytes) together with the number of the connection (at most 13
/// bytes).
pub const MAX_VIEW_DATA: usize = teatime_wire::limits::MAX_VIEW_DATA - 53;

/// Largest encoded model options in bytes. They are part of the session's identity, not a place for data.
pub const MAX_OPTIONS: usize = 16 * 1024;

/// Most sends that wait for their echo. Enough for a burst over a slow line. If more wait, nothing comes back, and
/// the caller should know.
pub const MAX_OUTBOX_EVENTS: usize = 1024;

/// Most bytes that wait for their echo: sixteen of the largest payloads.
pub const MAX_OUTBOX_BYTES: usize = 1024 * 1024;

/// How often the client asks for a sign of life, and measures the round trip. Home routers usually forget an idle
/// connection after twice this time. It costs a hundredth of the traffic of ticks.
pub const PING_INTERVAL: u64 = 5_000_000;

/// A connection counts as dead if no frame arrives for this time. A live one brings at least one tick per second.
pub const SILENCE: u64 = 10_000_000;

/// How long a connection may take from its opening to the welcome.
pub const JOIN_TIMEOUT: u64 = 10_000_000;

/// First step of the back-off between attempts to connect.
pub const BACKOFF_STEP: u64 = 100_000;

/// Longest pause between attempts to connect.
pub const BACKOFF_MAX: u64 = 30_000_000;

/// A model that lags behind the reflector by less than this counts as up to date.
pub const SYNCED_LAG: u64 = 200_000;

/// An up-to-date model counts as out of date when it lags behind by more than this.
pub const UNSYNCED_LAG: u64 = 2_000_000;

/// How many round trips the statistics cover.
pub const ROUND_TRIPS: usize = 100;

/// How many future messages run between two looks at the time budget of a step: about 10 µs.
pub const TURNS_PER_LOOK: u64 = 256;

/// How many parts of a snapshot go out in a step, so that an upload never delays a frame or an event by more than
/// 1 MiB.
pub const SNAPSHOT_PARTS_PER_STEP: usize = 16;

/// Bytes of snapshots that are hashed to find out after which event a state went wrong. It takes some 300 ms, in a
/// session that must be loaded again anyway.
pub const MAX_REPLAY_BYTES: usize = 64 * 1024 * 1024;

/// Votes without a majority make this client load its model again at most once in this time, and only if it has no
/// recording to replay instead.
pub const RELOAD_PAUSE: u64 = 60_000_000;

/// Largest backlog of received, not yet simulated bytes. A client that falls behind further gives
/// up its connection instead of its memory, and catches up from the next snapshot.
pub const MAX_BACKLOG_BYTES: usize = 256 * 1024 * 1024;

/// Most bytes of what has gone into the model that wait for the owner that records it: as many as the model itself
/// remembers.
pub const MAX_TAPED_BYTES: usize = 16 * 1024 * 1024;

/// Most session events that wait for the owner. A broken line, a vote and a burst of failing handlers bring fewer
/// between two frames. An owner that lets this number wait does not poll at all.
pub const MAX_WAITING_EVENTS: usize = 1024;

/// Most deliveries that wait for the owner: as many as a step of one second brings.
pub const MAX_WAITING_DELIVERIES: usize = 65_536;

/// For this many changes of the persisted data the client remembers at which votes they were there: a vote is answered
/// within seconds, and more changes than that between two answers are not worth remembering.
pub const REMEMBERED_CHANGES: usize = 8;

/// For this many of the newest messages the client remembers the chain, to compare it with what other senders have seen.
/// At the highest rate of one participant that is 16 seconds, and takes 512 KiB.
pub const REMEMBERED_POSITIONS: u64 = 16_384;

/// Most alarms that a client raises: each kind counts once for each participant.
pub const MAX_ALARMS: usize = 256;

/// How far the session time may run ahead of this client's clock since the connection began, in µs. The reflector closes
/// a connection over which it has heard nothing for 30 s, so a client that was frozen for a while, on a slow line, finds it
/// up to a minute ahead.
pub const MAX_CLOCK_LEAD: u64 = 120_000_000;

/// One part of this many of the time since the connection began comes on top. Clocks that are corrected run 500 ppm too
/// fast or too slow, at most.
pub const CLOCK_DRIFT: u64 = 1_000;

/// Least time between two messages about what this participant shows of itself, in µs: some 30 a second, as smooth as a
/// video.
pub const PRESENCE_INTERVAL: u64 = 33_000;

/// Largest presence in bytes before it is sealed: a cursor, a selection, a few words.
pub const MAX_PRESENCE: usize = 1024;

/// Of this many other participants the client remembers what they show. A reflector could name more than there are.
pub const MAX_PRESENCES: usize = 65_536;

/// For this many topics the client remembers that it has warned about them. An app has fewer by mistake. Beyond them it
/// does not warn.
pub const WARNED_TOPICS: usize = 64;
