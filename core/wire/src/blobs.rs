//! The messages of a blob connection, over which chunks of blobs travel up and down.
//!
//! It is separate from the session's connection, so that a blob never delays an event. Each request has exactly one
//! reply, and replies come in the order of their requests.

use serde::{Deserialize, Serialize};

use crate::bin::{self, Bin, Raw};
use crate::proof::BLOB_CONTEXT;
use crate::{Challenge, Digest, PublicKey, Room, SecretKey, Signature, WireError, codec, limits};

/// The path on a reflector's port that blob connections are made to.
pub const BLOB_PATH: &str = "/blobs";

/// The WebSocket sub-protocol that both sides of a blob connection must name.
pub const BLOB_SUBPROTOCOL: &str = "teatime.blobs.v1";

/// The version that [`Hello`] carries.
pub const BLOB_VERSION: u16 = 1;

/// What a client asks of a blob connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobRequest<'a> {
    /// Comes first, and once. Answered by [`BlobReply::Ready`].
    Hello(Hello<'a>),
    /// Asks which of these chunks the server does not have. Answered by [`BlobReply::Wanted`].
    Offer(Vec<Digest>),
    /// A chunk to store. Answered by [`BlobReply::Stored`].
    Chunk(&'a [u8]),
    /// The manifest of a blob whose chunks the server has. Answered by [`BlobReply::Complete`], or by
    /// [`BlobReply::Unknown`] with the first chunk that is missing.
    Manifest(&'a [u8]),
    /// Asks for a chunk or a manifest. Answered by [`BlobReply::Content`] or [`BlobReply::Unknown`].
    Get(Digest),
}

/// Begins a blob connection: proves, for this connection only, that the client knows the room and its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// [`BLOB_VERSION`] of the client.
    pub version: u16,
    /// The name of the room.
    #[serde(deserialize_with = "bin::id")]
    pub name: Digest,
    /// The key of the room's password.
    #[serde(deserialize_with = "bin::optional")]
    pub password_key: Option<PublicKey>,
    /// Name and version of the client program, for the log.
    pub agent: &'a str,
    /// By the key of the password, if there is one.
    #[serde(deserialize_with = "bin::optional")]
    pub signature: Option<Signature>,
}

impl<'a> Hello<'a> {
    /// Signs for this connection.
    pub fn new(
        name: Digest,
        password: Option<&SecretKey>,
        agent: &'a str,
        challenge: &Challenge,
    ) -> Self {
        let password_key = password.map(SecretKey::public);
        let unsigned = Self { version: BLOB_VERSION, name, password_key, agent, signature: None };
        let signature = password.map(|key| key.sign(&unsigned.statement(challenge)));
        Self { signature, ..unsigned }
    }

    /// Whether a client that knows the password has said this on this connection.
    pub fn is_proven(&self, challenge: &Challenge) -> bool {
        match (self.password_key, &self.signature) {
            (Some(key), Some(signature)) => key.has_signed(&self.statement(challenge), signature),
            (None, None) => true,
            _ => false,
        }
    }

    /// The blob space of the room: its id. It follows from name and password, so a client is in no other one.
    pub fn space(&self) -> Digest {
        Room::new(self.name, self.password_key, 0).id
    }

    fn statement(&self, challenge: &Challenge) -> Vec<u8> {
        let fields = (self.version, self.name, self.password_key, self.agent);
        let mut signed = Vec::new();
        codec::append(&mut signed, &fields);
        challenge.statement(BLOB_CONTEXT, &signed)
    }
}

/// What a server answers on a blob connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobReply<'a> {
    /// The connection can be used, within these limits.
    Ready(BlobLimits),
    /// The offered chunks that the server does not have.
    Wanted(Vec<Digest>),
    /// The chunk with this id is stored.
    Stored(Digest),
    /// The blob with this root is stored as a whole, as durably as the operator has chosen.
    Complete(Digest),
    /// The chunk or the manifest that was asked for.
    Content(&'a [u8]),
    /// The server does not have this.
    Unknown(Digest),
    /// What was sent cannot be stored.
    Refused(Refused),
}

/// What a server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobLimits {
    /// Largest blob in bytes.
    pub max_blob: u64,
    /// Bytes that still fit, overhead included.
    pub room: u64,
}

/// Why a server cannot store something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The blob is larger than the server accepts.
    TooLarge,
    /// The space, or the server, is full.
    NoRoom,
    /// The server's disk is full.
    DiskFull,
    /// The server's storage fails.
    Failed,
}

const HELLO: u8 = 1;
const OFFER: u8 = 2;
const CHUNK: u8 = 3;
const MANIFEST: u8 = 4;
const GET: u8 = 5;

const READY: u8 = 1;
const WANTED: u8 = 2;
const STORED: u8 = 3;
const COMPLETE: u8 = 4;
const CONTENT: u8 = 5;
const UNKNOWN: u8 = 6;
const REFUSED: u8 = 7;

fn bytes(frame: &[u8]) -> Result<&[u8], WireError> {
    Ok(codec::body::<Raw<'_>>(frame)?.0)
}

fn digests(body: &[u8]) -> Result<Vec<Digest>, WireError> {
    let digests: Vec<Bin<Digest>> = codec::body(body)?;
    if digests.len() > limits::MAX_OFFER {
        return Err(WireError::TooLarge("list of chunks"));
    }
    Ok(digests.into_iter().map(|bin| bin.0).collect())
}

fn digest(body: &[u8]) -> Result<Digest, WireError> {
    Ok(codec::body::<Bin<Digest>>(body)?.0)
}

fn fits(frame: &[u8]) -> Result<(), WireError> {
    if frame.len() > limits::MAX_BLOB_FRAME {
        return Err(WireError::TooLarge("frame"));
    }
    Ok(())
}

impl<'a> BlobRequest<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(body) => codec::encode(HELLO, body),
            Self::Offer(body) => codec::encode(OFFER, body),
            Self::Chunk(body) => codec::encode_bytes(CHUNK, body),
            Self::Manifest(body) => codec::encode_bytes(MANIFEST, body),
            Self::Get(body) => codec::encode(GET, body),
        }
    }

    /// Reads one frame, which may come from anywhere.
    ///
    /// # Errors
    /// If it is not exactly one message within the [limits].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        fits(frame)?;
        let (tag, body) = codec::split(frame)?;
        Ok(match tag {
            HELLO => {
                codec::check_version(body, BLOB_VERSION)?;
                let hello: Hello<'_> = codec::fields(body)?;
                if hello.agent.len() > limits::MAX_AGENT {
                    return Err(WireError::TooLarge("agent"));
                }
                Self::Hello(hello)
            }
            OFFER => Self::Offer(digests(body)?),
            CHUNK => {
                let chunk = bytes(body)?;
                if chunk.len() > limits::MAX_BLOB_CHUNK {
                    return Err(WireError::TooLarge("chunk"));
                }
                Self::Chunk(chunk)
            }
            MANIFEST => Self::Manifest(bytes(body)?),
            GET => Self::Get(digest(body)?),
            other => return Err(WireError::UnknownMessage(other)),
        })
    }
}

impl<'a> BlobReply<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready(body) => codec::encode(READY, body),
            Self::Wanted(body) => codec::encode(WANTED, body),
            Self::Stored(body) => codec::encode(STORED, body),
            Self::Complete(body) => codec::encode(COMPLETE, body),
            Self::Content(body) => codec::encode_bytes(CONTENT, body),
            Self::Unknown(body) => codec::encode(UNKNOWN, body),
            Self::Refused(body) => codec::encode(REFUSED, &body.number()),
        }
    }

    /// Reads one frame, which may come from anywhere.
    ///
    /// # Errors
    /// If it is not exactly one message within the [limits].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        fits(frame)?;
        let (tag, body) = codec::split(frame)?;
        Ok(match tag {
            READY => Self::Ready(codec::fields(body)?),
            WANTED => Self::Wanted(digests(body)?),
            STORED => Self::Stored(digest(body)?),
            COMPLETE => Self::Complete(digest(body)?),
            CONTENT => Self::Content(bytes(body)?),
            UNKNOWN => Self::Unknown(digest(body)?),
            REFUSED => Self::Refused(Refused::from_number(codec::body(body)?)),
            other => return Err(WireError::UnknownMessage(other)),
        })
    }
}

impl Refused {
    const ALL: [Self; 4] = [Self::TooLarge, Self::NoRoom, Self::DiskFull, Self::Failed];

    const fn number(self) -> u8 {
        match self {
            Self::TooLarge => 1,
            Self::NoRoom => 2,
            Self::DiskFull => 3,
            Self::Failed => 4,
        }
    }

    /// A reason of a later version counts as a failure of the server.
    fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|refused| refused.number() == number).unwrap_or(Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL.md, section 13.3: how later versions can grow.
    #[test]
    fn what_a_later_version_adds_is_read_as_the_protocol_page_says() {
        let hello = BlobRequest::Hello(Hello::new(ID, None, "a", &CHALLENGE));
        let mut longer = hello.encode();
        longer[2] += 1;
        longer.extend_from_slice(&[0xc4, 2, 1, 2]);
        assert_eq!(BlobRequest::decode(&longer).expect("it is longer"), hello);
        let reason = BlobReply::decode(&[0x92, REFUSED, 9]).expect("it is a reason");
        assert_eq!(reason, BlobReply::Refused(Refused::Failed));
        for tag in [6, 63, 64, 127] {
            let frame = [0x92, tag, 0xc0];
            assert!(
                matches!(BlobRequest::decode(&frame), Err(WireError::UnknownMessage(found)) if found == tag)
            );
            let frame = [0x92, tag.max(8), 0xc0];
            assert!(matches!(BlobReply::decode(&frame), Err(WireError::UnknownMessage(_))));
        }
    }

    const ID: Digest = Digest([7; 32]);
    const CHALLENGE: Challenge = Challenge { nonce: ID, channel: None };

    #[test]
    fn every_message_comes_back_and_every_shorter_or_longer_one_is_refused() {
        let requests = [
            BlobRequest::Hello(Hello::new(ID, None, "test", &CHALLENGE)),
            BlobRequest::Hello(Hello::new(
                ID,
                Some(&SecretKey::of_password(&[4; 32])),
                "",
                &CHALLENGE,
            )),
            BlobRequest::Offer(vec![ID, Digest([8; 32])]),
            BlobRequest::Chunk(b"chunk"),
            BlobRequest::Manifest(b"manifest"),
            BlobRequest::Get(ID),
        ];
        for request in requests {
            let mut frame = request.encode();
            assert_eq!(BlobRequest::decode(&frame).expect("it is one"), request);
            for length in 0..frame.len() {
                assert!(BlobRequest::decode(&frame[..length]).is_err(), "{request:?} {length}");
            }
            frame.push(0);
            assert!(BlobRequest::decode(&frame).is_err(), "{request:?}");
        }
        let replies = [
            BlobReply::Ready(BlobLimits { max_blob: 1 << 31, room: u64::MAX }),
            BlobReply::Wanted(vec![]),
            BlobReply::Stored(ID),
            BlobReply::Complete(ID),
            BlobReply::Content(&[1; 70_000]),
            BlobReply::Unknown(ID),
            BlobReply::Refused(Refused::DiskFull),
        ];
        for reply in replies {
            let mut frame = reply.encode();
            assert_eq!(BlobReply::decode(&frame).expect("it is one"), reply);
            for length in 0..frame.len().min(100) {
                assert!(BlobReply::decode(&frame[..length]).is_err(), "{length}");
            }
            frame.push(0);
            assert!(BlobReply::decode(&frame).is_err());
        }
    }

    #[test]
    fn a_hello_counts_only_with_the_password_and_on_its_own_connection() {
        let (key, other) = ([4; 32], [5; 32]);
        let [key, other] = [key, other].map(|master| SecretKey::of_password(&master));
        let hello = Hello::new(ID, Some(&key), "test", &CHALLENGE);
        assert!(hello.is_proven(&CHALLENGE));
        assert_eq!(hello.space(), Room::new(ID, Some(key.public()), 3).id);
        let binding = Some(crate::ChannelBinding([7; 32]));
        for elsewhere in [
            Challenge { nonce: Digest([8; 32]), ..CHALLENGE },
            Challenge { channel: binding, ..CHALLENGE },
        ] {
            assert!(!hello.is_proven(&elsewhere), "{elsewhere:?}");
        }
        for forged in [
            Hello { name: Digest([8; 32]), ..hello },
            Hello { agent: "best", ..hello },
            Hello { password_key: Some(other.public()), ..hello },
            Hello { password_key: None, ..hello },
            Hello { signature: None, ..hello },
            Hello {
                signature: Hello::new(ID, Some(&other), "test", &CHALLENGE).signature,
                ..hello
            },
        ] {
            assert!(!forged.is_proven(&CHALLENGE), "{forged:?}");
        }
        assert!(Hello::new(ID, None, "test", &CHALLENGE).is_proven(&CHALLENGE));
    }

    #[test]
    fn what_exceeds_a_limit_is_refused() {
        let chunk = vec![0; limits::MAX_BLOB_CHUNK + 1];
        assert!(BlobRequest::decode(&BlobRequest::Chunk(&chunk).encode()).is_err());
        assert!(BlobRequest::decode(&BlobRequest::Chunk(&chunk[1..]).encode()).is_ok());
        let offer = vec![ID; limits::MAX_OFFER + 1];
        assert!(BlobRequest::decode(&BlobRequest::Offer(offer).encode()).is_err());
        let frame = vec![0x92; limits::MAX_BLOB_FRAME + 1];
        assert!(matches!(BlobReply::decode(&frame), Err(WireError::TooLarge(_))));
    }
}
