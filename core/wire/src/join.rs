//! The message with which a client joins a session.

use std::fmt;

use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::Bytes;

use crate::bin::{self, Bin, Raw};
use crate::{Digest, Proof, PublicKey, SessionId, Signature, ViewId, WireError, codec, limits};

/// Joins a session, or comes back to it. Nothing in it is secret: a join counts only with its [`Proof`].
#[derive(Clone, PartialEq, Eq)]
pub struct Join<'a> {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the client. It comes first, so that every version can read it.
    pub protocol: u16,
    /// What the participants of the session run: the models and their options. The session [follows](Join::session)
    /// from it and from the room.
    pub program: Digest,
    /// The name of the room.
    pub name: Digest,
    /// The declared version of the app.
    pub version: u32,
    /// Determines the view id.
    pub view_key: PublicKey,
    /// Follows from the password, if there is one. Another password is another room, with sessions of its own.
    pub password_key: Option<PublicKey>,
    /// Given to all models with the join and the exit of this view. Sealed if the session has a password.
    pub view_data: Option<&'a [u8]>,
    /// Ticks per second that the session's first client asks for.
    pub ticks_per_second: u16,
    /// Counts this view's connections from 1. A join may be in flight for a while on a connection that the client
    /// has given up. This tells it apart from the join on the connection that the client has made since.
    pub attempt: u64,
    /// The position of this client's model, if it has one.
    pub resume: Option<Resume>,
    /// Name and version of the client program, and what it was built from: for the reflector's log, and for others if two
    /// programs [disagree](crate::Disagreement).
    pub agent: &'a str,
}

/// Without what only a client with the password knows.
impl fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("protocol", &self.protocol)
            .field("session", &self.session())
            .field("view", &self.view_id())
            .field("version", &self.version)
            .field("has_password", &self.password_key.is_some())
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
    /// The [chain](crate::Chain) at it. A log with other messages up to there cannot be continued.
    #[serde(deserialize_with = "bin::id")]
    pub chain: Digest,
}

impl Join<'_> {
    /// The session to join. It follows from the other fields, so a session belongs to one room and to one version of the
    /// app.
    pub fn session(&self) -> SessionId {
        SessionId::of(self.room().id, self.version, self.program)
    }

    /// The room of the session. It follows from its name and the key of the password, so a client that has proven its join
    /// is in no other room.
    pub fn room(&self) -> Room {
        Room::new(self.name, self.password_key, self.version)
    }

    /// The id of the view that joins.
    pub fn view_id(&self) -> ViewId {
        self.view_key.view_id()
    }
}

impl Room {
    /// The room of this name and this key of the password, as this version of the app joins it.
    pub fn new(name: Digest, password_key: Option<PublicKey>, version: u32) -> Self {
        Self { name, id: teatime_base::room_id(name, password_key), version }
    }
}

/// What both keys sign: everything but the version, which stands before it, and the signatures, which stand behind it.
impl Serialize for Join<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_tuple(11)?;
        fields.serialize_element(&self.program)?;
        fields.serialize_element(&self.name)?;
        fields.serialize_element(&self.version)?;
        fields.serialize_element(&self.view_key)?;
        fields.serialize_element(&self.password_key)?;
        fields.serialize_element(&self.view_data.map(Bytes::new))?;
        fields.serialize_element(&self.ticks_per_second)?;
        fields.serialize_element(&self.attempt)?;
        fields.serialize_element(&self.resume)?;
        fields.serialize_element(&self.agent)?;
        fields.serialize_element(&NO_TOKEN)?;
        fields.end()
    }
}

/// A later version lets clients show a token. This one sends none, and ignores what it reads.
const NO_TOKEN: Option<&Bytes> = None;

/// The fields that both keys sign, as one byte string.
pub(crate) fn signed(join: &Join<'_>) -> Vec<u8> {
    let mut signed = Vec::with_capacity(TYPICAL_JOIN);
    codec::append(&mut signed, join);
    signed
}

/// Capacity for all of a join but its view data.
const TYPICAL_JOIN: usize = 512;

/// The body of the message.
pub(crate) struct ProvenJoin<'j, 'a>(pub(crate) &'j Join<'a>, pub(crate) &'j Proof);

impl Serialize for ProvenJoin<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(join, proof) = self;
        let signed = signed(join);
        (join.protocol, Bytes::new(&signed), proof.view, proof.password).serialize(serializer)
    }
}

/// The version, the bytes that are signed, and the signatures.
pub(crate) fn parts(body: &[u8]) -> Result<(u16, &[u8], Proof), WireError> {
    type Parts<'a> = (u16, Raw<'a>, Bin<Signature>, Option<Bin<Signature>>);
    let (protocol, Raw(signed), Bin(view), password): Parts<'_> = codec::fields(body)?;
    let password = password.map(|Bin(signature)| signature);
    Ok((protocol, signed, Proof { view, password }))
}

/// Reads the body of the message. Later versions may have further fields in what is signed, and behind the signatures.
pub(crate) fn read(body: &[u8]) -> Result<(Join<'_>, Proof), WireError> {
    type Fields<'a> = (
        Bin<Digest>,
        Bin<Digest>,
        u32,
        Bin<PublicKey>,
        Option<Bin<PublicKey>>,
        Option<Raw<'a>>,
        u16,
        u64,
        Option<Resume>,
        &'a str,
        Option<Raw<'a>>,
    );
    let (protocol, signed, proof) = parts(body)?;
    let fields: Fields<'_> = codec::fields(signed)?;
    let (Bin(program), Bin(name), version, Bin(view_key), password_key, view_data, ..) = fields;
    let (.., ticks_per_second, attempt, resume, agent, token) = fields;
    if token.is_some_and(|Raw(token)| token.len() > limits::MAX_TOKEN) {
        return Err(WireError::TooLarge("token"));
    }
    let join = Join {
        protocol,
        program,
        name,
        version,
        view_key,
        password_key: password_key.map(|Bin(key)| key),
        view_data: view_data.map(|Raw(data)| data),
        ticks_per_second,
        attempt,
        resume,
        agent,
    };
    Ok((join, proof))
}
