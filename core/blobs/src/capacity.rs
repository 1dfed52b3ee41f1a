//! What a server takes of blobs, and how much it has.

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultLimits {
    /// Largest blob in bytes.
    pub max_blob: u64,
    /// Most bytes of one space, each piece as [`counts_as`](crate::limits::counts_as) says.
    pub max_space: u64,
    /// Most bytes of all.
    pub max_total: u64,
    /// So many bytes of the disk are left to others.
    pub reserve: u64,
    /// For so many seconds nothing is removed after somebody has last used it, or a state has last referred to
    /// it. A day is longer than a blob waits for the event that makes a state refer to it.
    pub grace: u64,
    /// The same for blobs in a room without any session: somebody may store something there before the first comes.
    pub unclaimed: u64,
}

const MIB: u64 = 1024 * 1024;
const DAY: u64 = 24 * 3600;

impl VaultLimits {
    /// What suits a server that keeps blobs on disk.
    pub const ON_DISK: Self = Self {
        max_blob: 1024 * MIB,
        max_space: 4096 * MIB,
        max_total: u64::MAX,
        reserve: 1024 * MIB,
        grace: DAY,
        unclaimed: 7 * DAY,
    };

    /// What suits a server that keeps them in memory.
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
    /// How many blobs, those not counted of which something is missing.
    pub blobs: usize,
    /// How many chunks, manifests not among them.
    pub chunks: usize,
    /// How many bytes, manifests among them.
    pub bytes: u64,
}
