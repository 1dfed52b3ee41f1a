//! Manifests: the size of a blob, and the names of its chunks.

use teatime_wire::{Digest, limits};

use crate::limits::{BLOB_CHUNK, MAX_BLOB};

/// First bytes of a manifest.
const MAGIC: [u8; 8] = *b"TEABLOB1";

/// The size of a blob, and the names of its chunks. It is not sealed: a server knows all of it anyway, and must
/// know which chunks belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) size: u64,
    pub(crate) chunks: Vec<Digest>,
}

impl Manifest {
    /// Number of chunks of a blob of this size.
    pub(crate) fn chunks_of(size: u64) -> u64 {
        size.div_ceil(BLOB_CHUNK as u64)
    }

    /// Length of the manifest of a blob of this size, in bytes.
    pub(crate) fn length(size: u64) -> u64 {
        MAGIC.len() as u64 + 8 + 32 * Self::chunks_of(size)
    }

    /// Length of this chunk in bytes, before sealing.
    pub(crate) fn length_of(&self, index: usize) -> usize {
        let before = index as u64 * BLOB_CHUNK as u64;
        usize::try_from(self.size.saturating_sub(before)).unwrap_or(usize::MAX).min(BLOB_CHUNK)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 32 * self.chunks.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        self.chunks.iter().for_each(|chunk| bytes.extend_from_slice(&chunk.0));
        bytes
    }

    /// Reads a manifest. `None` if the bytes are not a valid one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (size, rest) = rest.split_first_chunk()?;
        let size = u64::from_be_bytes(*size);
        let (chunks, rest) = rest.as_chunks::<32>();
        let fits = size <= MAX_BLOB && chunks.len() <= limits::MAX_CHUNKS;
        if !fits || !rest.is_empty() || chunks.len() as u64 != Self::chunks_of(size) {
            return None;
        }
        Some(Self { size, chunks: chunks.iter().map(|chunk| Digest(*chunk)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_other_bytes_are_refused() {
        let chunk = BLOB_CHUNK as u64;
        for (size, count, last) in [
            (0, 0, 0),
            (1, 1, 1),
            (chunk, 1, BLOB_CHUNK),
            (chunk + 1, 2, 1),
            (MAX_BLOB, limits::MAX_CHUNKS, BLOB_CHUNK),
        ] {
            let manifest = Manifest { size, chunks: vec![Digest([3; 32]); count] };
            assert_eq!(manifest.length_of(count.saturating_sub(1)), last);
            let bytes = manifest.encode();
            assert!(bytes.len() <= teatime_wire::limits::MAX_BLOB_CHUNK);
            assert_eq!(Manifest::decode(&bytes), Some(manifest));
            assert_eq!(Manifest::decode(&bytes[..bytes.len() - 1]), None);
            assert_eq!(Manifest::decode(&[&bytes[..], &[3; 32]].concat()), None);
        }
        let too_large = Manifest { size: MAX_BLOB + 1, chunks: vec![Digest([3; 32]); 8193] };
        assert_eq!(Manifest::decode(&too_large.encode()), None);
    }
}
