//! What a client says to the reflector.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;

use crate::{Digest, SessionId, ViewId, ViewSecret, WireError, codec, limits};

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Must be the first, and comes once per connection.
    Join(Join<'a>),
    /// An event for everybody.
    Send(Send<'a>),
    /// Asks for a vote on the state hash.
    RequestVote,
    /// This client's state hash at the position of a vote.
    Vote(Vote),
    /// A piece of the snapshot that the reflector asked this client for.
    SnapshotPart(SnapshotPart<'a>),
    /// Asks for a [`Pong`](crate::ServerMessage::Pong) with the same number.
    Ping(u64),
    /// This view leaves for good: its exit does not wait for the rejoin limit.
    Leave,
    /// What the root model has persisted is another than at the last snapshot: asks for a vote that leads to one,
    /// within seconds.
    Persist,
}

/// Enters a session, or comes back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join<'a> {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the client.
    pub protocol: u16,
    /// Which session.
    pub session: SessionId,
    /// Of which room.
    pub room: Room,
    /// Who: determines the view id.
    pub secret: ViewSecret,
    /// Proof of knowing the password, or none if the client has none. The first client of a
    /// session fixes it; another one is refused.
    pub password_proof: Option<Digest>,
    /// Given to all models with the join and the exit of this view; sealed if there is a password.
    pub view_data: Option<&'a [u8]>,
    /// Ticks per second that the session's first client asks for.
    pub ticks_per_second: u16,
    /// Counts this view's connections from 1. A join may be under way for long on a connection that
    /// its client has given up; this tells it from the one that the client has made since.
    pub attempt: u64,
    /// Where this client's model stands, if it has one.
    pub resume: Option<Resume>,
    /// Name and version of the client program, for the reflector's log.
    pub agent: &'a str,
}

/// A room of an app, and the version of the app: each version has its own session in it. What they persist, one
/// has from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The same for all rooms of this app and name, whatever their password.
    pub name: Digest,
    /// The same for all versions of the app. With a password nobody can guess it who does not know the password.
    pub id: Digest,
    /// The declared version of the app.
    pub version: u32,
}

/// Where the model of a client that comes back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// From [`Welcome`](crate::Welcome): another timeline cannot be continued.
    pub timeline: u64,
    /// The newest sequence number that this client has received.
    pub seq: u64,
}

/// An event for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send<'a> {
    /// Counts this view's sends from 1 without gaps; what was already accepted is ignored, so a
    /// client resends what it is in doubt about. The first one that a reflector gets from a view
    /// may have any number: the ones before may have gone to a reflector that is no more.
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
    /// BLAKE3 of the snapshot of the state right after it, sealed if there is a password: of the very bytes
    /// that a voter hands in if it is asked to.
    pub hash: Digest,
}

/// A piece of a snapshot, in order and without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart<'a> {
    /// The sequence number of the vote that the snapshot belongs to.
    pub seq: u64,
    /// Where the piece starts, in bytes.
    pub offset: u64,
    /// Size of the whole snapshot in bytes.
    pub total: u64,
    /// The piece, at least one byte.
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

    /// Reads one frame. Untrusted bytes are welcome: whatever is not exactly one message within
    /// the [limits] is an error.
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > limits::MAX_CLIENT_FRAME + limits::MAX_VIEW_DATA {
            return Err(WireError::TooLarge("frame"));
        }
        let (tag, body) = codec::split(frame)?;
        let message = match tag {
            JOIN => Self::Join(codec::body(body)?),
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

/// The room's fields stand among the others: one array less to read.
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
            SessionId,
            Digest,
            Digest,
            u32,
            ViewSecret,
            Option<Digest>,
            Option<&'a Bytes>,
            u16,
            u64,
            Option<Resume>,
            &'a str,
        );
        let fields = Fields::deserialize(deserializer)?;
        let (protocol, session, name, id, version, secret, password_proof, ..) = fields;
        let (.., view_data, ticks_per_second, attempt, resume, agent) = fields;
        Ok(Self {
            protocol,
            session,
            room: Room { name, id, version },
            secret,
            password_proof,
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
