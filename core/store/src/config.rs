//! How a store is set.

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it comes: the operating system has the bytes.
    Process,
    /// Also a power cut: the disk has them.
    Power,
}

/// How a store is set, with the reason for each default.
#[derive(Debug, Clone)]
pub struct Config {
    /// What a commit survives. By default everything: with many sessions the cost is shared.
    pub durability: Durability,
    /// A segment of so many bytes is followed by a new one. Large enough that deleting one is
    /// rare, small enough to read at once.
    pub segment_bytes: u64,
    /// Share of the log that may be garbage before live entries are carried forward. At 50 every
    /// byte is carried at most about once for every byte that is appended. Less than 10 is taken
    /// for 10.
    pub garbage_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { durability: Durability::Power, segment_bytes: 64 * 1024 * 1024, garbage_percent: 50 }
    }
}
