//! Values that cross the boundary as bytes, and how to read them without copying.

use rmp::Marker;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::boundary::boundary;
use crate::out::{Check, null};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};

/// The format of a payload.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
pub enum tea_format {
    /// MessagePack: smaller and faster. The tea_payload functions read it.
    Msgpack = 0,
    /// JSON in UTF-8. Byte strings become arrays of numbers, NaN and infinities become null.
    Json = 1,
}

/// The format with this number, which the caller may have made up.
pub(crate) fn format_of(number: i32) -> Result<tea_format> {
    match number {
        0 => Ok(tea_format::Msgpack),
        1 => Ok(tea_format::Json),
        _ => {
            let message = format!("{number} is not a tea_format");
            Err(Failure::new(tea_status::InvalidArgument, message))
        }
    }
}

/// A value as bytes, borrowed like a tea_str. A length of 0 means nil; the pointer may be NULL then.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_payload {
    /// The bytes.
    pub ptr: *const u8,
    /// The number of bytes.
    pub len: usize,
    /// The format: a tea_format.
    pub format: i32,
}

/// The type of a value.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_type {
    /// nil.
    Nil = 0,
    /// True or false.
    Bool = 1,
    /// A whole number.
    Int = 2,
    /// A floating-point number.
    Float = 3,
    /// A text.
    Str = 4,
    /// A string of bytes.
    Bytes = 5,
    /// A list of values.
    Array = 6,
    /// Pairs of keys and values.
    Map = 7,
}

const NIL: &[u8] = &[0xc0];

impl tea_payload {
    /// Borrows MessagePack.
    pub(crate) fn msgpack(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len(), format: tea_format::Msgpack as i32 }
    }

    /// Borrows bytes in this format.
    #[cfg(feature = "uniffi")]
    pub(crate) fn borrow(bytes: &[u8], format: tea_format) -> Self {
        Self { format: format as i32, ..Self::msgpack(bytes) }
    }

    fn bytes<'a>(self) -> Result<&'a [u8]> {
        match (self.ptr.is_null(), self.len) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(null("payload")),
            (false, len) if len > isize::MAX as usize => Err(too_long("payload")),
            // SAFETY: the caller of every export promises that the bytes are valid during the call.
            (false, len) => Ok(unsafe { std::slice::from_raw_parts(self.ptr, len) }),
        }
    }

    /// The value as MessagePack, valid during the call. JSON is converted.
    pub(crate) fn to_msgpack<'a>(self) -> Result<std::borrow::Cow<'a, [u8]>> {
        let (format, bytes) = (format_of(self.format)?, self.bytes()?);
        match format {
            _ if bytes.is_empty() => Ok(NIL.into()),
            tea_format::Msgpack => Ok(bytes.into()),
            tea_format::Json => {
                let value: serde_json::Value =
                    serde_json::from_slice(bytes).map_err(|error| bad("JSON", error))?;
                let bytes = teatime::to_bytes(&value);
                bytes.map(Into::into).map_err(|error| Failure::new(tea_status::Encoding, error))
            }
        }
    }

    /// The same, checked to be one whole value that is not nested too deeply. Models get it in its canonical form;
    /// this is the quick check before it is sent.
    pub(crate) fn to_whole_msgpack<'a>(self) -> Result<std::borrow::Cow<'a, [u8]>> {
        let bytes = self.to_msgpack()?;
        let mut rest = &*bytes;
        split(&mut rest)?;
        if rest.is_empty() { Ok(bytes) } else { Err(bad("MessagePack", "bytes follow the value")) }
    }

    /// The value as MessagePack that can be read in place.
    fn in_place<'a>(self) -> Result<&'a [u8]> {
        match (format_of(self.format)?, self.bytes()?) {
            (_, []) => Ok(NIL),
            (tea_format::Msgpack, bytes) => Ok(bytes),
            (tea_format::Json, _) => {
                let message = "only MessagePack can be read in place: convert it first";
                Err(Failure::new(tea_status::BadFormat, message))
            }
        }
    }
}

pub(crate) fn bad(format: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(tea_status::BadFormat, format!("not valid {format}: {error}"))
}

/// The deepest nesting that is read: untrusted bytes must not exhaust the stack.
const MAX_DEPTH: usize = teatime::limits::MAX_DEPTH;

/// Reads one value, borrowing texts and bytes.
fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut reader).map_err(|error| bad("MessagePack", error))
}

/// Splits off the first value.
fn split<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let start = *bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut *bytes);
    reader.set_max_depth(MAX_DEPTH);
    IgnoredAny::deserialize(&mut reader).map_err(|error| bad("MessagePack", error))?;
    Ok(&start[..start.len() - bytes.len()])
}

fn type_of(bytes: &[u8]) -> Result<tea_type> {
    let first = bytes.first().ok_or_else(|| bad("MessagePack", "it ends too early"))?;
    Ok(match Marker::from_u8(*first) {
        Marker::Null => tea_type::Nil,
        Marker::True | Marker::False => tea_type::Bool,
        Marker::FixPos(_) | Marker::FixNeg(_) => tea_type::Int,
        Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => tea_type::Int,
        Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => tea_type::Int,
        Marker::F32 | Marker::F64 => tea_type::Float,
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => tea_type::Str,
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => tea_type::Bytes,
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => tea_type::Array,
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => tea_type::Map,
        _ => return Err(bad("MessagePack", "it has an extension type")),
    })
}

/// The elements of an array, or the keys and values of a map in turn, and their number.
fn elements(bytes: &[u8]) -> Result<(tea_type, u32, &[u8])> {
    let mut rest = bytes;
    let kind = type_of(bytes)?;
    let count = match kind {
        tea_type::Array => rmp::decode::read_array_len(&mut rest),
        tea_type::Map => rmp::decode::read_map_len(&mut rest),
        other => return Err(wrong_type("an array or a map", other)),
    };
    Ok((kind, count.map_err(|error| bad("MessagePack", error))?, rest))
}

#[cold]
fn wrong_type(wanted: &str, found: tea_type) -> Failure {
    Failure::new(tea_status::WrongType, format!("expected {wanted}, found {found:?}"))
}

fn not_found(what: &str) -> Failure {
    Failure::new(tea_status::NotFound, format!("not found: {what}"))
}

/// One step of a path: an element of an array by index, of a map by key.
pub(crate) fn child<'a>(bytes: &'a [u8], step: &str) -> Result<&'a [u8]> {
    let (kind, count, mut rest) = elements(bytes)?;
    let step = step.replace("~1", "/").replace("~0", "~");
    let index = step.parse::<u32>().ok();
    for at in 0..count {
        let found = match kind {
            tea_type::Map => {
                let key = split(&mut rest)?;
                read::<&str>(key).is_ok_and(|key| key == step)
            }
            _ => Some(at) == index,
        };
        let value = split(&mut rest)?;
        if found {
            return Ok(value);
        }
    }
    Err(not_found(&format!("{step:?}")))
}

/// Finds a part of a value (MessagePack only). The path is a JSON pointer (RFC 6901): /items/0/html is the element html of
/// the first of items; the empty path is the whole value. The part borrows the bytes of the payload.
///
/// Fails with TEA_STATUS_NOT_FOUND, TEA_STATUS_WRONG_TYPE or TEA_STATUS_BAD_FORMAT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_get(
    payload: tea_payload,
    path: tea_str,
    part: *mut tea_payload,
) -> tea_status {
    boundary(|| {
        let part = part.check("part")?;
        let path = path.get("path")?;
        let mut bytes = payload.in_place()?;
        let mut steps = path.split('/');
        if steps.next() != Some("") {
            let message = format!("{path:?} is not a JSON pointer: it must begin with a slash");
            return Err(Failure::new(tea_status::InvalidArgument, message));
        }
        for step in steps {
            bytes = child(bytes, step)?;
        }
        part.set(tea_payload::msgpack(bytes));
        Ok(())
    })
}

/// The type of a value (MessagePack only).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_type(
    payload: tea_payload,
    found: *mut tea_type,
) -> tea_status {
    boundary(|| {
        let found = found.check("found")?;
        found.set(type_of(payload.in_place()?)?);
        Ok(())
    })
}

/// The number of elements of an array, or of pairs of a map (MessagePack only).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_count(payload: tea_payload, count: *mut usize) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        count.set(elements(payload.in_place()?)?.1 as usize);
        Ok(())
    })
}

/// The next element of an array, or the next key or value of a map (MessagePack only). Begin with tea_payload_enter;
/// *cursor becomes the rest. Fails with TEA_STATUS_NOT_FOUND at the end. The element and the cursor borrow the bytes of
/// the payload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_next(
    cursor: *mut tea_payload,
    element: *mut tea_payload,
) -> tea_status {
    boundary(|| {
        let element = element.check("element")?;
        let cursor = cursor.check("cursor")?;
        let mut rest = cursor.get().bytes()?;
        if rest.is_empty() {
            return Err(not_found("further element"));
        }
        element.set(tea_payload::msgpack(split(&mut rest)?));
        cursor.set(tea_payload::msgpack(rest));
        Ok(())
    })
}

/// Begins a walk through an array or a map (MessagePack only): pass `cursor` to tea_payload_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_enter(
    payload: tea_payload,
    cursor: *mut tea_payload,
) -> tea_status {
    boundary(|| {
        let cursor = cursor.check("cursor")?;
        let bytes = payload.in_place()?;
        let (kind, count, start) = elements(bytes)?;
        let mut rest = start;
        let values = u64::from(count) * if kind == tea_type::Map { 2 } else { 1 };
        for _ in 0..values {
            split(&mut rest)?;
        }
        // Bytes behind the array are not part of it.
        cursor.set(tea_payload::msgpack(&start[..start.len() - rest.len()]));
        Ok(())
    })
}

/// Reads true or false (MessagePack only).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_bool(payload: tea_payload, value: *mut bool) -> tea_status {
    boundary(|| scalar(payload, value, &[tea_type::Bool], "a bool"))
}

/// Reads a whole number (MessagePack only). Fails with TEA_STATUS_WRONG_TYPE if it is out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_i64(payload: tea_payload, value: *mut i64) -> tea_status {
    boundary(|| scalar(payload, value, &[tea_type::Int], "a number of 64 bits with sign"))
}

/// Reads a whole number from 0 to 2^64 - 1 (MessagePack only). Fails with TEA_STATUS_WRONG_TYPE if it is out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_u64(payload: tea_payload, value: *mut u64) -> tea_status {
    boundary(|| scalar(payload, value, &[tea_type::Int], "a number of 64 bits without sign"))
}

/// Reads a number, whole or not (MessagePack only).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_f64(payload: tea_payload, value: *mut f64) -> tea_status {
    boundary(|| scalar(payload, value, &[tea_type::Int, tea_type::Float], "a number"))
}

/// Reads a text (MessagePack only). It borrows the bytes of the payload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_str(payload: tea_payload, value: *mut tea_str) -> tea_status {
    boundary(|| {
        let value = value.check("value")?;
        let text: &str = typed(payload, &[tea_type::Str], "a text")?;
        value.set(text.into());
        Ok(())
    })
}

/// Reads a string of bytes (MessagePack only). They borrow the bytes of the payload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_payload_bytes(
    payload: tea_payload,
    bytes: *mut *const u8,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let (bytes, count) = (bytes.check("bytes")?, count.check("count")?);
        let found: &[u8] = typed(payload, &[tea_type::Bytes], "a string of bytes")?;
        bytes.set(found.as_ptr());
        count.set(found.len());
        Ok(())
    })
}

fn typed<'de, T: Deserialize<'de>>(
    payload: tea_payload,
    types: &[tea_type],
    wanted: &str,
) -> Result<T> {
    let bytes = payload.in_place()?;
    let found = type_of(bytes)?;
    if !types.contains(&found) {
        return Err(wrong_type(wanted, found));
    }
    // A number out of range means that the caller expects another type. All other errors mean bytes that end too
    // early.
    read(bytes).map_err(|failure| match found {
        tea_type::Int => Failure { status: tea_status::WrongType, ..failure },
        _ => failure,
    })
}

fn scalar<T: Deserialize<'static>>(
    payload: tea_payload,
    value: *mut T,
    types: &[tea_type],
    wanted: &str,
) -> Result<()> {
    let value = value.check("value")?;
    value.set(typed(payload, types, wanted)?);
    Ok(())
}
