//! A room and its blobs: the keys, and what binds handles to it.

use teatime_base::{Digest, NONCE, RoomKeys, TAG, open_large, seal_large};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::handle::{BlobHandle, MARK};

/// A room's blobs: the keys to them, and what binds handles to the room.
///
/// The version of the room's models is no part of it: what was stored with one can be fetched with the
/// next.
pub struct Space {
    /// By what servers know it.
    id: Digest,
    /// Marks handles.
    mark: [u8; 32],
    /// Only with a password.
    keys: Option<Keys>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Keys {
    chunk: [u8; 32],
    nonce: [u8; 32],
}

impl Drop for Space {
    fn drop(&mut self) {
        self.mark.zeroize();
    }
}

impl Space {
    /// The blobs of the room of an app. With a password this takes some 30 ms of CPU and 19 MiB on
    /// purpose, to make guessing expensive.
    pub fn new(app: &str, room: &str, password: Option<&str>) -> Self {
        Self::of(&RoomKeys::new(app, room, password))
    }

    /// The blobs of a room.
    pub fn of(room: &RoomKeys) -> Self {
        let key = |purpose: &str| room.key(purpose, &[]);
        let keys = room.has_password().then(|| Keys {
            chunk: key("teatime v1 blob chunk"),
            nonce: key("teatime v1 blob nonce"),
        });
        Self { id: room.id(), mark: key("teatime v1 blob handle"), keys }
    }

    /// By what servers know it. With a password nobody can guess it who does not know the password.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whether a handle was made in this room, with this password.
    pub fn owns(&self, handle: &BlobHandle) -> bool {
        self.mark_of(handle.root, handle.size) == handle.mark
    }

    pub(crate) fn handle(&self, root: Digest, size: u64) -> BlobHandle {
        BlobHandle { root, size, mark: self.mark_of(root, size) }
    }

    fn mark_of(&self, root: Digest, size: u64) -> [u8; MARK] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mark);
        hasher.update(&root.0).update(&size.to_be_bytes());
        let mut mark = [0; MARK];
        mark.copy_from_slice(&hasher.finalize().as_bytes()[..MARK]);
        mark
    }

    /// Seals a chunk. Whoever is in the room gets the same bytes from the same content, so it is kept
    /// once; the nonce follows from the key and the content: the construction of RFC 5297 (SIV).
    /// Without a password the chunk stays as it is.
    pub(crate) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let Some(keys) = &self.keys else { return plain.to_vec() };
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&blake3::keyed_hash(&keys.nonce, plain).as_bytes()[..NONCE]);
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = seal_large(&keys.chunk, nonce, &self.id.0, &mut sealed[NONCE..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// A chunk as servers keep it, and its name.
    pub fn piece(&self, plain: &[u8]) -> (Digest, Vec<u8>) {
        let sealed = self.seal(plain);
        (name(self.id, &sealed), sealed)
    }

    /// How many bytes longer a chunk is when it is sealed.
    pub(crate) fn overhead(&self) -> u64 {
        if self.keys.is_some() { (NONCE + TAG) as u64 } else { 0 }
    }

    /// Opens a chunk; nothing if it was not sealed in this room.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let Some(keys) = &self.keys else { return Some(sealed.to_vec()) };
        let (nonce, rest) = sealed.split_first_chunk()?;
        let (content, tag) = rest.split_last_chunk()?;
        let mut content = content.to_vec();
        open_large(&keys.chunk, *nonce, &self.id.0, &mut content, *tag).then_some(content)
    }
}

/// By what a chunk or a manifest is known in a space: the server computes the same.
pub(crate) fn name(space: Digest, bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(&space.0, bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_differs_in_app_room_or_password_is_in_another_space() {
        let spaces = [
            Space::new("app", "room", Some("pw")),
            Space::new("app", "room", Some("wp")),
            Space::new("app", "room", None),
            Space::new("app", "moor", Some("pw")),
            Space::new("other", "room", Some("pw")),
        ];
        let first = spaces[0].seal(b"content");
        let handle = spaces[0].handle(Digest([1; 32]), 7);
        assert_eq!(spaces[0].open(&first).as_deref(), Some(&b"content"[..]));
        assert!(spaces[0].owns(&handle));
        assert!(!spaces[0].owns(&BlobHandle { size: 8, ..handle }));
        for other in &spaces[1..] {
            assert_ne!(other.id(), spaces[0].id());
            assert!(!other.owns(&handle));
            assert_ne!(other.open(&first).as_deref(), Some(&b"content"[..]));
        }
    }

    #[test]
    fn equal_content_is_sealed_alike_and_other_content_with_another_nonce() {
        let seal = |content: &[u8]| Space::new("app", "room", Some("pw")).seal(content);
        assert_eq!(seal(b"content"), seal(b"content"));
        assert_ne!(seal(b"content")[..NONCE], seal(b"Content")[..NONCE]);
        assert!(!seal(b"content").windows(7).any(|window| window == b"content"));
    }

    #[test]
    fn every_changed_bit_and_every_missing_byte_breaks_the_seal() {
        let space = Space::new("app", "room", Some("pw"));
        let sealed = space.seal(b"hello");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(space.open(&changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(space.open(&sealed[..length]), None, "{length} bytes");
        }
    }
}
