//! To which blobs a state refers: what stands behind its snapshot, for the reflector to read.

use crate::{Digest, WireError};

/// With this a snapshot ends behind which something stands.
const MARK: [u8; 8] = *b"TEABLOBS";
/// The space, the number of roots, and the mark.
const FIXED: usize = 32 + 4 + MARK.len();

/// The blobs to which a state refers. It stands, never sealed, behind the snapshot that is voted on: so it is
/// voted on with it, and the reflector learns what is still needed although it cannot read the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// Whose blobs.
    pub space: Digest,
    /// Which, in ascending order.
    pub roots: Vec<Digest>,
}

impl References {
    /// Whether a snapshot must be [ended](Self::append) although its state refers to nothing, for otherwise its
    /// own end would be taken for references.
    pub fn is_needed(snapshot: &[u8]) -> bool {
        snapshot.ends_with(&MARK)
    }

    /// Puts them behind a snapshot.
    pub fn append(&self, snapshot: &mut Vec<u8>) {
        let count = u32::try_from(self.roots.len()).expect("a state has fewer than 2³² handles");
        self.roots.iter().for_each(|root| snapshot.extend_from_slice(&root.0));
        snapshot.extend_from_slice(&self.space.0);
        snapshot.extend_from_slice(&count.to_be_bytes());
        snapshot.extend_from_slice(&MARK);
    }

    /// How long the snapshot in front of them is, and what stands behind it, if anything does. The snapshot comes
    /// in parts.
    ///
    /// # Errors
    /// If its end announces what is not there.
    pub fn split(parts: &[impl AsRef<[u8]>]) -> Result<(usize, Option<Self>), WireError> {
        let total = parts.iter().map(|part| part.as_ref().len()).sum();
        let fixed = tail(parts, FIXED);
        if !fixed.ends_with(&MARK) {
            return Ok((total, None));
        }
        let wrong = WireError::Frame("its list of blobs is cut short");
        let Some((space, rest)) = fixed.split_first_chunk::<32>().filter(|_| fixed.len() == FIXED)
        else {
            return Err(wrong);
        };
        let count = rest.first_chunk().map_or(0, |count| u32::from_be_bytes(*count) as usize);
        let length = count.checked_mul(32).and_then(|roots| roots.checked_add(FIXED));
        let Some(length) = length.filter(|length| *length <= total) else { return Err(wrong) };
        let bytes = tail(parts, length);
        let (roots, _) = bytes[..length - FIXED].as_chunks::<32>();
        let roots = roots.iter().map(|root| Digest(*root)).collect();
        Ok((total - length, Some(Self { space: Digest(*space), roots })))
    }
}

/// The last bytes of all parts together: so many, or all.
fn tail(parts: &[impl AsRef<[u8]>], length: usize) -> Vec<u8> {
    let mut missing = length;
    let mut pieces = Vec::new();
    for part in parts.iter().rev() {
        let part = part.as_ref();
        let piece = &part[part.len().saturating_sub(missing)..];
        missing -= piece.len();
        pieces.push(piece);
        if missing == 0 {
            break;
        }
    }
    pieces.reverse();
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(count: usize) -> References {
        let roots = (0..count).map(|at| Digest([at as u8; 32])).collect();
        References { space: Digest([9; 32]), roots }
    }

    #[test]
    fn what_stands_behind_a_snapshot_comes_back_however_it_is_cut_into_parts() {
        for count in [0, 1, 5] {
            let mut bytes = b"a snapshot".to_vec();
            references(count).append(&mut bytes);
            for size in [1, 3, 40, 1000] {
                let parts: Vec<_> = bytes.chunks(size).collect();
                let split = References::split(&parts).expect("it is whole");
                assert_eq!(split, (10, Some(references(count))));
            }
        }
    }

    #[test]
    fn a_snapshot_without_comes_back_as_it_is_and_one_that_looks_like_it_is_protected() {
        assert_eq!(References::split(&[b"a snapshot"]).ok(), Some((10, None)));
        assert_eq!(References::split(&[b""; 0]).ok(), Some((0, None)));
        let mut inner = b"a user writes this: ".to_vec();
        references(2).append(&mut inner);
        assert!(References::is_needed(&inner) && !References::is_needed(b"a snapshot"));
        let mut bytes = inner.clone();
        references(0).append(&mut bytes);
        let split = References::split(&[&bytes]).expect("it is whole");
        assert_eq!(split, (inner.len(), Some(references(0))));
    }

    #[test]
    fn a_list_that_is_cut_short_is_refused() {
        let mut bytes = Vec::new();
        references(3).append(&mut bytes);
        for from in 1..bytes.len() - MARK.len() {
            assert!(References::split(&[&bytes[from..]]).is_err(), "{from}");
        }
    }
}
