//! The configuration of a store.

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, even by a crash: the operating system has the bytes.
    Process,
    /// Also a power cut: the disk has the bytes.
    Power,
}

/// The configuration of a store, with the reason for each default.
#[derive(Debug, Clone)]
pub struct Config {
    /// What a commit survives. The default is `Power`: with many sessions they share the cost.
    pub durability: Durability,
    /// A segment with this many bytes is followed by a new one. Large enough that the store rarely
    /// deletes one, small enough to read at once.
    pub segment_bytes: u64,
    /// Share of the log that may be garbage before commits carry living entries forward. At 50, the
    /// store copies about one byte for each byte that it appends. Values below 10 count as 10.
    pub garbage_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { durability: Durability::Power, segment_bytes: 64 * 1024 * 1024, garbage_percent: 50 }
    }
}
