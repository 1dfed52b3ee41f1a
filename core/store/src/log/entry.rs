//! The entries of the log.

use crate::log::checksum::{Salt, Take, short};

/// Bytes before the content of an entry.
pub(crate) const HEADER: usize = 8 + 4 + 1 + 1 + 8 + 8 + 8;

/// What an entry means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A key gets content: the key, then its head. The index of this entry becomes the key's number.
    Begin = 1,
    /// Which checkpoint counts, and whether the history before it is retained. `seq` is its sequence number.
    Checkpoint = 2,
    /// A record of a session.
    Record = 3,
    /// A key and all its entries are removed.
    Remove = 4,
    /// `seq` is when the key was last used, in seconds since 1970.
    Touch = 5,
    /// `seq` is the oldest segment that still counts.
    First = 6,
}

impl What {
    fn from_byte(byte: u8) -> Option<Self> {
        let all =
            [Self::Begin, Self::Checkpoint, Self::Record, Self::Remove, Self::Touch, Self::First];
        all.into_iter().find(|what| *what as u8 == byte)
    }
}

/// An entry. A copy has the index of the original: the index tells which of two entries is newer,
/// and whether two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) what: What,
    pub(crate) kind: u8,
    /// The number of the key that it belongs to; 0 if it belongs to none.
    pub(crate) number: u64,
    /// Unique in a store, except for copies.
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// An entry without content.
    pub(crate) fn bare(what: What, number: u64, index: u64, seq: u64) -> Self {
        Self { what, kind: 0, number, index, seq, bytes: &[] }
    }

    /// Appends the entry to `out`. Its content is `bytes`, then `more`.
    pub(crate) fn encode(&self, salt: Salt, more: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let length = (self.bytes.len() + more.len()) as u32;
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[self.what as u8, self.kind]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(self.bytes);
        out.extend_from_slice(more);
        let sum = short(salt, &out[start + 8..]);
        out[start..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// The length in the header of the entry at the front of these bytes; `None` if the header is incomplete.
    pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
        let length = Take::new(bytes.get(8..)?).u32()?;
        Some(HEADER + length as usize)
    }

    /// The entry at the front of these bytes, and its length. `None` unless it is complete and its checksum matches.
    pub(crate) fn decode(salt: Salt, bytes: &'a [u8]) -> Option<(Self, usize)> {
        let length = Self::length(bytes)?;
        let (sum, covered) = bytes.get(..length)?.split_first_chunk::<8>()?;
        (short(salt, covered).to_le_bytes() == *sum).then_some(())?;
        let mut take = Take::new(covered);
        let _length = take.u32()?;
        let what = What::from_byte(take.u8()?)?;
        let kind = take.u8()?;
        let (number, index, seq) = (take.u64()?, take.u64()?, take.u64()?);
        Some((Self { what, kind, number, index, seq, bytes: take.rest() }, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_notices_every_flipped_bit_and_every_missing_byte() {
        let entry =
            Entry { what: What::Record, kind: 3, number: 4, index: 5, seq: 6, bytes: b"abc" };
        let mut bytes = Vec::new();
        entry.encode(9, b"", &mut bytes);
        assert_eq!(Entry::decode(9, &bytes), Some((entry, bytes.len())));
        assert_eq!(Entry::decode(8, &bytes), None);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(9, &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            assert_eq!(Entry::decode(9, &bytes[..length]), None, "{length} bytes");
        }
    }
}
