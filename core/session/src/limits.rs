//! Every limit and waiting time of the client, with its reason. Times are in µs.

/// Longest room name in bytes of UTF-8.
pub const MAX_ROOM_NAME: usize = 128;

/// Longest password in bytes of UTF-8.
pub const MAX_PASSWORD: usize = 1024;

/// Largest encoded model options in bytes: they are part of the session's identity, not data.
pub const MAX_OPTIONS: usize = 16 * 1024;

/// Most sends that wait for their echo. Enough for a burst over a slow line; more means that
/// nothing comes back and the caller should know.
pub const MAX_OUTBOX_EVENTS: usize = 1024;

/// Most bytes that wait for their echo: sixteen of the largest payloads.
pub const MAX_OUTBOX_BYTES: usize = 1024 * 1024;

/// How often the client asks for a sign of life and measures the round trip. Half the usual time
/// after which home routers forget an idle connection, a hundredth of the traffic of ticks.
pub const PING_INTERVAL: u64 = 5_000_000;

/// After this long without a single frame the connection counts as dead. At least one tick per
/// second comes over a live one.
pub const SILENCE: u64 = 10_000_000;

/// How long a connection may take from its opening to the welcome.
pub const JOIN_TIMEOUT: u64 = 10_000_000;

/// First step of the back-off between attempts to connect.
pub const BACKOFF_STEP: u64 = 100_000;

/// Longest pause between attempts to connect.
pub const BACKOFF_MAX: u64 = 30_000_000;

/// A model that lags less than this behind the reflector counts as in sync.
pub const SYNCED_LAG: u64 = 200_000;

/// A model that lags more than this counts as out of sync.
pub const UNSYNCED_LAG: u64 = 2_000_000;

/// How many round trips the statistics cover.
pub const ROUND_TRIPS: usize = 100;

/// How many future messages run between two looks at the time budget of a step: about 10 µs.
pub const TURNS_PER_LOOK: u64 = 256;

/// How many pieces of a snapshot go out per step, so that an upload never delays a frame or an
/// event by more than 1 MiB.
pub const SNAPSHOT_PARTS_PER_STEP: usize = 16;

/// Bytes of snapshots that are hashed to find out after which event a state went wrong: some 300 ms,
/// in a session that has to be loaded anew anyway.
pub const MAX_REPLAY_BYTES: usize = 64 * 1024 * 1024;

/// A vote without a majority makes this client load its model anew at most once in this time, and only
/// if it has not kept what it needs to settle that without.
pub const RELOAD_PAUSE: u64 = 60_000_000;

/// Largest backlog of received, not yet simulated bytes. A client that falls behind further gives
/// up its connection instead of its memory, and catches up from the next snapshot.
pub const MAX_BACKLOG_BYTES: usize = 256 * 1024 * 1024;

/// Most bytes of what has gone into the model that wait for whoever records it: as many as the model
/// keeps of that itself.
pub const MAX_TAPED_BYTES: usize = 16 * 1024 * 1024;

/// Most session events that wait for their owner. More than a broken line, a vote and a burst of failing
/// handlers bring between two frames; an owner with so many does not pull any.
pub const MAX_WAITING_EVENTS: usize = 1024;

/// Most deliveries that wait for their owner: a step of a second brings as many.
pub const MAX_WAITING_DELIVERIES: usize = 65_536;
