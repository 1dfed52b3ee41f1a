//! Handles, which stand for blobs in models and events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use teatime_wire::Digest;

/// Start of the text of a handle.
const PREFIX: &str = "teatime-blob:";
/// Root, size, mark.
const BYTES: usize = 32 + 8 + MARK;
/// Largest size that a handle may state: all languages with handles can express it.
const MAX_SIZE: u64 = i64::MAX as u64;
/// Length of the mark of a space.
pub(crate) const MARK: usize = 16;

/// Stands for a blob: a small value that models hold, events carry, and users pass on.
///
/// A handle is bound to the room in which the blob was stored, and to its password. In another room, fetching
/// fails with [`BlobError::OtherSession`](crate::BlobError::OtherSession). Equal content that is stored twice in
/// a room has equal handles.
///
/// Serialized it is always text: `teatime-blob:` and 112 hexadecimal digits. So a client finds the handles in
/// the bytes of a state, whatever language the model is written in. A model that holds a handle in another form
/// does not prevent the server from removing the blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHandle {
    pub(crate) root: Digest,
    pub(crate) size: u64,
    pub(crate) mark: [u8; MARK],
}

/// A text that is not a valid handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid blob handle: expected {PREFIX} and {digits} hexadecimal digits", digits = 2 * BYTES)]
pub struct InvalidHandleError;

impl BlobHandle {
    /// Size of the blob in bytes: less than 2^63.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The name by which servers know the blob.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// All handles whose text occurs in these bytes, in order. A handle that occurs twice comes twice.
    pub fn scan(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let text = PREFIX.len() + 2 * BYTES;
        // Searches for the rarest character first, because this runs over whole states.
        let colon = PREFIX.len() - 1;
        let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':');
        colons.filter_map(move |(at, _)| {
            let start = at.checked_sub(colon)?;
            let candidate = std::str::from_utf8(bytes.get(start..start + text)?).ok()?;
            candidate.parse().ok()
        })
    }
}

impl fmt::Display for BlobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        let size = self.size.to_be_bytes();
        let bytes = self.root.0.iter().chain(&size).chain(&self.mark);
        bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobHandle {
    type Err = InvalidHandleError;

    fn from_str(text: &str) -> Result<Self, InvalidHandleError> {
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidHandleError)?.as_bytes();
        if digits.len() != 2 * BYTES {
            return Err(InvalidHandleError);
        }
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        let (root, rest) = bytes.split_at(32);
        let (size, mark) = rest.split_at(8);
        let part = "the bytes were split into parts of these lengths";
        let size = u64::from_be_bytes(size.try_into().expect(part));
        if size > MAX_SIZE {
            return Err(InvalidHandleError);
        }
        Ok(Self {
            root: Digest(root.try_into().expect(part)),
            size,
            mark: mark.try_into().expect(part),
        })
    }
}

/// The value of a lower-case digit. Upper case is refused, because a handle must have only one text.
fn digit(letter: u8) -> Result<u8, InvalidHandleError> {
    match letter {
        b'0'..=b'9' => Ok(letter - b'0'),
        b'a'..=b'f' => Ok(letter - b'a' + 10),
        _ => Err(InvalidHandleError),
    }
}

impl Serialize for BlobHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As one string, because some formats would write it in pieces.
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for BlobHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = BlobHandle;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob handle")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlobHandle, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLE: BlobHandle = BlobHandle { root: Digest([0xab; 32]), size: 258, mark: [9; MARK] };

    #[test]
    fn a_handle_is_the_same_text_in_all_formats_and_comes_back() {
        let text = HANDLE.to_string();
        assert_eq!(text.len(), 125);
        assert_eq!(text.parse(), Ok(HANDLE));
        let json = serde_json::to_string(&HANDLE).expect("it can be serialized");
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<BlobHandle>(&json).ok(), Some(HANDLE));
        let packed = rmp_serde::to_vec(&HANDLE).expect("it can be serialized");
        assert_eq!(&packed[packed.len() - text.len()..], text.as_bytes());
        assert_eq!(rmp_serde::from_slice::<BlobHandle>(&packed).ok(), Some(HANDLE));
    }

    #[test]
    fn invalid_handles_are_refused() {
        let text = HANDLE.to_string();
        let wrong = [
            "",
            "teatime-blob:",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.replace('b', "B"),
            &text.replacen("ab", "ü", 1),
            &text.replacen("ab", "xy", 1),
            // More than a signed 64-bit integer can express.
            &BlobHandle { size: MAX_SIZE + 1, ..HANDLE }.to_string(),
        ];
        let largest = BlobHandle { size: MAX_SIZE, ..HANDLE };
        assert_eq!(largest.to_string().parse(), Ok(largest));
        for wrong in wrong {
            assert_eq!(wrong.parse::<BlobHandle>(), Err(InvalidHandleError), "{wrong}");
        }
    }

    #[test]
    fn handles_are_found_anywhere_in_a_state() {
        let other = BlobHandle { size: 3, ..HANDLE };
        let state = (1, vec![Some(HANDLE), None], "teatime-blob:no", format!("see {other}."));
        let bytes = rmp_serde::to_vec(&state).expect("it can be serialized");
        assert_eq!(BlobHandle::scan(&bytes).collect::<Vec<_>>(), [HANDLE, other]);
        for cut in 0..HANDLE.to_string().len() {
            let text = HANDLE.to_string();
            assert_eq!(BlobHandle::scan(&text.as_bytes()[..cut]).count(), 0);
        }
    }
}
