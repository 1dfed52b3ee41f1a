//! Every limit of the protocol. A peer that exceeds one is closed with
//! [`CloseReason::TooLarge`](crate::CloseReason::TooLarge).

/// Largest payload of one [`Send`](crate::Send) in bytes, encryption included. Sixteen times what
/// a long chat post needs; more belongs outside the event log, which every late joiner replays.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Largest piece of a snapshot in one message. The same as a payload, so that one frame limit
/// serves both and a snapshot never delays an event by more than one event could.
pub const MAX_SNAPSHOT_PART: usize = MAX_PAYLOAD;

/// Largest frame a client may send: the largest payload and 1 KiB for everything around it, view
/// data excepted.
pub const MAX_CLIENT_FRAME: usize = MAX_PAYLOAD + 1024;

/// Largest view data of one client in bytes, encryption included: a name, a colour, a small token.
pub const MAX_VIEW_DATA: usize = 2 * 1024;

/// Most entries in one [`Views`](crate::Views) message, exits and joins together. What does not
/// fit waits for the next one.
pub const MAX_VIEWS_PER_MESSAGE: usize = 256;

/// Largest frame a reflector may send: [`MAX_VIEWS_PER_MESSAGE`] entries with the largest view
/// data come to 528 KiB; the rest is room.
pub const MAX_SERVER_FRAME: usize = 1024 * 1024;

/// Longest description of the client program in [`Join`](crate::Join), in bytes of UTF-8.
pub const MAX_AGENT: usize = 64;

/// Longest reason in a close frame, in bytes; WebSocket allows 123.
pub const MAX_CLOSE_REASON: usize = 123;

/// Largest snapshot in bytes, encryption included. A reflector may announce less in
/// [`SendLimits`](crate::SendLimits).
pub const MAX_SNAPSHOT: u64 = 256 * 1024 * 1024;

/// Largest data that a root model may persist in bytes, encryption included: 1 MiB, and what is around it. A log that begins with it
/// is loaded like a snapshot.
pub const MAX_PERSISTED: usize = 1024 * 1024 + 64;

/// For every blob to which a state or what is persisted refers it has at least so many bytes: the text of a handle is longer.
/// So what is told about blobs takes less memory than what tells it.
pub const MIN_BYTES_PER_ROOT: usize = 100;

/// No session gets beyond this time in µs, some 36,000 years, nor beyond this sequence number: so nothing that is added to
/// either overflows.
pub const MAX_TIME_OR_SEQ: u64 = 1 << 60;

/// Slowest and fastest rate of ticks a session may ask for, per second.
pub const TICKS_PER_SECOND: std::ops::RangeInclusive<u16> = 1..=60;

/// Size of all chunks of a blob but the last in bytes, before they are sealed. A line of 1 Mbit/s loses two
/// seconds by a cut, and a large photo has some twenty.
pub const BLOB_CHUNK: usize = 256 * 1024;

/// Largest chunk in bytes, encryption included.
pub const MAX_BLOB_CHUNK: usize = BLOB_CHUNK + 40;

/// Most chunks of a blob: 2 GiB, and a manifest that is no larger than a chunk.
pub const MAX_CHUNKS: usize = 8 * 1024;

/// Largest frame of a blob connection: the largest manifest, and 1 KiB for everything around it.
pub const MAX_BLOB_FRAME: usize = MAX_CHUNKS * 32 + 1024;

/// Most chunks in one offer: far more than are under way.
pub const MAX_OFFER: usize = 256;
