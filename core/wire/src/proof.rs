//! What a join proves: that its sender holds the keys of the view and of the password, on this very connection.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use teatime_base::SecretKey;

use crate::bin::Bin;
use crate::client::JOIN;
use crate::{ClientMessage, Digest, Join, Signature, codec, join};

/// What a hello of a blob connection is signed for begins with this.
pub(crate) const BLOB_CONTEXT: &[u8] = b"teatime v1 blobs";

/// What a join is signed for begins with this. Nothing else that one of the keys signs does.
const CONTEXT: &[u8] = b"teatime v1 join";

/// What the reflector says first on each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Random bytes that the reflector has never sent before. So no recorded join fits.
    pub nonce: Digest,
    /// Whether the reflector itself ends the TLS of this connection. Then a join counts only with the
    /// [binding](ChannelBinding) of the connection.
    pub binds_channel: bool,
}

/// The value `tls-exporter` (RFC 9266) of a TLS connection: both ends compute it, and it is another on each connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

impl ChannelBinding {
    /// The label under which TLS exports it. The context is the empty byte string.
    pub const LABEL: &'static [u8] = b"EXPORTER-Channel-Binding";
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBinding(…)")
    }
}

/// The connection that a join is signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// From the [`Greeting`].
    pub nonce: Digest,
    /// The binding of the connection, if the reflector ends its TLS.
    pub channel: Option<ChannelBinding>,
}

impl Challenge {
    /// What a key signs for this connection. Each part before the last has one length, and no context begins with another,
    /// so no two of these give the same bytes.
    pub(crate) fn statement(&self, context: &[u8], signed: &[u8]) -> Vec<u8> {
        let mut statement = context.to_vec();
        statement.extend_from_slice(&self.nonce.0);
        match self.channel {
            Some(ChannelBinding(binding)) => {
                statement.push(1);
                statement.extend_from_slice(&binding);
            }
            None => statement.push(0),
        }
        statement.extend_from_slice(signed);
        statement
    }
}

/// The signatures of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// By the key of the view.
    pub view: Signature,
    /// By the key of the password, if the join names one.
    pub password: Option<Signature>,
}

impl<'a> Join<'a> {
    /// The message that joins: with the signatures for this connection. The keys must be those that the join names.
    pub fn prove(
        self,
        challenge: &Challenge,
        view: &SecretKey,
        password: Option<&SecretKey>,
    ) -> ClientMessage<'a> {
        let statement = challenge.statement(CONTEXT, &join::signed(&self));
        let proof = Proof {
            view: view.sign(&statement),
            password: password.map(|key| key.sign(&statement)),
        };
        ClientMessage::Join(self, Box::new(proof))
    }
}

/// Whether this frame is a join that the holders of both keys have signed for this connection. The signatures cover the bytes
/// as they came, so fields of a later version are proven as well.
pub fn is_proven(frame: &[u8], challenge: &Challenge) -> bool {
    let Ok((JOIN, body)) = codec::split(frame) else { return false };
    let (Ok((_, signed, proof)), Ok((join, _))) = (join::parts(body), join::read(body)) else {
        return false;
    };
    let by_password = match (join.password_key, proof.password) {
        (Some(key), Some(signature)) => Some((key, signature)),
        (None, None) => None,
        _ => return false,
    };
    let statement = challenge.statement(CONTEXT, signed);
    // One after the other, because ed25519-dalek checks a batch less strictly.
    join.view_key.has_signed(&statement, &proof.view)
        && by_password.is_none_or(|(key, signature)| key.has_signed(&statement, &signature))
}

/// Further fields may follow: those of a later version of the protocol.
impl<'de> Deserialize<'de> for Greeting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Greeting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of a nonce, a flag, and any further fields")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Greeting, A::Error> {
                let missing = |at| serde::de::Error::invalid_length(at, &self);
                let nonce = fields.next_element::<Bin<Digest>>()?.ok_or_else(|| missing(0))?;
                let binds_channel = fields.next_element()?.ok_or_else(|| missing(1))?;
                while fields.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Greeting { nonce: nonce.0, binds_channel })
            }
        }

        deserializer.deserialize_seq(Fields)
    }
}

impl Serialize for Greeting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.nonce, self.binds_channel).serialize(serializer)
    }
}
