//! Payloads: the values that events and future messages carry.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::encode;

/// A value that an event or a future message can carry, or that a handler takes: an owned serde value. Every
/// type with these bounds implements it.
pub trait Value: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Value for T {}

/// Why a payload cannot be read as some type, or cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(String);

/// The value that an event carries.
///
/// Within a process the value is shared, not encoded. It is encoded as MessagePack only for a receiver that
/// wants another type, or lives in another process or language.
#[derive(Clone)]
pub struct Payload(Repr);

#[derive(Clone)]
enum Repr {
    Unit,
    Value(Arc<dyn Erased>),
    Encoded(Arc<[u8]>),
}

trait Erased: Any + Send + Sync {
    fn encode(&self) -> Result<Vec<u8>, PayloadError>;
    fn to_json(&self) -> Result<serde_json::Value, PayloadError>;
    fn append_named(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError>;
    fn append_json(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError>;
    fn as_any(&self) -> &dyn Any;
}

impl<T: Serialize + Send + Sync + 'static> Erased for T {
    fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        encode::to_bytes(self).map_err(wrong)
    }

    fn to_json(&self) -> Result<serde_json::Value, PayloadError> {
        serde_json::to_value(self).map_err(wrong)
    }

    fn append_named(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError> {
        rmp_serde::encode::write_named(bytes, self).map_err(wrong)
    }

    fn append_json(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError> {
        serde_json::to_writer(bytes, self).map_err(wrong)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn wrong(error: impl fmt::Display) -> PayloadError {
    PayloadError(error.to_string())
}

/// Nil in MessagePack.
const NIL: [u8; 1] = [0xc0];

impl Payload {
    /// The payload without a value.
    pub const UNIT: Self = Self(Repr::Unit);

    #[inline]
    pub(crate) fn is_unit(&self) -> bool {
        matches!(self.0, Repr::Unit)
    }

    /// Carries a value.
    pub fn new<T: Serialize + Send + Sync + 'static>(value: T) -> Self {
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return Self::UNIT;
        }
        Self(Repr::Value(Arc::new(value)))
    }

    /// Carries MessagePack. It is checked when it is read.
    pub fn from_msgpack(bytes: &[u8]) -> Self {
        if bytes == NIL { Self::UNIT } else { Self(Repr::Encoded(bytes.into())) }
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// If the value is not a `T`.
    pub fn get<T: DeserializeOwned + Clone + 'static>(&self) -> Result<T, PayloadError> {
        match self.value::<T>() {
            Some(value) => Ok(value.clone()),
            None => self.decode(),
        }
    }

    /// Runs a closure with the value as a `T`. It is not copied if it already is a `T`.
    ///
    /// # Errors
    /// If the value is not a `T`.
    pub fn with<T: DeserializeOwned + 'static, R>(
        &self,
        run: impl FnOnce(&T) -> R,
    ) -> Result<R, PayloadError> {
        match self.value::<T>() {
            Some(value) => Ok(run(value)),
            None => self.decode().map(|value| run(&value)),
        }
    }

    fn value<T: 'static>(&self) -> Option<&T> {
        match &self.0 {
            Repr::Unit => (&() as &dyn Any).downcast_ref(),
            Repr::Value(value) => (**value).as_any().downcast_ref(),
            Repr::Encoded(_) => None,
        }
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        decode(&self.to_msgpack()?)
    }

    /// The value as canonical MessagePack, or the MessagePack that it was made from.
    ///
    /// # Errors
    /// If the value cannot be encoded.
    pub fn to_msgpack(&self) -> Result<Arc<[u8]>, PayloadError> {
        match &self.0 {
            Repr::Unit => Ok(Arc::new(NIL)),
            Repr::Value(value) => value.encode().map(Arc::from),
            Repr::Encoded(bytes) => Ok(bytes.clone()),
        }
    }

    /// The value as JSON. Byte strings become arrays of numbers.
    ///
    /// # Errors
    /// If the value cannot be encoded.
    pub fn to_json(&self) -> Result<serde_json::Value, PayloadError> {
        match &self.0 {
            Repr::Unit => Ok(serde_json::Value::Null),
            Repr::Value(value) => value.to_json(),
            Repr::Encoded(bytes) => transcode(bytes, serde_json::value::Serializer),
        }
    }

    /// Appends the value as MessagePack for receivers that do not know its type: structs are maps with names,
    /// unless the value was encoded before.
    ///
    /// Models must not see this form, because it would differ before and after a snapshot.
    ///
    /// # Errors
    /// If the value cannot be encoded.
    pub fn append_named(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError> {
        match &self.0 {
            Repr::Unit => bytes.extend(NIL),
            Repr::Value(value) => return value.append_named(bytes),
            Repr::Encoded(encoded) => bytes.extend_from_slice(encoded),
        }
        Ok(())
    }

    /// Appends the value as JSON text, with the same content as [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// If the value cannot be encoded. Nothing is appended then.
    pub fn append_json(&self, bytes: &mut Vec<u8>) -> Result<(), PayloadError> {
        match &self.0 {
            Repr::Unit => bytes.extend(b"null"),
            Repr::Value(value) => return value.append_json(bytes),
            Repr::Encoded(encoded) => {
                let start = bytes.len();
                let mut json = serde_json::Serializer::new(&mut *bytes);
                let written = transcode(encoded, &mut json);
                if written.is_err() {
                    bytes.truncate(start);
                }
                return written;
            }
        }
        Ok(())
    }
}

/// Converts a whole value of MessagePack into another format.
fn transcode<S: serde::Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, PayloadError> {
    let mut rest = bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(crate::limits::MAX_DEPTH);
    let written = serde_transcode::transcode(&mut reader, to).map_err(wrong)?;
    if rest.is_empty() { Ok(written) } else { Err(PayloadError("bytes follow the value".into())) }
}

/// Reads a whole value of MessagePack.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(crate::limits::MAX_DEPTH);
    let value = T::deserialize(&mut reader).map_err(wrong)?;
    // Reading another marker fails in this way only if no byte is left.
    match bool::deserialize(&mut reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(PayloadError("bytes follow the value".into())),
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Ok(json) => write!(f, "{json}"),
            Err(error) => write!(f, "({error})"),
        }
    }
}
