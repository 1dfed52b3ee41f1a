//! Values that C owns: put together by calls, converted, or returned by a query.

use parking_lot::Mutex;
use rmp::encode as mp;
use teatime::Payload;

use crate::boundary::boundary;
use crate::handle::{Held, held};
use crate::out::{Check, null};
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};

/// A value that the caller owns. Free it with tea_value_free.
#[derive(Debug)]
pub struct tea_value {
    _opaque: [u8; 0],
}

/// The bytes of a value, and the elements that it still lacks.
pub(crate) struct Value(Mutex<State>);

struct State {
    bytes: Vec<u8>,
    format: tea_format,
    /// For every array and map that has begun: the number of values that it still lacks.
    open: Vec<u64>,
    complete: bool,
}

held!(Value, tea_value, "tea_value");

impl Value {
    /// A value to put together.
    pub(crate) fn empty() -> Self {
        let format = tea_format::Msgpack;
        Self(Mutex::new(State { bytes: Vec::new(), format, open: Vec::new(), complete: false }))
    }

    /// A whole value.
    pub(crate) fn whole(bytes: Vec<u8>, format: tea_format) -> Self {
        Self(Mutex::new(State { bytes, format, open: Vec::new(), complete: true }))
    }

    /// A payload in this format. Structs are maps with names.
    pub(crate) fn of_payload(payload: &Payload, format: tea_format) -> Result<Self> {
        let mut bytes = Vec::new();
        append_payload(&mut bytes, payload, format)?;
        Ok(Self::whole(bytes, format))
    }

    /// The bytes, if no element is missing. An empty value is nil.
    pub(crate) fn finish(&self) -> Result<Vec<u8>> {
        let mut state = self.0.lock();
        state.check_whole()?;
        Ok(std::mem::take(&mut state.bytes))
    }

    /// Checks that the next value, which is whole, is not nested too deeply.
    fn check_depth(&self, item: &[u8]) -> Result<()> {
        const ARRAY_OF_ONE: u8 = 0x91;
        let mut nested = vec![ARRAY_OF_ONE; self.0.lock().open.len()];
        nested.extend_from_slice(item);
        let fits = teatime::canonical(&nested).map(|_| ());
        fits.map_err(|error| Failure::new(tea_status::InvalidArgument, error))
    }

    fn put(&self, follow: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut state = self.0.lock();
        if state.complete {
            let message = "the value is complete: nothing can follow";
            return Err(Failure::new(tea_status::ValueComplete, message));
        }
        if follow > 0 && state.open.len() >= teatime::limits::MAX_DEPTH - 1 {
            return Err(Failure::new(
                tea_status::InvalidArgument,
                "the value is nested too deeply",
            ));
        }
        write(&mut state.bytes);
        if let Some(lacking) = state.open.last_mut() {
            *lacking -= 1;
        }
        if follow > 0 {
            state.open.push(follow);
        }
        while state.open.last() == Some(&0) {
            state.open.pop();
        }
        state.complete = state.open.is_empty();
        Ok(())
    }
}

impl State {
    fn check_whole(&mut self) -> Result<()> {
        if !self.complete && self.bytes.is_empty() {
            self.bytes.push(0xc0);
            self.complete = true;
        }
        if self.complete {
            return Ok(());
        }
        let lacking: u64 = self.open.iter().sum();
        let message = format!("arrays and maps of the value lack {lacking} elements");
        Err(Failure::new(tea_status::ValueIncomplete, message))
    }
}

/// Appends a payload. Structs are maps with names.
pub(crate) fn append_payload(
    bytes: &mut Vec<u8>,
    payload: &Payload,
    format: tea_format,
) -> Result<()> {
    let appended = match format {
        tea_format::Msgpack => payload.append_named(bytes),
        tea_format::Json => payload.append_json(bytes),
    };
    appended.map_err(|error| Failure::new(tea_status::Encoding, error))
}

/// Writing into a `Vec` cannot fail.
macro_rules! put {
    ($call:expr) => {{
        let _ = $call;
    }};
}

/// Makes an empty value. Fill it with tea_value_put calls: one call for a plain value; for an array or a map one call with
/// the number of elements, then the elements. The caller frees the value with tea_value_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_new(value: *mut *mut tea_value) -> tea_status {
    boundary(|| {
        let value = value.check("value")?;
        value.set(Value::empty().hand_out()?);
        Ok(())
    })
}

/// Converts a payload to `format`, a tea_format: it reads JSON and prints MessagePack. The caller frees the value with
/// tea_value_free.
///
/// Fails with TEA_STATUS_BAD_FORMAT if the payload is not valid in its own format, and with TEA_STATUS_ENCODING if
/// `format` cannot express it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_convert(
    payload: tea_payload,
    format: i32,
    value: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let value = value.check("value")?;
        let format = format_of(format)?;
        let payload = checked(payload)?;
        value.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}

/// The checked bytes of a payload, in their canonical form.
pub(crate) fn canonical(payload: tea_payload) -> Result<Vec<u8>> {
    let bytes = payload.to_msgpack()?;
    teatime::canonical(&bytes).map_err(|error| Failure::new(tea_status::BadFormat, error))
}

/// The checked payload.
pub(crate) fn checked(payload: tea_payload) -> Result<Payload> {
    Ok(Payload::from_msgpack(&canonical(payload)?))
}

/// The payload of a complete value. An empty value is nil. The payload is valid until the value is freed.
///
/// Fails with TEA_STATUS_VALUE_INCOMPLETE if an array or a map lacks elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_payload(
    value: *const tea_value,
    payload: *mut tea_payload,
) -> tea_status {
    boundary(|| {
        let payload = payload.check("payload")?;
        Value::with(value, |value| {
            let mut state = value.0.lock();
            state.check_whole()?;
            let State { bytes, format, .. } = &*state;
            payload.set(tea_payload { format: *format as i32, ..tea_payload::msgpack(bytes) });
            Ok(())
        })
    })
}

/// Frees a value. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_free(value: *mut tea_value) -> tea_status {
    boundary(|| Value::free(value))
}

/// Puts nil.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_nil(value: *mut tea_value) -> tea_status {
    put(value, 0, |bytes| put!(mp::write_nil(bytes)))
}

/// Puts true or false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_bool(value: *mut tea_value, item: bool) -> tea_status {
    put(value, 0, |bytes| put!(mp::write_bool(bytes, item)))
}

/// Puts a whole number from -2^63 to 2^63 - 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_i64(value: *mut tea_value, item: i64) -> tea_status {
    put(value, 0, |bytes| put!(mp::write_sint(bytes, item)))
}

/// Puts a whole number from 0 to 2^64 - 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_u64(value: *mut tea_value, item: u64) -> tea_status {
    put(value, 0, |bytes| put!(mp::write_uint(bytes, item)))
}

/// Puts a floating-point number. Every NaN becomes the same NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_f64(value: *mut tea_value, item: f64) -> tea_status {
    // The bits of a NaN differ between platforms.
    let item = if item.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { item };
    put(value, 0, |bytes| put!(mp::write_f64(bytes, item)))
}

/// Puts a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_str(value: *mut tea_value, item: tea_str) -> tea_status {
    boundary(|| {
        let item = item.get("item")?;
        u32::try_from(item.len()).map_err(|_| too_long("item"))?;
        Value::with(value, |value| value.put(0, |bytes| put!(mp::write_str(bytes, item))))
    })
}

/// Puts a string of bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_bytes(
    value: *mut tea_value,
    item: *const u8,
    count: usize,
) -> tea_status {
    boundary(|| {
        u32::try_from(count).map_err(|_| too_long("item"))?;
        let item = match (item.is_null(), count) {
            (_, 0) => &[],
            (true, _) => return Err(null("item")),
            // SAFETY: the caller of every export promises that the bytes are valid during the call.
            (false, _) => unsafe { std::slice::from_raw_parts(item, count) },
        };
        Value::with(value, |value| value.put(0, |bytes| put!(mp::write_bin(bytes, item))))
    })
}

/// Begins an array: `count` values follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_array(value: *mut tea_value, count: u32) -> tea_status {
    put(value, u64::from(count), |bytes| put!(mp::write_array_len(bytes, count)))
}

/// Begins a map: `count` pairs follow, each a key and a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_map(value: *mut tea_value, count: u32) -> tea_status {
    put(value, 2 * u64::from(count), |bytes| put!(mp::write_map_len(bytes, count)))
}

/// Puts a whole value, in either format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_value_put_payload(
    value: *mut tea_value,
    item: tea_payload,
) -> tea_status {
    boundary(|| {
        let item = canonical(item)?;
        Value::with(value, |value| {
            value.check_depth(&item)?;
            value.put(0, |bytes| bytes.extend_from_slice(&item))
        })
    })
}

fn put(value: *const tea_value, follow: u64, write: impl FnOnce(&mut Vec<u8>)) -> tea_status {
    boundary(|| Value::with(value, |value| value.put(follow, write)))
}
