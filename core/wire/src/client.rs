//! The messages from a client to the reflector.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;

use crate::bin::{self, Bin};
use crate::{Digest, PROTOCOL_VERSION, SessionId, ViewId, ViewSecret, WireError, codec, limits};

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Comes first, and once per connection.
    Join(Join<'a>),
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
}

/// Joins a session, or comes back to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Join<'a> {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the client.
    pub protocol: u16,
    /// The session to join.
    pub session: SessionId,
    /// The room of the session.
    pub room: Room,
    /// Determines the view id.
    pub secret: ViewSecret,
    /// Proves that the client knows the password, if it has one. The first client of a session fixes the proof. The
    /// reflector refuses any other.
    pub password_proof: Option<Digest>,
    /// Given to all models with the join and the exit of this view. Sealed if the session has a password.
    pub view_data: Option<&'a [u8]>,
    /// Ticks per second that the session's first client asks for.
    pub ticks_per_second: u16,
    /// Counts this view's connections from 1. A join may be in flight for a while on a connection that the client
    /// has given up. This tells it apart from the join on the connection that the client has made since.
    pub attempt: u64,
    /// The position of this client's model, if it has one.
    pub resume: Option<Resume>,
    /// Name and version of the client program, for the reflector's log.
    pub agent: &'a str,
}

/// Without the secret, and without what only a client with the password knows.
impl fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("protocol", &self.protocol)
            .field("session", &self.session)
            .field("version", &self.room.version)
            .field("has_password", &self.password_proof.is_some())
            .field("ticks_per_second", &self.ticks_per_second)
            .field("attempt", &self.attempt)
            .field("resume", &self.resume)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A room of an app, and the version of the app. Each version has a session of its own in the room. Persisted data
/// passes from one version to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The same for all rooms of this app and name, whatever their password.
    #[serde(deserialize_with = "bin::id")]
    pub name: Digest,
    /// The same for all versions of the app. With a password it cannot be guessed without the password.
    #[serde(deserialize_with = "bin::id")]
    pub id: Digest,
    /// The declared version of the app.
    pub version: u32,
}

/// The position of the model of a client that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// From [`Welcome`](crate::Welcome). Only the same timeline can be continued.
    pub timeline: u64,
    /// The newest sequence number that this client has received.
    pub seq: u64,
}

/// An event for all participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send<'a> {
    /// Counts this view's sends from 1 without gaps. The reflector ignores a counter that it has accepted before, so
    /// a client sends again what may have been lost. The first send that a reflector gets from a view may have
    /// any counter: the ones before may have gone to a reflector that was replaced.
    pub counter: u64,
    /// Opaque to the reflector.
    #[serde(borrow, with = "serde_bytes")]
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
    #[serde(borrow, with = "serde_bytes")]
    pub data: &'a [u8],
}

const JOIN: u8 = 1;
const SEND: u8 = 2;
const REQUEST_VOTE: u8 = 3;
const VOTE: u8 = 4;
const SNAPSHOT_PART: u8 = 5;
const PING: u8 = 6;
const LEAVE: u8 = 7;
const PERSIST: u8 = 8;

impl<'a> ClientMessage<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Join(body) => codec::encode(JOIN, body),
            Self::Send(body) => codec::encode(SEND, body),
            Self::RequestVote => codec::encode(REQUEST_VOTE, &()),
            Self::Vote(body) => codec::encode(VOTE, body),
            Self::SnapshotPart(body) => codec::encode(SNAPSHOT_PART, body),
            Self::Ping(body) => codec::encode(PING, body),
            Self::Leave => codec::encode(LEAVE, &()),
            Self::Persist => codec::encode(PERSIST, &()),
        }
    }

    /// Reads one frame, which may come from anywhere.
    ///
    /// # Errors
    /// If it is not exactly one message within the [limits].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > limits::MAX_CLIENT_FRAME + limits::MAX_VIEW_DATA {
            return Err(WireError::TooLarge("frame"));
        }
        let (tag, body) = codec::split(frame)?;
        let message = match tag {
            JOIN => {
                codec::check_version(body, PROTOCOL_VERSION)?;
                Self::Join(codec::body(body)?)
            }
            SEND => Self::Send(codec::body(body)?),
            REQUEST_VOTE => codec::body::<()>(body).map(|()| Self::RequestVote)?,
            VOTE => Self::Vote(codec::body(body)?),
            SNAPSHOT_PART => Self::SnapshotPart(codec::body(body)?),
            PING => Self::Ping(codec::body(body)?),
            LEAVE => codec::body::<()>(body).map(|()| Self::Leave)?,
            PERSIST => codec::body::<()>(body).map(|()| Self::Persist)?,
            other => return Err(WireError::UnknownMessage(other)),
        };
        message.check_limits()?;
        Ok(message)
    }

    fn check_limits(&self) -> Result<(), WireError> {
        let within = |is: usize, most: usize, what| {
            if is > most { Err(WireError::TooLarge(what)) } else { Ok(()) }
        };
        match self {
            Self::Join(join) => {
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
            _ => Ok(()),
        }
    }
}

/// The fields of the room stand among the others, which saves an array.
impl Serialize for Join<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { protocol, session, room, secret, password_proof, .. } = self;
        let Self { ticks_per_second, attempt, resume, agent, .. } = self;
        let Room { name, id, version } = room;
        let data = self.view_data.map(Bytes::new);
        let ticks = ticks_per_second;
        (
            protocol,
            session,
            name,
            id,
            version,
            secret,
            password_proof,
            data,
            ticks,
            attempt,
            resume,
            agent,
        )
            .serialize(serializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Join<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Fields<'a> = (
            u16,
            Bin<SessionId>,
            Bin<Digest>,
            Bin<Digest>,
            u32,
            Bin<ViewSecret>,
            Option<Bin<Digest>>,
            Option<&'a Bytes>,
            u16,
            u64,
            Option<Resume>,
            &'a str,
        );
        let fields = Fields::deserialize(deserializer)?;
        let (protocol, Bin(session), Bin(name), Bin(id), version, Bin(secret), proof, ..) = fields;
        let (.., view_data, ticks_per_second, attempt, resume, agent) = fields;
        Ok(Self {
            protocol,
            session,
            room: Room { name, id, version },
            secret,
            password_proof: proof.map(|Bin(proof)| proof),
            view_data: view_data.map(AsRef::as_ref),
            ticks_per_second,
            attempt,
            resume,
            agent,
        })
    }
}

impl Join<'_> {
    /// The id of the view that joins.
    pub fn view_id(&self) -> ViewId {
        self.secret.view_id()
    }
}
