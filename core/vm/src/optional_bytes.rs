//! Serde for bytes that may be missing: a byte string or nil, where a plain `Option<Arc<[u8]>>` would
//! become a list of numbers. For `#[serde(with = "…")]`.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

/// Writes a byte string, or nil.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    bytes: &Option<Arc<[u8]>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    bytes.as_deref().map(Bytes::new).serialize(serializer)
}

/// Reads a byte string, or nil.
///
/// # Errors
/// Those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<[u8]>>, D::Error> {
    let bytes = Option::<ByteBuf>::deserialize(deserializer)?;
    Ok(bytes.map(|bytes| bytes.into_vec().into()))
}
