//! What bounds a transfer, and what a server keeps.

/// How many chunks of one transfer are under way at once, 4 MiB: at 50 ms to the server and back, which each
/// chunk takes twice on its way up, that is 40 MB/s.
pub const WINDOW: usize = 16;

/// What a chunk or a manifest of so many bytes counts as where room is limited: at least what the smallest file
/// takes of a disk, and what is kept in memory to know of it.
pub const fn counts_as(bytes: u64) -> u64 {
    (if bytes < 4096 { 4096 } else { bytes }) + 512
}

/// Size of all chunks but the last, in bytes.
pub use teatime_wire::limits::BLOB_CHUNK;

/// Largest blob in bytes that can be expressed at all; servers may take less.
pub const MAX_BLOB: u64 = (teatime_wire::limits::MAX_CHUNKS * BLOB_CHUNK) as u64;
