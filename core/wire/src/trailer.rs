//! What stands behind a snapshot: what the root model has persisted, and to which blobs all of it refers.

use crate::{Digest, WireError, limits};

/// With this a snapshot ends behind which something stands.
const MARK: [u8; 8] = *b"TEATRAIL";
/// The room, the length of what is persisted, the numbers of roots, and the mark.
const FIXED: usize = 32 + 4 + 4 + 4 + MARK.len();

/// The blobs to which a state refers, or what was persisted does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// Whose blobs.
    pub space: Digest,
    /// Which, in ascending order.
    pub roots: Vec<Digest>,
}

/// What a reflector tells of a session, or of what is persisted in a room, to whoever keeps the blobs of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// Somebody is in the session, so that from now on it may come to refer to any blob. To these it refers already,
    /// perhaps among others.
    Awake(Vec<Digest>),
    /// Its state, as a majority has just voted for it, refers to these, and to no others.
    Snapshot(Vec<Digest>),
    /// Nobody is in it any more: nothing happens there.
    AtRest,
    /// What is persisted refers to these, and to no others, until this is told anew.
    Exactly(Vec<Digest>),
    /// It is forgotten.
    Gone,
}

/// What stands behind the snapshot that is voted on, so that all of it is voted on at once: what the reflector must
/// be able to take apart although it cannot read the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The blobs to which the state refers. Never sealed.
    pub references: References,
    /// What was persisted, if anything was.
    pub persisted: Option<PersistedPart>,
}

/// What the root model has persisted, as it is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedPart {
    /// Sealed if there is a password. At least one byte.
    pub data: Vec<u8>,
    /// The blobs of the same space to which it refers, in ascending order. Never sealed.
    pub roots: Vec<Digest>,
}

impl Trailer {
    /// Whether a snapshot must be [ended](Self::append) although there is nothing to tell, for otherwise its
    /// own end would be taken for a trailer.
    pub fn is_needed(snapshot: &[u8]) -> bool {
        snapshot.ends_with(&MARK)
    }

    /// Puts it behind a snapshot.
    pub fn append(&self, snapshot: &mut Vec<u8>) {
        let number = |count: usize| {
            u32::try_from(count).expect("a state has fewer than 2³² handles").to_be_bytes()
        };
        let persisted = self.persisted.as_ref();
        let (data, kept) = persisted.map_or((&[][..], &[][..]), |part| (&part.data, &part.roots));
        let References { space, roots } = &self.references;
        snapshot.extend_from_slice(data);
        kept.iter().chain(roots).for_each(|root| snapshot.extend_from_slice(&root.0));
        snapshot.extend_from_slice(&space.0);
        snapshot.extend_from_slice(&number(data.len()));
        snapshot.extend_from_slice(&number(kept.len()));
        snapshot.extend_from_slice(&number(roots.len()));
        snapshot.extend_from_slice(&MARK);
    }

    /// How long the snapshot in front of it is, and what stands behind it, if anything does. The snapshot comes
    /// in parts.
    ///
    /// # Errors
    /// If its end announces what is not there, or more blobs than there can be handles.
    pub fn split(parts: &[impl AsRef<[u8]>]) -> Result<(usize, Option<Self>), WireError> {
        let total = parts.iter().map(|part| part.as_ref().len()).sum();
        let Some(lengths) = Lengths::read(&tail(parts, FIXED), total)? else {
            return Ok((total, None));
        };
        let bytes = tail(parts, total - lengths.snapshot);
        let (data, rest) = bytes[..bytes.len() - FIXED].split_at(lengths.data);
        let digests = |bytes: &[u8]| {
            bytes.as_chunks::<32>().0.iter().map(|root| Digest(*root)).collect::<Vec<_>>()
        };
        let (kept, roots) = rest.split_at(32 * lengths.kept);
        let persisted = PersistedPart { data: data.to_vec(), roots: digests(kept) };
        let trailer = Self {
            references: References { space: lengths.space, roots: digests(roots) },
            persisted: (!data.is_empty()).then_some(persisted),
        };
        Ok((lengths.snapshot, Some(trailer)))
    }

    /// Only how long the snapshot in front of it is: nothing is copied.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn snapshot_length(bytes: &[u8]) -> Result<usize, WireError> {
        let fixed = &bytes[bytes.len().saturating_sub(FIXED)..];
        Ok(Lengths::read(fixed, bytes.len())?.map_or(bytes.len(), |lengths| lengths.snapshot))
    }
}

/// What the end of a trailer says of it.
struct Lengths {
    /// Bytes of the snapshot in front of it.
    snapshot: usize,
    data: usize,
    kept: usize,
    space: Digest,
}

impl Lengths {
    /// From the last bytes of so many; nothing if no trailer ends with them.
    fn read(fixed: &[u8], total: usize) -> Result<Option<Self>, WireError> {
        if !fixed.ends_with(&MARK) {
            return Ok(None);
        }
        let wrong = WireError::Frame("what stands behind it is cut short");
        let Some((space, rest)) = fixed.split_first_chunk::<32>().filter(|_| fixed.len() == FIXED)
        else {
            return Err(wrong);
        };
        let (numbers, _) = rest.as_chunks::<4>();
        let [data, kept, roots, ..] = numbers else { return Err(wrong) };
        let [data, kept, roots] = [data, kept, roots].map(|n| u32::from_be_bytes(*n) as usize);
        if data > limits::MAX_PERSISTED || kept > data / limits::MIN_BYTES_PER_ROOT {
            return Err(wrong);
        }
        let length = kept.checked_add(roots).and_then(|roots| roots.checked_mul(32));
        let length = length.and_then(|roots| roots.checked_add(data + FIXED));
        let Some(length) = length.filter(|length| *length <= total) else { return Err(wrong) };
        let snapshot = total - length;
        if roots > snapshot / limits::MIN_BYTES_PER_ROOT {
            return Err(wrong);
        }
        Ok(Some(Self { snapshot, data, kept, space: Digest(*space) }))
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

    fn digests(count: usize) -> Vec<Digest> {
        (0..count).map(|at| Digest([at as u8; 32])).collect()
    }

    fn trailer(roots: usize, persisted: Option<(usize, usize)>) -> Trailer {
        let references = References { space: Digest([9; 32]), roots: digests(roots) };
        let persisted = persisted
            .map(|(bytes, roots)| PersistedPart { data: vec![7; bytes], roots: digests(roots) });
        Trailer { references, persisted }
    }

    #[test]
    fn what_stands_behind_a_snapshot_comes_back_however_it_is_cut_into_parts() {
        for count in [0, 1, 5] {
            for persisted in [None, Some((1, 0)), Some((200, 2))] {
                let trailer = trailer(count, persisted);
                let mut bytes = vec![b's'; 500];
                trailer.append(&mut bytes);
                for size in [1, 3, 40, 1000] {
                    let parts: Vec<_> = bytes.chunks(size).collect();
                    let split = Trailer::split(&parts).expect("it is whole");
                    assert_eq!(split, (500, Some(trailer.clone())));
                    assert_eq!(Trailer::snapshot_length(&bytes).ok(), Some(500));
                }
            }
        }
    }

    #[test]
    fn a_snapshot_without_comes_back_as_it_is_and_one_that_looks_like_it_is_protected() {
        assert_eq!(Trailer::split(&[b"a snapshot"]).ok(), Some((10, None)));
        assert_eq!(Trailer::split(&[b""; 0]).ok(), Some((0, None)));
        for bytes in [&b"a snapshot"[..], b""] {
            assert_eq!(Trailer::snapshot_length(bytes).ok(), Some(bytes.len()));
        }
        let mut inner = b"a user writes this: ".to_vec();
        trailer(2, Some((300, 1))).append(&mut inner);
        assert!(Trailer::is_needed(&inner) && !Trailer::is_needed(b"a snapshot"));
        let mut bytes = inner.clone();
        trailer(0, None).append(&mut bytes);
        let split = Trailer::split(&[&bytes]).expect("it is whole");
        assert_eq!(split, (inner.len(), Some(trailer(0, None))));
    }

    #[test]
    fn what_is_cut_short_or_too_large_is_refused() {
        let mut bytes = vec![b's'; 300];
        trailer(3, Some((200, 2))).append(&mut bytes);
        assert!(Trailer::split(&[&bytes]).is_ok());
        for from in 1..bytes.len() - MARK.len() {
            assert!(Trailer::split(&[&bytes[from..]]).is_err(), "{from}");
            assert!(Trailer::snapshot_length(&bytes[from..]).is_err(), "{from}");
        }
        let mut bytes = Vec::new();
        trailer(0, Some((limits::MAX_PERSISTED + 1, 0))).append(&mut bytes);
        assert!(Trailer::split(&[&bytes]).is_err());
    }

    #[test]
    fn there_are_no_more_blobs_than_there_can_be_handles() {
        for (state, roots, data, kept, is_right) in [
            (300, 3, 200, 2, true),
            (299, 3, 200, 2, false),
            (300, 3, 199, 2, false),
            (0, 1, 1_000, 0, false),
            (1_000, 0, 1, 1, false),
            (1_000, 0, 0, 1, false),
        ] {
            let mut bytes = vec![b's'; state];
            trailer(roots, Some((data, kept))).append(&mut bytes);
            assert_eq!(Trailer::split(&[&bytes]).is_ok(), is_right, "{state} {data}");
        }
    }
}
