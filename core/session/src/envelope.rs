//! A snapshot as this client hands it in: the state in its envelope, and what it votes for.

use std::sync::Arc;

use teatime_base::{Binding, Digest, Seal};
use teatime_blobs::{BlobHandle, Space};
use teatime_vm::{PersistedData, StateHash};
use teatime_wire::{Envelope, PersistedPart, limits};

/// What a snapshot is made of.
pub(crate) struct Contents<'a> {
    /// Sequence number of the vote, or of the newest event in the state.
    pub(crate) seq: u64,
    pub(crate) state: &'a Arc<[u8]>,
    pub(crate) hash: StateHash,
    /// What [travels](crate::transcript::Transcript::store) with it in a session with a password.
    pub(crate) transcript: Option<Vec<u8>>,
    pub(crate) persisted: Option<&'a PersistedData>,
    /// The declared version of the app.
    pub(crate) app_version: u32,
}

/// A snapshot envelope in three pieces, so that a state that is not sealed need not be copied.
pub(crate) struct HandedIn {
    pieces: [Arc<[u8]>; 3],
}

impl HandedIn {
    pub(crate) fn new(contents: &Contents<'_>, seal: &mut Seal, space: &Space) -> Self {
        let Contents { seq, state, hash, persisted, app_version, .. } = *contents;
        let sealed = match &contents.transcript {
            Some(transcript) => {
                let hash = Digest::of(&[transcript, &hash.0[..]].concat());
                seal.seal_snapshot(seq, hash.0, &with_transcript(transcript, state))
            }
            // Without a password nothing is sealed.
            None => seal.seal_snapshot(seq, hash.0, state),
        };
        let persisted = persisted.map(|data| PersistedPart {
            data: seal.seal_persisted(app_version, &write_persisted(data)),
            roots: roots(&data.bytes, space),
        });
        let envelope = Envelope { persisted, roots: roots(state, space), space: space.id() };
        let (head, tail) = (Envelope::head(sealed.len()), envelope.tail());
        Self { pieces: [head.into(), sealed, tail.into()] }
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// What participants vote for: the hash of the very bytes that one of them is asked for.
    pub(crate) fn hash(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        self.pieces.iter().for_each(|piece| {
            hasher.update(piece);
        });
        Digest(*hasher.finalize().as_bytes())
    }

    /// The bytes from `offset` on that fit into one message. Empty at the end.
    pub(crate) fn part(&self, offset: u64) -> Vec<u8> {
        let mut part = Vec::new();
        let mut start = 0;
        for piece in &self.pieces {
            // Behind the end of a part that is full, nothing is left to take.
            let next = (offset + part.len() as u64).saturating_sub(start);
            let from = next.min(piece.len() as u64) as usize;
            let room = limits::MAX_SNAPSHOT_PART - part.len();
            part.extend_from_slice(&piece[from..piece.len().min(from + room)]);
            start += piece.len() as u64;
        }
        part
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// The length of the transcript in four bytes, big-endian, the transcript, and the state.
fn with_transcript(transcript: &[u8], state: &[u8]) -> Arc<[u8]> {
    let length = u32::try_from(transcript.len()).expect("no list of participants has 4 GiB");
    [&length.to_be_bytes(), transcript, state].concat().into()
}

/// What the sealed state of a session with a password is made of: the transcript and the state. `None` if it is anything
/// else.
pub(crate) fn split_transcript(opened: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = opened.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The blobs of the room that these bytes refer to: in ascending order, each once.
fn roots(plain: &[u8], space: &Space) -> Vec<Digest> {
    let own = BlobHandle::scan(plain).filter(|handle| space.owns(handle));
    let mut roots: Vec<_> = own.map(|handle| handle.root()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// The version of the layout in four bytes, big-endian, and the data.
fn write_persisted(data: &PersistedData) -> Vec<u8> {
    [&data.version.to_be_bytes(), &*data.bytes].concat()
}

/// Opens what a version of the app has persisted. `None` if it is anything else.
pub(crate) fn open_persisted(
    seal: &mut Seal,
    app_version: u32,
    mut sealed: Vec<u8>,
) -> Option<PersistedData> {
    let plain = seal.open(Binding::Persisted(app_version), &mut sealed).ok()?;
    let (version, bytes) = plain.split_first_chunk()?;
    Some(PersistedData { version: u32::from_be_bytes(*version), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_put_together_are_the_whole_however_long_its_pieces_are() {
        const MOST: usize = limits::MAX_SNAPSHOT_PART;
        for state in [0, 1, MOST - 7, MOST - 6, MOST, 2 * MOST + 9] {
            for tail in [1, MOST, MOST + 1] {
                let piece = |length, byte| Arc::from(vec![byte; length]);
                let handed_in = HandedIn { pieces: [piece(6, 1), piece(state, 2), piece(tail, 3)] };
                let mut together = Vec::new();
                while together.len() as u64 != handed_in.size() {
                    let part = handed_in.part(together.len() as u64);
                    let rest = handed_in.size() as usize - together.len();
                    assert_eq!(part.len(), rest.min(MOST));
                    together.extend(part);
                }
                assert_eq!(together, handed_in.to_vec());
                assert_eq!(handed_in.hash(), Digest::of(&together));
                assert!(handed_in.part(handed_in.size()).is_empty());
            }
        }
    }
}
