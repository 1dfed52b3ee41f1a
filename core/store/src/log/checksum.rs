//! The checksums of the log, and the bytes that they cover.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// Makes the checksums of one store invalid in every other store.
pub(crate) type Salt = u64;

/// The checksum of short content, up to a record.
pub(crate) fn short(salt: Salt, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, salt)
}

/// The checksum of a checkpoint.
pub(crate) fn long(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// Takes fixed-size values off the front of bytes.
pub(crate) struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not taken yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
