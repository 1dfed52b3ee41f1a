//! The names of segments, and the header of each.

use crate::log::checksum::{Take, short};
use crate::log::format::{StoreId, VERSION};

/// Bytes of the header.
pub(crate) const HEADER: usize = 8 + 4 + 16 + 8 + 8 + 8 + 8 + 8;

/// The folder of the segments.
pub(crate) const FOLDER: &str = "log";

const MAGIC: [u8; 8] = *b"TeaTmLog";

/// The path of a segment.
pub(crate) fn name(number: u64) -> String {
    format!("{FOLDER}/{number:010}.seg")
}

/// The number of the segment with this name in the folder.
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let number: u64 = digits.parse().ok()?;
    (number > 0 && format!("{number:010}") == digits).then_some(number)
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: StoreId,
    pub(crate) number: u64,
    /// The oldest segment that counted when this one began.
    pub(crate) first: u64,
    /// The length of the segment before, which never changes after this.
    pub(crate) previous_length: u64,
    /// All entries before this segment have lower indices.
    pub(crate) next_index: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.store.0);
        for number in [self.number, self.first, self.previous_length, self.next_index] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let sum = short(0, &out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The store that a segment with this number belongs to; `None` if the header is damaged.
    pub(crate) fn store(number: u64, bytes: &[u8]) -> Option<StoreId> {
        let store = StoreId(Take::new(bytes.get(12..)?).array()?);
        Self::decode(store, number, bytes).is_ok().then_some(store)
    }

    /// The header of this segment of this store, or why the bytes are not a valid one.
    pub(crate) fn decode(store: StoreId, number: u64, bytes: &[u8]) -> Result<Self, &'static str> {
        let broken = "the segment has an invalid header";
        let (covered, sum) = bytes
            .get(..HEADER)
            .and_then(|header| header.split_last_chunk::<8>())
            .ok_or("the header of the segment is incomplete")?;
        if short(0, covered).to_le_bytes() != *sum || covered[..8] != MAGIC {
            return Err(broken);
        }
        let mut take = Take::new(&covered[8..]);
        let version = take.u32().ok_or(broken)?;
        let header = Self {
            store: StoreId(take.array().ok_or(broken)?),
            number: take.u64().ok_or(broken)?,
            first: take.u64().ok_or(broken)?,
            previous_length: take.u64().ok_or(broken)?,
            next_index: take.u64().ok_or(broken)?,
        };
        match header {
            _ if version != VERSION => Err("the segment has a different version than the store"),
            _ if header.store != store => Err("the segment belongs to another store"),
            _ if header.number != number => Err("the segment has the name of another segment"),
            _ => Ok(header),
        }
    }
}
