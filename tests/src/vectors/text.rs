//! Values in the files of vectors, and the text of a file.

use serde_json::{Value, json};

/// Integers above this are text: not every reader of JSON has 64 bits.
const MAX_NUMBER: u64 = 1 << 53;

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    let digits: String = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.into()
}

/// Bytes as hexadecimal digits, or nil.
pub(super) fn optional_hex(bytes: Option<impl AsRef<[u8]>>) -> Value {
    bytes.map_or(Value::Null, hex)
}

/// The bytes of hexadecimal digits.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let digits = text(value)?;
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or("x"), 16);
    let bytes: Result<Vec<_>, _> = (0..digits.len()).step_by(2).map(pair).collect();
    bytes.map_err(|_| format!("expected hexadecimal digits, found {digits:?}"))
}

/// Bytes of this length.
pub(super) fn array<const N: usize>(value: &Value) -> Result<[u8; N], String> {
    bytes(value)?.try_into().map_err(|_| format!("expected {N} bytes, found {value}"))
}

/// A text.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a text, found {value}"))
}

/// A list.
pub(super) fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("expected a list, found {value}"))
}

/// An unsigned number.
pub(super) fn number(value: u64) -> Value {
    if value > MAX_NUMBER { value.to_string().into() } else { value.into() }
}

/// An unsigned number that was written by [`number`].
pub(super) fn read_number(value: &Value) -> Result<u64, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("expected a number, found {value}"))
}

/// A signed number.
pub(super) fn signed(value: i64) -> Value {
    if value.unsigned_abs() > MAX_NUMBER { value.to_string().into() } else { value.into() }
}

/// The bits of a float as hexadecimal digits.
pub(super) fn bits(value: f64) -> Value {
    hex(value.to_bits().to_be_bytes())
}

/// Fails with both values unless they are equal.
pub(super) fn expect_equal(what: &str, found: &Value, made: &Value) -> Result<(), String> {
    if found == made {
        return Ok(());
    }
    Err(format!("{what}: expected {found}, the code makes {made}"))
}

/// A file: a comment, and its vectors.
pub(super) fn file(comment: &str, vectors: Vec<Value>) -> Value {
    json!({ "comment": comment, "vectors": vectors })
}

/// The text of a file. Each vector has a line, so a change shows which vectors change.
pub(super) fn write(content: &Value) -> String {
    let Value::Object(parts) = content else { return format!("{content}\n") };
    let part = |(name, part): (&String, &Value)| match part {
        Value::Array(vectors) => {
            let lines: Vec<_> = vectors.iter().map(|vector| format!("    {vector}")).collect();
            format!("  {name:?}: [\n{}\n  ]", lines.join(",\n"))
        }
        other => format!("  {name:?}: {other}"),
    };
    let parts: Vec<_> = parts.iter().map(part).collect();
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}
