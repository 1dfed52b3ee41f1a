//! The Teatime protocol: messages, their MessagePack encoding, and every limit in one place.
//!
//! `PROTOCOL.md` beside this crate describes the protocol in full. Nothing here does I/O or knows a model: payloads are
//! opaque bytes, sealed end to end if the session has a password.

mod archive;
mod bin;
mod blobs;
mod chain;
mod client;
mod close;
mod codec;
mod envelope;
mod holding;
mod join;
pub mod limits;
mod open;
mod proof;
mod server;

pub use archive::{Archive, Beginning};
pub use blobs::{
    BLOB_PATH, BLOB_SUBPROTOCOL, BLOB_VERSION, BlobLimits, BlobReply, BlobRequest, Hello, Refused,
};
pub use chain::Chain;
pub use client::{ClientMessage, Send, SnapshotPart, Vote};
pub use close::CloseReason;
pub use codec::WireError;
pub use envelope::{Envelope, EnvelopeError, PersistedPart};
pub use holding::Holding;
pub use join::{Join, Resume, Room};
pub use proof::{Challenge, ChannelBinding, Greeting, Proof, is_proven};
pub use server::{
    Disagreement, Event, Hold, NotPersisted, Presence, SendLimits, ServerMessage, Side,
    SnapshotInfo, Verdict, View, Views, VoteRequest, Welcome,
};
pub use teatime_base::{Digest, PublicKey, SecretKey, SessionId, Signature, ViewId};

/// The WebSocket sub-protocol that both sides name in the handshake.
pub const SUBPROTOCOL: &str = "teatime.v1";

/// The protocol version that [`Join`] carries. It changes when a message changes its meaning.
pub const PROTOCOL_VERSION: u16 = 1;
