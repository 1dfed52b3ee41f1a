//! Where an entry is in the log.

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Bytes of the whole entry.
    pub(crate) length: u32,
}

impl Position {
    /// The offset of the byte after the entry.
    pub(crate) fn end(self) -> u64 {
        self.offset + u64::from(self.length)
    }
}
