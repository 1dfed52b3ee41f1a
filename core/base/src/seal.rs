//! End-to-end encryption: seals and opens what passes through the reflector.
//!
//! **Keys.** The room's key is Argon2id of the password, see [`RoomKeys`]. BLAKE3's key derivation makes the
//! session's key from it and the session id, and one key for each purpose from that. Persisted data belongs to
//! the room, so its keys follow from the room's key.
//!
//! **Cipher.** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). A sealed message is a nonce of 24 bytes, the
//! ciphertext, and a tag of 16 bytes.
//!
//! **Nonces.** A nonce must never be used twice with one key for different content:
//!
//! | content | first 16 bytes | last 8 bytes |
//! |---|---|---|
//! | events, view data, presence | random, drawn for each connection | count of the messages on this connection |
//! | snapshots, persisted data | hash of the content under a key of its own | the same hash |
//!
//! The cipher turns the first 16 bytes into a subkey. Because they stay the same for a whole connection, that
//! happens once for each connection, not for each message.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::cipher::{self, COUNT, NONCE, PREFIX, Subkey, TAG};
use crate::{Digest, RoomKeys, SessionId, ViewId};

/// Number of senders whose subkeys a client remembers for each purpose. With more active senders, each message
/// takes 0.2 µs longer.
const CACHED_SUBKEYS: usize = 64;

/// A sealed message that cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal is broken: the message was changed on its way, or sealed with another password")]
pub struct BrokenSealError;

/// The role of a message. It is bound to the message, so that a server cannot pass off one message as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// An event: its sender, and its number among the events of this sender. Numbers start at 1; 0 stands for
    /// view data.
    Event(ViewId, u64),
    /// The data of a view: its id.
    ViewData(ViewId),
    /// A snapshot: the sequence number of its vote.
    Snapshot(u64),
    /// What a view shows of itself: its id.
    Presence(ViewId),
    /// Data that is persisted in the room: the version of the app that has persisted it.
    Persisted(u32),
}

/// Seals and opens the messages of one session. In a session without a password, it passes them through.
pub struct Seal {
    session: SessionId,
    room: Digest,
    keys: Option<Box<Keys>>,
}

/// The keys of a session with a password.
struct Keys {
    payload: Subkeys,
    presence: Subkeys,
    snapshot: Subkeys,
    persisted: Subkeys,
    persisted_nonce: [u8; 32],
    snapshot_nonce: [u8; 32],
    /// Random bytes of the connection, once there is one. They must not have a default: two clients that used
    /// the same bytes would use the same nonces.
    prefix: Option<[u8; PREFIX]>,
    /// Number of messages that were sealed on this connection.
    sealed: u64,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.snapshot_nonce.zeroize();
        self.persisted_nonce.zeroize();
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal")
            .field("session", &self.session)
            .field("has_password", &self.keys.is_some())
            .finish_non_exhaustive()
    }
}

impl Seal {
    /// The seal of a session in a room.
    pub fn new(session: SessionId, room: &RoomKeys) -> Self {
        let keys = room.has_password().then(|| Box::new(Keys::derive(session, room)));
        Self { session, room: room.id(), keys }
    }

    /// Starts a connection. `random` must be fresh random bytes: they keep the nonces of all connections of all
    /// clients apart. The caller must start a connection before it seals the first message.
    pub fn start_connection(&mut self, random: [u8; PREFIX]) {
        if let Some(keys) = &mut self.keys {
            keys.prefix = Some(random);
            keys.sealed = 0;
        }
    }

    /// Whether the session has a password: without one nothing is sealed.
    pub fn has_password(&self) -> bool {
        self.keys.is_some()
    }

    /// Number of bytes that sealing adds to a message.
    pub fn overhead(&self) -> usize {
        if self.keys.is_some() { NONCE + TAG } else { 0 }
    }

    /// Seals an event, view data or a presence, and returns the sealed message.
    ///
    /// # Panics
    /// In a session with a password, if no [connection](Self::start_connection) was started.
    pub fn seal(&mut self, binding: Binding, plain: &[u8]) -> Vec<u8> {
        let Some(keys) = &mut self.keys else { return plain.to_vec() };
        let prefix = keys.prefix.expect("the caller starts a connection before it seals messages");
        let count = keys.sealed.to_be_bytes();
        keys.sealed += 1;
        let associated = associated_data(self.session, self.room, binding);
        keys.seal(binding, &associated, prefix, count, plain)
    }

    /// Seals the snapshot of the vote at `seq`. `snapshot` must follow from the state with the hash
    /// `state_hash`, because the nonce follows from that hash.
    ///
    /// Equal states give equal bytes on all clients. So clients can vote on the hash of these bytes, and the
    /// reflector can check that an upload has this hash. The construction is that of RFC 5297 (SIV): a nonce
    /// repeats only if the content does. The sequence number is part of the state, so it repeats too.
    pub fn seal_snapshot(
        &mut self,
        seq: u64,
        state_hash: [u8; 32],
        snapshot: &Arc<[u8]>,
    ) -> Arc<[u8]> {
        let Some(keys) = &mut self.keys else { return snapshot.clone() };
        let nonce = blake3::keyed_hash(&keys.snapshot_nonce, &state_hash);
        let binding = Binding::Snapshot(seq);
        let associated = associated_data(self.session, self.room, binding);
        keys.seal_by_hash(binding, &associated, nonce, snapshot).into()
    }

    /// Seals the data that a version of the app persists in the room.
    ///
    /// Like snapshots, equal data gives equal bytes on all clients, and in all sessions of the room. The version
    /// is part of the nonce, because it is part of what the message is bound to.
    pub fn seal_persisted(&mut self, app_version: u32, plain: &[u8]) -> Vec<u8> {
        let Some(keys) = &mut self.keys else { return plain.to_vec() };
        let mut hasher = blake3::Hasher::new_keyed(&keys.persisted_nonce);
        let nonce = hasher.update(&app_version.to_be_bytes()).update(plain).finalize();
        let binding = Binding::Persisted(app_version);
        let associated = associated_data(self.session, self.room, binding);
        keys.seal_by_hash(binding, &associated, nonce, plain)
    }

    /// Opens a sealed message of any kind in place, and returns its content.
    ///
    /// # Errors
    /// [`BrokenSealError`] if the message was changed, has another binding, or belongs to another session, room
    /// or password.
    pub fn open<'a>(
        &mut self,
        binding: Binding,
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], BrokenSealError> {
        let Some(keys) = &mut self.keys else { return Ok(sealed) };
        let (prefix, rest) = sealed.split_first_chunk_mut().ok_or(BrokenSealError)?;
        let (count, rest) = rest.split_first_chunk_mut().ok_or(BrokenSealError)?;
        let (content, tag) = rest.split_last_chunk_mut().ok_or(BrokenSealError)?;
        let associated = associated_data(self.session, self.room, binding);
        let subkey = keys.purpose(binding).of(*prefix);
        if cipher::open(subkey, *count, &associated, content, *tag) {
            Ok(content)
        } else {
            Err(BrokenSealError)
        }
    }
}

impl Keys {
    fn derive(session: SessionId, room: &RoomKeys) -> Self {
        let mut master = room.key("teatime v1 session key", &session.0);
        let subkey = |context: &'static str| blake3::derive_key(context, &master);
        let keys = Self {
            payload: Subkeys::new(subkey("teatime v1 payload")),
            presence: Subkeys::new(subkey("teatime v1 presence")),
            snapshot: Subkeys::new(subkey("teatime v1 snapshot")),
            persisted: Subkeys::new(room.key("teatime v1 persisted", &[])),
            persisted_nonce: room.key("teatime v1 persisted nonce", &[]),
            snapshot_nonce: subkey("teatime v1 snapshot nonce"),
            prefix: None,
            sealed: 0,
        };
        master.zeroize();
        keys
    }

    fn seal(
        &mut self,
        binding: Binding,
        associated: &[u8],
        prefix: [u8; PREFIX],
        count: [u8; COUNT],
        plain: &[u8],
    ) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&prefix);
        sealed.extend_from_slice(&count);
        sealed.extend_from_slice(plain);
        let subkey = self.purpose(binding).of(prefix);
        let tag = cipher::seal(subkey, count, associated, &mut sealed[NONCE..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Seals with the first 24 bytes of a hash as the nonce.
    fn seal_by_hash(
        &mut self,
        binding: Binding,
        associated: &[u8],
        hash: blake3::Hash,
        plain: &[u8],
    ) -> Vec<u8> {
        let (mut prefix, mut count) = ([0; PREFIX], [0; COUNT]);
        prefix.copy_from_slice(&hash.as_bytes()[..PREFIX]);
        count.copy_from_slice(&hash.as_bytes()[PREFIX..NONCE]);
        self.seal(binding, associated, prefix, count, plain)
    }

    fn purpose(&mut self, binding: Binding) -> &mut Subkeys {
        match binding {
            Binding::Event(..) | Binding::ViewData(_) => &mut self.payload,
            Binding::Presence(_) => &mut self.presence,
            Binding::Snapshot(_) => &mut self.snapshot,
            Binding::Persisted(_) => &mut self.persisted,
        }
    }
}

/// A key, and the subkeys of the nonce prefixes that were derived most recently.
struct Subkeys {
    key: [u8; 32],
    recent: Vec<([u8; PREFIX], Subkey)>,
    /// Index of the oldest one.
    oldest: usize,
}

impl Drop for Subkeys {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Subkeys {
    fn new(key: [u8; 32]) -> Self {
        Self { key, recent: Vec::new(), oldest: 0 }
    }

    fn of(&mut self, prefix: [u8; PREFIX]) -> &Subkey {
        let known = self.recent.iter().position(|(known, _)| *known == prefix);
        let at = known.unwrap_or_else(|| self.add(prefix));
        &self.recent[at].1
    }

    /// Adds a subkey, in place of the oldest if there are too many. Returns its index.
    fn add(&mut self, prefix: [u8; PREFIX]) -> usize {
        // All at once, because growing would leave copies of keys in freed memory.
        self.recent.reserve_exact(CACHED_SUBKEYS - self.recent.len());
        let new = (prefix, Subkey::derive(&self.key, prefix));
        if self.recent.len() < CACHED_SUBKEYS {
            self.recent.push(new);
            return self.recent.len() - 1;
        }
        let at = self.oldest;
        self.recent[at] = new;
        self.oldest = (at + 1) % CACHED_SUBKEYS;
        at
    }
}

/// The associated data of a message. On the stack, because each event needs one.
struct Associated {
    bytes: [u8; 56],
    length: usize,
}

impl std::ops::Deref for Associated {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Session id, view id for events, view data and presence, and number. For persisted data: room id and version.
fn associated_data(session: SessionId, room: Digest, binding: Binding) -> Associated {
    let mut data = Associated { bytes: [0; 56], length: 0 };
    let mut put = |part: &[u8]| {
        data.bytes[data.length..data.length + part.len()].copy_from_slice(part);
        data.length += part.len();
    };
    let (view, number) = match binding {
        Binding::Event(view, counter) => (Some(view), counter),
        Binding::ViewData(view) | Binding::Presence(view) => (Some(view), 0),
        Binding::Snapshot(seq) => (None, seq),
        Binding::Persisted(version) => {
            put(&room.0);
            put(&version.to_be_bytes());
            return data;
        }
    };
    put(&session.0);
    if let Some(view) = view {
        put(&view.0);
    }
    put(&number.to_be_bytes());
    data
}

#[cfg(test)]
mod tests;
