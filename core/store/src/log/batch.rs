//! The header of a commit in the log.

use crate::log::checksum::{Salt, Take, short};

/// Bytes of the header.
pub(crate) const HEADER: usize = 4 + 4 + 4 + 8;

const MAGIC: [u8; 4] = *b"TBat";

/// The header of a commit: what it says about its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Bytes of all entries together.
    pub(crate) length: u32,
    /// How many entries there are.
    pub(crate) entries: u32,
}

impl Batch {
    /// The header for this place. It is not valid at any other place.
    pub(crate) fn encode(self, salt: Salt, segment: u64, offset: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&self.length.to_le_bytes());
        header[8..12].copy_from_slice(&self.entries.to_le_bytes());
        let sum = place_sum(salt, segment, offset, &header[..12]);
        header[12..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// The header at the front of these bytes, if it is valid for this place.
    pub(crate) fn decode(salt: Salt, segment: u64, offset: u64, bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        if header[..4] != MAGIC {
            return None;
        }
        let sum = place_sum(salt, segment, offset, &header[..12]);
        let mut take = Take::new(&header[4..]);
        let (length, entries) = (take.u32()?, take.u32()?);
        (take.u64()? == sum).then_some(Self { length, entries })
    }

    /// The offset of the first valid header in a whole segment, from this offset on.
    pub(crate) fn find(salt: Salt, segment: u64, offset: u64, bytes: &[u8]) -> Option<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        (from..bytes.len()).find(|at| {
            let rest = &bytes[*at..];
            rest[0] == MAGIC[0] && Self::decode(salt, segment, *at as u64, rest).is_some()
        })
    }
}

fn place_sum(salt: Salt, segment: u64, offset: u64, header: &[u8]) -> u64 {
    let mut covered = [0; 28];
    covered[..12].copy_from_slice(header);
    covered[12..20].copy_from_slice(&segment.to_le_bytes());
    covered[20..].copy_from_slice(&offset.to_le_bytes());
    short(salt, &covered)
}
