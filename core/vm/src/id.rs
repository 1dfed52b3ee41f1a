//! Identifiers: of sessions, views and models, and of states by their hash.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} hexadecimal digits")]
pub struct NoId(usize);

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        ///
        /// As text it is lower-case hexadecimal, in MessagePack a byte string.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                parse_hex(text).map(Self).ok_or(NoId(2 * $len))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
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
                    // Whoever writes JSON may have turned it into MessagePack as it was.
                    deserializer.deserialize_any(visitor).map(Self)
                }
            }
        }
    };
}

byte_id! {
    /// Names a session: app, room, options and model version.
    SessionId, 32
}
byte_id! {
    /// Names a view: one client instance in a session, across its reconnects.
    ViewId, 16
}
byte_id! {
    /// BLAKE3 of a snapshot: two states are equal if and only if their hashes are.
    StateHash, 32
}

impl StateHash {
    /// The hash of the state with this snapshot.
    pub fn of(snapshot: &[u8]) -> Self {
        Self(*blake3::hash(snapshot).as_bytes())
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

/// Names a model within a session. The root model is 1; ids are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub u64);

impl ModelId {
    /// The root model's.
    pub const ROOT: Self = Self(1);
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}", self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A [`ModelId`] that knows the type of its model. It may be kept in models and sent in events;
/// the model that it names may have been destroyed in the meantime.
pub struct Handle<M> {
    id: ModelId,
    model: PhantomData<fn() -> M>,
}

impl<M> Handle<M> {
    /// The handle of the model with this id; it answers nothing if that is of another type.
    pub const fn new(id: ModelId) -> Self {
        Self { id, model: PhantomData }
    }

    /// Its id.
    pub const fn id(self) -> ModelId {
        self.id
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Handle<M> {}

impl<M> PartialEq for Handle<M> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<M> Eq for Handle<M> {}

impl<M> PartialOrd for Handle<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Handle<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl<M> Hash for Handle<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<M> Serialize for Handle<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, M> Deserialize<'de> for Handle<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ModelId::deserialize(deserializer).map(Self::new)
    }
}

/// A scope of events. Anything that names something can be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(pub(crate) String);

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

macro_rules! scope_from {
    ($($name:ty),*) => {
        $(impl From<$name> for Scope {
            fn from(name: $name) -> Self {
                Self(name.to_string())
            }
        })*
    };
}
scope_from!(&str, &String, SessionId, ViewId, ModelId);

impl From<String> for Scope {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl<M> From<Handle<M>> for Scope {
    fn from(handle: Handle<M>) -> Self {
        handle.id.into()
    }
}
