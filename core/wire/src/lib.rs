//! The Teatime protocol: messages, their MessagePack encoding, and every limit in one place.
//!
//! `PROTOCOL.md` beside this crate tells it all in prose. Nothing here does I/O, and nothing here
//! knows a model: payloads are opaque bytes, and with a password they are sealed end to end.

mod archive;
mod blobs;
mod client;
mod close;
mod codec;
pub mod limits;
mod server;
mod trailer;

pub use archive::{Archive, Beginning};
pub use blobs::{
    BLOB_PATH, BLOB_SUBPROTOCOL, BLOB_VERSION, BlobLimits, BlobReply, BlobRequest, Hello, Refused,
};
pub use client::{ClientMessage, Join, Resume, Room, Send, SnapshotPart, Vote};
pub use close::CloseReason;
pub use codec::WireError;
pub use server::{
    Event, Hold, NotPersisted, SendLimits, ServerMessage, SnapshotInfo, Verdict, View, Views,
    VoteRequest, Welcome,
};
pub use teatime_base::{Digest, SessionId, ViewId, ViewSecret};
pub use trailer::{Holding, PersistedPart, References, Trailer};

/// The WebSocket sub-protocol that both sides must name in the handshake.
pub const SUBPROTOCOL: &str = "teatime.v1";

/// The protocol version that [`Join`] carries. It changes when a message changes its meaning.
pub const PROTOCOL_VERSION: u16 = 1;
