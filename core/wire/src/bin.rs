//! Ids, keys and signatures on the wire: byte strings of exactly their length; and byte strings of any length.
//!
//! Ids can also be read from hexadecimal digits, because the payloads of apps may come from JSON. A message has one
//! encoding of an id only, so its fields are read by these functions.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{Digest, PublicKey, SessionId, Signature, ViewId};

/// An id that is read from a byte string, and from nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bin<T>(pub(crate) T);

/// What is a byte string of a fixed length on the wire.
pub(crate) trait Id: Sized {
    const LENGTH: usize;

    /// `None` if the length is another.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! ids {
    ($($name:ident: $length:literal),*) => {
        $(impl Id for $name {
            const LENGTH: usize = $length;

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        })*
    };
}

ids!(SessionId: 32, ViewId: 16, Digest: 32, PublicKey: 32, Signature: 64);

struct BinVisitor<T>(PhantomData<T>);

impl<T: Id> Visitor<'_> for BinVisitor<T> {
    type Value = Bin<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a byte string of {} bytes", T::LENGTH)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        T::from_bytes(bytes).map(Bin).ok_or_else(|| E::invalid_length(bytes.len(), &self))
    }
}

impl<'de, T: Id> Deserialize<'de> for Bin<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BinVisitor(PhantomData))
    }
}

/// Bytes that are read from a byte string, and from nothing else: `serde_bytes` would take a text as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Raw(bytes))
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(RawVisitor)
    }
}

/// Reads bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
    Raw::deserialize(deserializer).map(|raw| raw.0)
}

/// Reads bytes, or nil.
pub(crate) fn optional_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de [u8]>, D::Error> {
    Option::<Raw<'de>>::deserialize(deserializer).map(|raw| raw.map(|raw| raw.0))
}

/// Reads an id.
pub(crate) fn id<'de, D: Deserializer<'de>, T: Id>(deserializer: D) -> Result<T, D::Error> {
    Bin::deserialize(deserializer).map(|bin| bin.0)
}

/// Reads an id, or nil.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Id>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<Bin<T>>::deserialize(deserializer).map(|bin| bin.map(|bin| bin.0))
}
