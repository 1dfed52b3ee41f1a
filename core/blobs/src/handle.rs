//! What stands for a blob in models and events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use teatime_wire::Digest;

/// With this the text of every handle begins.
const PREFIX: &str = "teatime-blob:";
/// Root, size, mark.
const BYTES: usize = 32 + 8 + MARK;
/// No blob is larger; every language that has handles can count so far.
const MAX_SIZE: u64 = i64::MAX as u64;
/// Length of the mark of a space.
pub(crate) const MARK: usize = 16;

/// Stands for a blob: a small value that may be kept in models, sent in events, and handed to others.
///
/// It is bound to the room in which the blob was stored, and to its password: anywhere else it is
/// [`BlobError::OtherSession`](crate::BlobError::OtherSession). Equal content that is stored twice in a
/// room has equal handles.
///
/// However it is serialized it is text: `teatime-blob:` and 112 digits. So the handles that a state refers
/// to are found in the state's bytes, whatever language it is of. A model that keeps a handle in
/// another form keeps no blob alive. The size that it tells is less than 2^63 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHandle {
    pub(crate) root: Digest,
    pub(crate) size: u64,
    pub(crate) mark: [u8; MARK],
}

/// A text that is no handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no handle of a blob: that is {PREFIX} and {digits} hexadecimal digits", digits = 2 * BYTES)]
pub struct BadHandle;

impl BlobHandle {
    /// Size of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// By what the server knows the blob.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// All handles whose text stands in these bytes, in their order, each as often as it does.
    pub fn scan(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let text = PREFIX.len() + 2 * BYTES;
        // The rarest letter first: this runs over whole states.
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
    type Err = BadHandle;

    fn from_str(text: &str) -> Result<Self, BadHandle> {
        let digits = text.strip_prefix(PREFIX).ok_or(BadHandle)?.as_bytes();
        if digits.len() != 2 * BYTES {
            return Err(BadHandle);
        }
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        let (root, rest) = bytes.split_at(32);
        let (size, mark) = rest.split_at(8);
        let part = "it was split there";
        let size = u64::from_be_bytes(size.try_into().expect(part));
        if size > MAX_SIZE {
            return Err(BadHandle);
        }
        Ok(Self {
            root: Digest(root.try_into().expect(part)),
            size,
            mark: mark.try_into().expect(part),
        })
    }
}

/// Only what [`BlobHandle`]'s own text has: a handle has one text, not several.
fn digit(letter: u8) -> Result<u8, BadHandle> {
    match letter {
        b'0'..=b'9' => Ok(letter - b'0'),
        b'a'..=b'f' => Ok(letter - b'a' + 10),
        _ => Err(BadHandle),
    }
}

impl Serialize for BlobHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole, for some formats would write a text in pieces.
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for BlobHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = BlobHandle;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the handle of a blob")
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
    fn a_handle_is_the_same_text_in_every_format_and_comes_back() {
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
    fn what_is_no_handle_is_refused() {
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
            // Not every language could count so far.
            &BlobHandle { size: MAX_SIZE + 1, ..HANDLE }.to_string(),
        ];
        let largest = BlobHandle { size: MAX_SIZE, ..HANDLE };
        assert_eq!(largest.to_string().parse(), Ok(largest));
        for wrong in wrong {
            assert_eq!(wrong.parse::<BlobHandle>(), Err(BadHandle), "{wrong}");
        }
    }

    #[test]
    fn handles_are_found_wherever_they_stand() {
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
