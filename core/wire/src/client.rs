//! The messages from a client to the reflector.

use serde::{Deserialize, Serialize};

use crate::join::{self, ProvenJoin};
use crate::{Digest, Join, PROTOCOL_VERSION, Proof, WireError, bin, codec, limits};

/// A message from a client.
#[expect(clippy::large_enum_variant, reason = "a join comes once for each connection")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Comes first, and once per connection. [`Join::prove`] makes it.
    Join(Join<'a>, Box<Proof>),
    /// An event for all participants.
    Send(Send<'a>),
    /// Asks for a vote on the state hash.
    RequestVote,
    /// This client's state hash at the position of a vote.
    Vote(Vote),
    /// A part of the snapshot that the reflector asked this client for.
    SnapshotPart(SnapshotPart<'a>),
    /// Asks for a [`Pong`](crate::ServerMessage::Pong) with the same number.
    Ping(u64),
    /// This view leaves for good. Its exit does not wait for the rejoin limit.
    Leave,
    /// The root model has persisted something since the last snapshot. Asks for a vote that leads to a new one within
    /// seconds.
    Persist,
    /// This view leaves in this many milliseconds, as by [`Leave`](Self::Leave), unless it joins again before. For an app
    /// that goes to the background: it may be frozen at any moment, and could not say so then.
    LeaveAfter(u32),
    /// This client has replayed the log up to the vote with this sequence number, and has come to the state that it voted
    /// for. Answers a [`Diverged`](crate::ServerMessage::Diverged).
    Confirm(u64),
    /// This client has joined with the snapshot of this sequence number, has restored it, and has simulated the log up to
    /// the welcome's `seq`.
    Loaded(u64),
    /// This client has joined with the snapshot of this sequence number, and cannot restore it.
    Unusable(u64),
    /// What the other participants see of this one from now on, and no model does. Empty: nothing. Opaque to the reflector.
    Presence(&'a [u8]),
    /// A message of a later version with this tag, which may be ignored.
    Later(u8),
}

/// An event for all participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send<'a> {
    /// Counts this view's sends from 1 without gaps. The reflector ignores a counter that it has accepted before, so
    /// a client sends again what may have been lost. The first send that a reflector gets from a view may have
    /// any counter: the ones before may have gone to a reflector that was replaced.
    pub counter: u64,
    /// Opaque to the reflector.
    #[serde(borrow, serialize_with = "serde_bytes::serialize", deserialize_with = "bin::bytes")]
    pub payload: &'a [u8],
}

/// One voter's state hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The sequence number of the [`VoteRequest`](crate::VoteRequest).
    pub seq: u64,
    /// BLAKE3 of the [envelope](crate::Envelope) with the state right after the vote: of the very bytes that a voter
    /// hands in if it is asked to.
    #[serde(deserialize_with = "bin::id")]
    pub hash: Digest,
}

/// A part of a snapshot. Parts come in order and without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart<'a> {
    /// The sequence number of the vote that the snapshot belongs to.
    pub seq: u64,
    /// Where the part starts, in bytes.
    pub offset: u64,
    /// Size of the whole snapshot in bytes.
    pub total: u64,
    /// The part: at least one byte.
    #[serde(borrow, serialize_with = "serde_bytes::serialize", deserialize_with = "bin::bytes")]
    pub data: &'a [u8],
}

pub(crate) const JOIN: u8 = 1;
const SEND: u8 = 2;
const REQUEST_VOTE: u8 = 3;
const VOTE: u8 = 4;
const SNAPSHOT_PART: u8 = 5;
const PING: u8 = 6;
const LEAVE: u8 = 7;
const PERSIST: u8 = 8;
const LEAVE_AFTER: u8 = 9;
const CONFIRM: u8 = 10;
const LOADED: u8 = 11;
const UNUSABLE: u8 = 12;
const PRESENCE: u8 = 64;

impl<'a> ClientMessage<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Join(join, proof) => codec::encode(JOIN, &ProvenJoin(join, proof)),
            Self::Send(body) => codec::encode(SEND, body),
            Self::RequestVote => codec::encode(REQUEST_VOTE, &()),
            Self::Vote(body) => codec::encode(VOTE, body),
            Self::SnapshotPart(body) => codec::encode(SNAPSHOT_PART, body),
            Self::Ping(body) => codec::encode(PING, body),
            Self::Leave => codec::encode(LEAVE, &()),
            Self::Persist => codec::encode(PERSIST, &()),
            Self::LeaveAfter(body) => codec::encode(LEAVE_AFTER, body),
            Self::Confirm(body) => codec::encode(CONFIRM, body),
            Self::Loaded(body) => codec::encode(LOADED, body),
            Self::Unusable(body) => codec::encode(UNUSABLE, body),
            Self::Presence(data) => codec::encode(PRESENCE, &(serde_bytes::Bytes::new(data),)),
            Self::Later(tag) => codec::encode(*tag, &()),
        }
    }

    /// Reads one frame, which may come from anywhere.
    ///
    /// # Errors
    /// If it is not exactly one message within the [limits].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > limits::MAX_CLIENT_FRAME {
            return Err(WireError::TooLarge("frame"));
        }
        let (tag, body) = codec::split(frame)?;
        let message = match tag {
            JOIN => {
                codec::check_version(body, PROTOCOL_VERSION)?;
                let (join, proof) = join::read(body)?;
                Self::Join(join, Box::new(proof))
            }
            SEND => Self::Send(codec::fields(body)?),
            REQUEST_VOTE => codec::body::<()>(body).map(|()| Self::RequestVote)?,
            VOTE => Self::Vote(codec::fields(body)?),
            SNAPSHOT_PART => Self::SnapshotPart(codec::fields(body)?),
            PING => Self::Ping(codec::body(body)?),
            LEAVE => codec::body::<()>(body).map(|()| Self::Leave)?,
            PERSIST => codec::body::<()>(body).map(|()| Self::Persist)?,
            LEAVE_AFTER => Self::LeaveAfter(codec::body(body)?),
            CONFIRM => Self::Confirm(codec::body(body)?),
            LOADED => Self::Loaded(codec::body(body)?),
            UNUSABLE => Self::Unusable(codec::body(body)?),
            PRESENCE => Self::Presence(codec::fields::<(bin::Raw<'_>,)>(body)?.0.0),
            other => codec::pass_over(other, body).map(|()| Self::Later(other))?,
        };
        message.check_limits()?;
        Ok(message)
    }

    fn check_limits(&self) -> Result<(), WireError> {
        let within = |is: usize, most: usize, what| {
            if is > most { Err(WireError::TooLarge(what)) } else { Ok(()) }
        };
        match self {
            Self::Join(join, _) => {
                within(join.view_data.map_or(0, <[u8]>::len), limits::MAX_VIEW_DATA, "view data")?;
                within(join.agent.len(), limits::MAX_AGENT, "agent")
            }
            Self::Send(send) => within(send.payload.len(), limits::MAX_PAYLOAD, "payload"),
            Self::SnapshotPart(part) => {
                if part.total > limits::MAX_SNAPSHOT {
                    return Err(WireError::TooLarge("snapshot"));
                }
                within(part.data.len(), limits::MAX_SNAPSHOT_PART, "snapshot part")
            }
            Self::Presence(data) => within(data.len(), limits::MAX_PRESENCE, "presence"),
            _ => Ok(()),
        }
    }
}
