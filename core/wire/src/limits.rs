//! Every limit of the protocol. The other side closes a connection on which one is exceeded, with
//! [`CloseReason::TooLarge`](crate::CloseReason::TooLarge).

/// Largest payload of one [`Send`](crate::Send) in bytes, encryption included. Sixteen times what a long chat post
/// needs. Larger data belongs outside the event log, which every late joiner replays.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Largest part of a snapshot in one message. The same as a payload, so that one limit of frames serves both, and a
/// snapshot delays an event no longer than another event could.
pub const MAX_SNAPSHOT_PART: usize = MAX_PAYLOAD;

/// Largest frame that a client may send: the largest payload, and 1 KiB for everything around it.
pub const MAX_CLIENT_FRAME: usize = MAX_PAYLOAD + 1024;

/// Largest view data of one client in bytes, encryption included: a name, a colour, a small token.
pub const MAX_VIEW_DATA: usize = 2 * 1024;

/// Most entries in one [`Views`](crate::Views) message, exits and joins together. The others wait for the next
/// message.
pub const MAX_VIEWS_PER_MESSAGE: usize = 256;

/// Largest frame that a reflector may send: [`MAX_VIEWS_PER_MESSAGE`] entries with the largest view data come to
/// 528 KiB, and the rest is a margin.
pub const MAX_SERVER_FRAME: usize = 1024 * 1024;

/// Most control frames of the transport that a client may send before its join is accepted: a WebSocket library may send
/// one by itself.
pub const MAX_CONTROL_FRAMES: usize = 16;

/// Longest description of the client program in [`Join`](crate::Join), in bytes of UTF-8.
pub const MAX_AGENT: usize = 160;

/// Largest token in a join, in bytes. Today's clients send none. A signed token with its claims has some 1 KiB.
pub const MAX_TOKEN: usize = 4 * 1024;

/// A reader ignores a message that it does not know if its tag is this or a higher one. Tags below are of messages that it
/// must understand.
pub const FIRST_OPTIONAL_TAG: u8 = 64;

/// Largest presence of one client in bytes, encryption included: a cursor, a selection, a few words.
pub const MAX_PRESENCE: usize = 1024 + 64;

/// Most entries in one [`ServerMessage::Presences`](crate::ServerMessage::Presences). The others come in further ones.
pub const MAX_PRESENCES_PER_MESSAGE: usize = 256;

/// Longest text in a close frame, in bytes. WebSocket does not allow more.
pub const MAX_CLOSE_REASON: usize = 123;

/// Largest snapshot in its [envelope](crate::Envelope), in bytes. A reflector may announce less in
/// [`SendLimits`](crate::SendLimits).
pub const MAX_SNAPSHOT: u64 = 256 * 1024 * 1024;

/// Largest data that a root model may persist, in bytes: 1 MiB, plus what encryption adds. A session that begins with
/// it loads it like a snapshot.
pub const MAX_PERSISTED: usize = 1024 * 1024 + 64;

/// A state, or persisted data, has at least this many bytes for every blob that it refers to, because the text of a
/// handle is longer. So a list of blobs takes less memory than the data that it is about.
pub const MIN_BYTES_PER_ROOT: usize = 100;

/// No session gets beyond this time in µs (some 36,000 years), nor beyond this sequence number. So adding to either
/// never overflows.
pub const MAX_TIME_OR_SEQ: u64 = 1 << 60;

/// Slowest and fastest rate of ticks that a session may ask for, per second.
pub const TICKS_PER_SECOND: std::ops::RangeInclusive<u16> = 1..=60;

/// Size of all chunks of a blob but the last, in bytes before they are sealed. A cut costs a line of 1 Mbit/s two
/// seconds, and a large photo has some twenty chunks.
pub const BLOB_CHUNK: usize = 256 * 1024;

/// Largest chunk in bytes, encryption included.
pub const MAX_BLOB_CHUNK: usize = BLOB_CHUNK + 40;

/// Most chunks of a blob: 2 GiB, with a manifest that is not larger than a chunk.
pub const MAX_CHUNKS: usize = 8 * 1024;

/// Largest frame of a blob connection: the largest manifest, and 1 KiB for everything around it.
pub const MAX_BLOB_FRAME: usize = MAX_CHUNKS * 32 + 1024;

/// Most chunks in one offer: far more than are in flight.
pub const MAX_OFFER: usize = 256;
