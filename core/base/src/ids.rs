//! Values of fixed size: ids of sessions, views and contents, public keys and signatures.
//!
//! As text they are lower-case hexadecimal digits, in MessagePack byte strings.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a valid id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: expected {digits} hexadecimal digits")]
pub struct InvalidIdError {
    digits: usize,
}

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(&Hex(&self.0))
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let visitor = BytesOrHex::<$len>;
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(visitor).map(Self)
                } else {
                    // Also text and numbers, because the payload of an app may have been JSON. Messages of the
                    // protocol take byte strings only: `teatime-wire` reads their ids by itself.
                    deserializer.deserialize_any(visitor).map(Self)
                }
            }
        }
    };
}

macro_rules! shown_as_hex {
    ($name:ident, $len:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Hex(&self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Hex(&self.0), f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidIdError;

            fn from_str(text: &str) -> Result<Self, InvalidIdError> {
                parse_hex(text).map(Self).ok_or(InvalidIdError { digits: 2 * $len })
            }
        }
    };
}

bytes! {
    /// Id of a session: a hash of app, room name, password, options and models. Clients that differ in one of these are in
    /// different sessions. A reflector cannot read any of them from the id, but makes the [id](SessionId::of) itself.
    SessionId, 32
}
bytes! {
    /// Id of a view: one client instance in a session. It stays the same when the client reconnects. It is
    /// derived from the view's [`PublicKey`], so only the holder of the secret key can be this view.
    ViewId, 16
}
bytes! {
    /// BLAKE3 of some bytes: names content by its hash.
    Digest, 32
}
bytes! {
    /// BLAKE3 of a snapshot: two states are equal if and only if their hashes are equal.
    StateHash, 32
}
bytes! {
    /// A public key, of a view or of a password: it checks what the holder of the [secret key](crate::SecretKey) signs.
    PublicKey, 32
}
bytes! {
    /// A signature: only the holder of a [secret key](crate::SecretKey) could make it.
    Signature, 64
}
shown_as_hex!(SessionId, 32);
shown_as_hex!(ViewId, 16);
shown_as_hex!(Digest, 32);
shown_as_hex!(StateHash, 32);
shown_as_hex!(PublicKey, 32);
shown_as_hex!(Signature, 64);

impl SessionId {
    /// The session of a [program] in the [room] with this id, for this declared version of the app. Client and reflector
    /// both make it from what a join proves. So a session is in one room only, whatever a client claims, and with a password
    /// only a client that knows the password can name it.
    ///
    /// [program]: crate::program
    /// [room]: crate::room_id
    pub fn of(room: Digest, version: u32, program: Digest) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("teatime v1 session id");
        hasher.update(&room.0).update(&version.to_be_bytes()).update(&program.0);
        Self(*hasher.finalize().as_bytes())
    }
}

impl Digest {
    /// BLAKE3 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl StateHash {
    /// The hash of the state with this snapshot.
    pub fn of(snapshot: &[u8]) -> Self {
        Self(*blake3::hash(snapshot).as_bytes())
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

struct BytesOrHex<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for BytesOrHex<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes, or {} hexadecimal digits", 2 * N)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_hex(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(at, &self))?;
        }
        match seq.next_element::<u8>()? {
            None => Ok(bytes),
            Some(_) => Err(de::Error::invalid_length(N + 1, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: ViewId = ViewId([0xab; 16]);

    #[test]
    fn an_id_comes_back_from_its_text() {
        assert_eq!(VIEW.to_string(), "ab".repeat(16));
        assert_eq!(VIEW.to_string().parse(), Ok(VIEW));
        assert_eq!(VIEW.to_string().to_uppercase().parse(), Ok(VIEW));
        for wrong in ["", "ab", &"ab".repeat(17), &"xy".repeat(16), &"é".repeat(16)] {
            assert_eq!(wrong.parse::<ViewId>(), Err(InvalidIdError { digits: 32 }), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_a_byte_string_in_messagepack_and_is_read_from_text_too() {
        let bytes = rmp_serde::to_vec(&VIEW).expect("an id can be encoded");
        // c4: a byte string with a length of one byte.
        assert_eq!(bytes, [&[0xc4, 16][..], &VIEW.0].concat());
        assert_eq!(rmp_serde::from_slice::<ViewId>(&bytes).ok(), Some(VIEW));
        let text = rmp_serde::to_vec(&VIEW.to_string()).expect("text can be encoded");
        assert_eq!(rmp_serde::from_slice::<ViewId>(&text).ok(), Some(VIEW));
        let list = rmp_serde::to_vec(&VIEW.0).expect("numbers can be encoded");
        assert_eq!(rmp_serde::from_slice::<ViewId>(&list).ok(), Some(VIEW));
        for wrong in [&[0u8; 15][..], &[0; 17]] {
            let bytes = rmp_serde::to_vec(&serde_bytes::Bytes::new(wrong)).expect("bytes");
            assert!(rmp_serde::from_slice::<ViewId>(&bytes).is_err());
        }
    }
}
