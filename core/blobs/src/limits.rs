//! The limits of transfers and blobs.

/// Number of chunks of one transfer that are under way at the same time: 4 MiB. A chunk on its way up takes two
/// round trips to the server. With round trips of 50 ms this allows 40 MB/s.
pub const WINDOW: usize = 16;

/// What a chunk or a manifest of this many bytes counts as where room is limited, in bytes. It covers the space
/// of a small file on disk, and the memory for its entry in the index.
pub const fn counts_as(bytes: u64) -> u64 {
    (if bytes < 4096 { 4096 } else { bytes }) + 512
}

/// Size of all chunks but the last, in bytes.
pub use teatime_wire::limits::BLOB_CHUNK;

/// Size of the largest possible blob in bytes. Servers may allow less.
pub const MAX_BLOB: u64 = (teatime_wire::limits::MAX_CHUNKS * BLOB_CHUNK) as u64;
