//! The space of a room's blobs: its keys, and the marks that bind handles to it.

use std::fmt;

use teatime_base::{Digest, NONCE, RoomKeys, SecretKey, TAG, open_large, seal_large};
use teatime_wire::{BlobRequest, Challenge, Hello};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::handle::{BlobHandle, MARK};

/// The space of a room's blobs: the keys to them, and the marks that bind handles to the room.
///
/// It does not depend on the version of the app's models: the next version can fetch what one version has stored.
pub struct Space {
    /// The id by which servers know the space.
    id: Digest,
    /// The name of the room, and the key by which a client proves that it knows the password.
    name: Digest,
    password_key: Option<SecretKey>,
    /// The key of the marks in handles.
    mark: [u8; 32],
    /// `None` without a password.
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

/// Without the id, which cannot be guessed without the password.
impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("has_password", &self.keys.is_some()).finish_non_exhaustive()
    }
}

impl Space {
    /// The space of a room of an app. With a password this takes some 30 ms of CPU and 19 MiB of memory; see
    /// [`RoomKeys::new`].
    pub fn new(app: &str, room: &str, password: Option<&str>) -> Self {
        Self::of(&RoomKeys::new(app, room, password))
    }

    /// The space of a room with these keys.
    pub fn of(room: &RoomKeys) -> Self {
        let key = |purpose: &'static str| room.key(purpose, &[]);
        let keys = room.has_password().then(|| Keys {
            chunk: key("teatime v1 blob chunk"),
            nonce: key("teatime v1 blob nonce"),
        });
        let (name, password_key) = (room.name(), room.password_key().cloned());
        Self { id: room.id(), name, password_key, mark: key("teatime v1 blob handle"), keys }
    }

    /// The first message on a connection with this challenge.
    pub(crate) fn hello(&self, challenge: &Challenge) -> Vec<u8> {
        let agent = concat!("teatime-rust/", env!("CARGO_PKG_VERSION"));
        let password = self.password_key.as_ref();
        BlobRequest::Hello(Hello::new(self.name, password, agent, challenge)).encode()
    }

    /// The id by which servers know the space. A client that does not know the password of the room cannot
    /// guess it.
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

    /// Seals a chunk. Without a password the chunk stays as it is.
    ///
    /// Equal content gives equal bytes on all clients of the room, so a server stores it once. The nonce follows
    /// from the key and the content, as in RFC 5297 (SIV).
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

    /// The name of a chunk, and its bytes as servers store them.
    pub fn piece(&self, plain: &[u8]) -> (Digest, Vec<u8>) {
        let sealed = self.seal(plain);
        (name(self.id, &sealed), sealed)
    }

    /// Number of bytes that sealing adds to a chunk.
    pub(crate) fn overhead(&self) -> u64 {
        if self.keys.is_some() { (NONCE + TAG) as u64 } else { 0 }
    }

    /// Opens a chunk. `None` if it was not sealed in this room, or was changed.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let Some(keys) = &self.keys else { return Some(sealed.to_vec()) };
        let (nonce, rest) = sealed.split_first_chunk()?;
        let (content, tag) = rest.split_last_chunk()?;
        let mut content = content.to_vec();
        open_large(&keys.chunk, *nonce, &self.id.0, &mut content, *tag).then_some(content)
    }
}

/// The name of a chunk or a manifest in a space. Server and clients compute the same name.
pub(crate) fn name(space: Digest, bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(&space.0, bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_with_another_app_name_or_password_have_other_spaces() {
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
    fn equal_content_gives_equal_bytes_and_other_content_another_nonce() {
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
