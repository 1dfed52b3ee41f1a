//! The limits of a vault, and how much it holds.

/// The limits of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultLimits {
    /// Size of the largest blob in bytes.
    pub max_blob: u64,
    /// Most bytes of one space. Each piece counts as [`counts_as`](crate::limits::counts_as) says.
    pub max_space: u64,
    /// Most bytes of all spaces together.
    pub max_total: u64,
    /// Bytes of the disk that the vault leaves free.
    pub reserve: u64,
    /// Seconds for which a blob stays after a client has last used it or a state has last referred to it. A
    /// day is longer than it takes until an event makes a state refer to a new blob.
    pub grace: u64,
    /// Seconds for which a blob stays in a room without sessions. A client may store a blob before the first
    /// session starts.
    pub unclaimed: u64,
}

const MIB: u64 = 1024 * 1024;
const DAY: u64 = 24 * 3600;

impl VaultLimits {
    /// Limits for a server that stores blobs on disk.
    pub const ON_DISK: Self = Self {
        max_blob: 1024 * MIB,
        max_space: 4096 * MIB,
        max_total: u64::MAX,
        reserve: 1024 * MIB,
        grace: DAY,
        unclaimed: 7 * DAY,
    };

    /// Limits for a server that stores blobs in memory.
    pub const IN_MEMORY: Self = Self {
        max_blob: 64 * MIB,
        max_space: 128 * MIB,
        max_total: 256 * MIB,
        reserve: 0,
        ..Self::ON_DISK
    };
}

/// How much a vault holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VaultUse {
    /// Number of blobs. Incomplete ones do not count.
    pub blobs: usize,
    /// Number of chunks. Manifests do not count.
    pub chunks: usize,
    /// Bytes of all chunks and manifests.
    pub bytes: u64,
}
