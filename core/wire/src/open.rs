//! Arrays that may be longer than this version knows: further fields, of a later version, are ignored.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Fields that are read from an array, and from nothing else. The array may be longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open<T>(pub(crate) T);

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of known fields, and any further fields")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<T, A::Error> {
        let known = T::deserialize(SeqAccessDeserializer::new(&mut fields))?;
        while fields.next_element::<IgnoredAny>()?.is_some() {}
        Ok(known)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Open<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Fields(PhantomData)).map(Self)
    }
}

/// Reads a field that is such an array.
pub(crate) fn fields<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Open::deserialize(deserializer).map(|open| open.0)
}

/// Reads a field that is such an array, or nil.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<Open<T>>::deserialize(deserializer).map(|open| open.map(|open| open.0))
}

/// A list of such arrays.
#[derive(Debug, Clone)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Open<T>>::deserialize(deserializer)?;
        Ok(Self(list.into_iter().map(|open| open.0).collect()))
    }
}

/// Reads a field that is a list of such arrays.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    List::deserialize(deserializer).map(|list| list.0)
}
