//! Canonical MessagePack: equal values give equal bytes, on every platform.
//!
//! - Integers and lengths take their shortest form.
//! - Structs are arrays in field order, enum variants go by name.
//! - Every NaN has the same bits. Rust promises nothing about the bits of a computed NaN, and they must not
//!   make participants differ.
//!
//! rmp-serde reads what is written here.

use std::fmt::Display;

use rmp::encode as mp;
use serde::Deserialize;
use serde::ser::{self, Serialize};

use crate::limits::MAX_DEPTH;

/// Why a value cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(String);

impl EncodeError {
    pub(crate) fn new(why: String) -> Self {
        Self(why)
    }
}

impl ser::Error for EncodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The canonical bytes of a value.
///
/// # Errors
/// Why MessagePack cannot express the value.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    append(&mut bytes, value)?;
    Ok(bytes)
}

/// The canonical bytes of a value that is already MessagePack.
///
/// # Errors
/// Unless it is exactly one value, without extension types, nested at most [`MAX_DEPTH`] levels deep.
pub fn canonical(msgpack: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let no_value = |error: &dyn Display| EncodeError(format!("not valid MessagePack: {error}"));
    let mut rest = msgpack;
    // Checks the depth like everywhere else, because rmpv counts levels in another way.
    let mut whole = split_value(&mut rest).map_err(|error| no_value(&error))?;
    if !rest.is_empty() {
        return Err(EncodeError("bytes follow the value".into()));
    }
    let value = rmpv::decode::read_value_with_max_depth(&mut whole, 3 * MAX_DEPTH)
        .map_err(|error| no_value(&error))?;
    if has_extension(&value) {
        return Err(EncodeError("extension types of MessagePack are not supported".into()));
    }
    to_bytes(&value)
}

fn has_extension(value: &rmpv::Value) -> bool {
    match value {
        rmpv::Value::Ext(..) => true,
        rmpv::Value::Array(values) => values.iter().any(has_extension),
        rmpv::Value::Map(pairs) => {
            pairs.iter().any(|(key, value)| has_extension(key) || has_extension(value))
        }
        _ => false,
    }
}

/// Splits the first value of MessagePack off the front.
pub(crate) fn split_value<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], EncodeError> {
    let start = *bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut *bytes);
    reader.set_max_depth(MAX_DEPTH);
    serde::de::IgnoredAny::deserialize(&mut reader)
        .map_err(|error| EncodeError(error.to_string()))?;
    Ok(&start[..start.len() - bytes.len()])
}

/// Appends the canonical bytes of a value.
pub(crate) fn append<T: Serialize + ?Sized>(
    bytes: &mut Vec<u8>,
    value: &T,
) -> Result<(), EncodeError> {
    value.serialize(&mut Encoder { bytes })
}

struct Encoder<'a> {
    bytes: &'a mut Vec<u8>,
}

/// Writing into a `Vec` cannot fail: the process aborts when it is out of memory.
macro_rules! put {
    ($call:expr) => {{
        let _ = $call;
        Ok(())
    }};
}

fn length(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| EncodeError("longer than MessagePack can express".into()))
}

impl<'a> Encoder<'a> {
    fn array(&mut self, len: usize) -> Result<(), EncodeError> {
        put!(mp::write_array_len(&mut self.bytes, length(len)?))
    }

    fn map(&mut self, len: usize) -> Result<(), EncodeError> {
        put!(mp::write_map_len(&mut self.bytes, length(len)?))
    }

    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.map(1)?;
        put!(mp::write_str(&mut self.bytes, name))
    }
}

impl ser::Serializer for &mut Encoder<'_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        put!(mp::write_bool(&mut self.bytes, value))
    }

    fn serialize_i8(self, value: i8) -> Result<(), EncodeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), EncodeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), EncodeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), EncodeError> {
        put!(mp::write_sint(&mut self.bytes, value))
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), EncodeError> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), EncodeError> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), EncodeError> {
        put!(mp::write_uint(&mut self.bytes, value))
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        let value = if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value };
        put!(mp::write_f32(&mut self.bytes, value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        let value = if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value };
        put!(mp::write_f64(&mut self.bytes, value))
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        length(value.len())?;
        put!(mp::write_str(&mut self.bytes, value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        length(value.len())?;
        put!(mp::write_bin(&mut self.bytes, value))
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        put!(mp::write_nil(&mut self.bytes))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        // As rmp-serde expects it.
        self.array(0)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, EncodeError> {
        let len = len.ok_or_else(|| EncodeError("a sequence of unknown length".into()))?;
        self.array(len)?;
        Ok(self)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self, EncodeError> {
        self.array(len)?;
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self, EncodeError> {
        self.array(len)?;
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(variant)?;
        self.array(len)?;
        Ok(self)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, EncodeError> {
        let len = len.ok_or_else(|| EncodeError("a map of unknown length".into()))?;
        self.map(len)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, EncodeError> {
        self.array(len)?;
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(variant)?;
        self.array(len)?;
        Ok(self)
    }
}

macro_rules! compound {
    ($($name:ident $method:ident),*) => {
        $(impl ser::$name for &mut Encoder<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        })*
    };
}
compound!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! named {
    ($($name:ident),*) => {
        $(impl ser::$name for &mut Encoder<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        })*
    };
}
named!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}
