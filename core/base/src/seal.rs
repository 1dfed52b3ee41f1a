//! End-to-end encryption: keys from a password, sealing and opening of what crosses the reflector.
//!
//! The room's key is Argon2id of the password (RFC 9106) salted with what names the room; BLAKE3's key
//! derivation makes the session's of it and of the session id, and splits both by purpose. What is persisted
//! belongs to the room, and is sealed with the room's. Messages are sealed with XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha): a 24-byte nonce, the ciphertext, a 16-byte tag. The first 16 bytes of
//! the nonce stay the same for one connection of one sender, the other 8 count its messages; so
//! the HChaCha20 half of the cipher is computed once per connection, not once per message. The nonce of a
//! snapshot follows from its content instead.

use std::sync::Arc;

use zeroize::Zeroize;

use crate::cipher::{self, COUNT, NONCE, PREFIX, Subkey, TAG};
use crate::{Digest, RoomKeys, SessionId, ViewId};

/// How many senders' subkeys a client remembers. In a room with more active senders at once each message
/// takes 0.2 µs longer.
const CACHED_SUBKEYS: usize = 64;

/// A message whose seal is broken: changed on the way, or sealed with another password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal is broken: changed on its way, or sealed with another password")]
pub struct BrokenSeal;

/// What a message is bound to besides its content, so that it cannot be passed off as another.
#[derive(Debug, Clone, Copy)]
pub enum Binding {
    /// An event: who sent it, and its place among that view's sends.
    Event(ViewId, u64),
    /// View data: whose.
    ViewData(ViewId),
    /// A snapshot: the sequence number of its vote.
    Snapshot(u64),
    /// What is persisted in the room: the version of the app that has done so.
    Persisted(u32),
}

/// Seals and opens the messages of one session; without a password it passes them through.
pub struct Seal {
    session: SessionId,
    room: Digest,
    keys: Option<Box<Keys>>,
}

struct Keys {
    payload: Subkeys,
    snapshot: Subkeys,
    persisted: Subkeys,
    persisted_nonce: [u8; 32],
    proof: [u8; 32],
    nonce: [u8; 32],
    /// Of this connection.
    prefix: [u8; PREFIX],
    sealed: u64,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.proof.zeroize();
        self.nonce.zeroize();
        self.persisted_nonce.zeroize();
    }
}

impl Seal {
    /// Derives the keys of a session in a room.
    pub fn new(session: SessionId, room: &RoomKeys) -> Self {
        let keys = room.has_password().then(|| Box::new(Keys::derive(session, room)));
        Self { session, room: room.id(), keys }
    }

    /// Starts a connection with fresh random bytes: nonces of different connections differ in them.
    pub fn start_connection(&mut self, random: [u8; PREFIX]) {
        if let Some(keys) = &mut self.keys {
            keys.prefix = random;
            keys.sealed = 0;
        }
    }

    /// What proves to the reflector that this client knows the password.
    pub fn password_proof(&self) -> Option<Digest> {
        self.keys.as_ref().map(|keys| Digest(keys.proof))
    }

    /// Seals the snapshot of a vote. Whoever has the same state gets the same bytes, so that their hash can be
    /// voted on, and the reflector can tell whether it is handed just them. The nonce follows from the
    /// key and the content: the construction of RFC 5297 (SIV), in which it comes twice only where
    /// everything does: the sequence number, too, is part of the snapshot.
    pub fn seal_snapshot(
        &mut self,
        seq: u64,
        state_hash: [u8; 32],
        snapshot: &Arc<[u8]>,
    ) -> Arc<[u8]> {
        let Some(keys) = &mut self.keys else { return snapshot.clone() };
        let nonce = blake3::keyed_hash(&keys.nonce, &state_hash);
        let (prefix, rest) = nonce.as_bytes().split_at(PREFIX);
        let count = rest[..COUNT].try_into().expect("a hash is longer than a nonce");
        let prefix = prefix.try_into().expect("it was split there");
        let binding = Binding::Snapshot(seq);
        let associated = associated_data(self.session, self.room, binding);
        keys.seal(&associated, binding, prefix, u64::from_be_bytes(count), snapshot).into()
    }

    /// Seals what some version of the app has persisted: like snapshots the same for everybody, and for
    /// every session of the room. The version is in the nonce, too: no nonce comes twice with other
    /// associated data.
    pub fn seal_persisted(&mut self, app_version: u32, plain: &[u8]) -> Vec<u8> {
        let Some(keys) = &mut self.keys else { return plain.to_vec() };
        let mut hasher = blake3::Hasher::new_keyed(&keys.persisted_nonce);
        let nonce = *hasher.update(&app_version.to_be_bytes()).update(plain).finalize().as_bytes();
        let (prefix, rest) = nonce.split_at(PREFIX);
        let count = rest[..COUNT].try_into().expect("a hash is longer than a nonce");
        let prefix = prefix.try_into().expect("it was split there");
        let binding = Binding::Persisted(app_version);
        let associated = associated_data(self.session, self.room, binding);
        keys.seal(&associated, binding, prefix, u64::from_be_bytes(count), plain)
    }

    /// How many bytes sealing adds.
    pub fn overhead(&self) -> usize {
        if self.keys.is_some() { NONCE + TAG } else { 0 }
    }

    /// Seals a message.
    pub fn seal(&mut self, binding: Binding, plain: &[u8]) -> Vec<u8> {
        let Some(keys) = &mut self.keys else { return plain.to_vec() };
        let (prefix, count) = (keys.prefix, keys.sealed);
        keys.sealed += 1;
        let associated = associated_data(self.session, self.room, binding);
        keys.seal(&associated, binding, prefix, count, plain)
    }

    /// Opens a message in place and returns its content.
    pub fn open<'a>(
        &mut self,
        binding: Binding,
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], BrokenSeal> {
        let Some(keys) = &mut self.keys else { return Ok(sealed) };
        if sealed.len() < NONCE + TAG {
            return Err(BrokenSeal);
        }
        let (nonce, rest) = sealed.split_at_mut(NONCE);
        let (content, tag) = rest.split_at_mut(rest.len() - TAG);
        let (prefix, count) = nonce.split_at(PREFIX);
        let (Ok(prefix), Ok(count), Ok(tag)) =
            (prefix.try_into(), count.try_into(), (&*tag).try_into())
        else {
            return Err(BrokenSeal);
        };
        let associated = associated_data(self.session, self.room, binding);
        let subkey = keys.purpose(binding).of(prefix);
        if cipher::open(subkey, count, &associated, content, tag) {
            Ok(content)
        } else {
            Err(BrokenSeal)
        }
    }
}

impl Keys {
    fn seal(
        &mut self,
        associated: &Associated,
        binding: Binding,
        prefix: [u8; PREFIX],
        count: u64,
        plain: &[u8],
    ) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&prefix);
        sealed.extend_from_slice(&count.to_be_bytes());
        sealed.extend_from_slice(plain);
        let subkey = self.purpose(binding).of(prefix);
        let tag = cipher::seal(subkey, count.to_be_bytes(), associated, &mut sealed[NONCE..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn derive(session: SessionId, room: &RoomKeys) -> Self {
        let mut master = room.key("teatime v1 session key", &session.0);
        let subkey = |context: &str| blake3::derive_key(context, &master);
        let keys = Self {
            payload: Subkeys::new(subkey("teatime v1 payload")),
            snapshot: Subkeys::new(subkey("teatime v1 snapshot")),
            persisted: Subkeys::new(room.key("teatime v1 persisted", &[])),
            persisted_nonce: room.key("teatime v1 persisted nonce", &[]),
            proof: subkey("teatime v1 password proof"),
            nonce: subkey("teatime v1 snapshot nonce"),
            prefix: [0; PREFIX],
            sealed: 0,
        };
        master.zeroize();
        keys
    }

    fn purpose(&mut self, binding: Binding) -> &mut Subkeys {
        match binding {
            Binding::Event(..) | Binding::ViewData(_) => &mut self.payload,
            Binding::Snapshot(_) => &mut self.snapshot,
            Binding::Persisted(_) => &mut self.persisted,
        }
    }
}

/// A key, and the subkeys of the nonce prefixes that came up most recently.
struct Subkeys {
    key: [u8; 32],
    recent: Vec<([u8; PREFIX], Subkey)>,
    next: usize,
}

impl Drop for Subkeys {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Subkeys {
    fn new(key: [u8; 32]) -> Self {
        Self { key, recent: Vec::new(), next: 0 }
    }

    fn of(&mut self, prefix: [u8; PREFIX]) -> &Subkey {
        let known = self.recent.iter().position(|(known, _)| *known == prefix);
        let at = known.unwrap_or_else(|| self.add(prefix));
        &self.recent[at].1
    }

    /// Remembers one more, in place of the oldest if there are too many, and says where it is.
    fn add(&mut self, prefix: [u8; PREFIX]) -> usize {
        let new = (prefix, Subkey::derive(&self.key, prefix));
        if self.recent.len() < CACHED_SUBKEYS {
            self.recent.push(new);
            return self.recent.len() - 1;
        }
        let at = self.next;
        self.recent[at] = new;
        self.next = (at + 1) % CACHED_SUBKEYS;
        at
    }
}

/// Session id, view if it is bound to one, and number; or room and version. On the stack, as it is made for every event.
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

fn associated_data(session: SessionId, room: Digest, binding: Binding) -> Associated {
    let mut data = Associated { bytes: [0; 56], length: 0 };
    let mut put = |part: &[u8]| {
        data.bytes[data.length..data.length + part.len()].copy_from_slice(part);
        data.length += part.len();
    };
    let (view, number) = match binding {
        Binding::Event(view, counter) => (Some(view), counter),
        Binding::ViewData(view) => (Some(view), 0),
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
mod tests {
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
    use chacha20poly1305::aead::{Aead, Payload};

    use super::*;

    const SESSION: SessionId = SessionId([7; 32]);
    const ALICE: ViewId = ViewId([1; 16]);

    fn new(session: SessionId, password: Option<&str>) -> Seal {
        Seal::new(session, &RoomKeys::new("app", "room", password))
    }

    fn sealer(password: &str) -> Seal {
        let mut seal = new(SESSION, Some(password));
        seal.start_connection([9; 16]);
        seal
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_password_and_binding_only() {
        let sealed = sealer("pw").seal(Binding::Event(ALICE, 3), b"hello");
        let open = |password: &str, binding| {
            sealer(password).open(binding, &mut sealed.clone()).map(<[u8]>::to_vec)
        };
        assert_eq!(open("pw", Binding::Event(ALICE, 3)).as_deref(), Ok(&b"hello"[..]));
        for binding in [
            Binding::Event(ALICE, 4),
            Binding::Event(ViewId([2; 16]), 3),
            Binding::ViewData(ALICE),
            Binding::Snapshot(3),
        ] {
            assert_eq!(open("pw", binding), Err(BrokenSeal));
        }
        assert_eq!(open("wp", Binding::Event(ALICE, 3)), Err(BrokenSeal));
        let mut elsewhere = new(SessionId([8; 32]), Some("pw"));
        assert!(elsewhere.open(Binding::Event(ALICE, 3), &mut sealed.clone()).is_err());
    }

    #[test]
    fn every_changed_bit_and_every_missing_byte_breaks_the_seal() {
        let sealed = sealer("pw").seal(Binding::Event(ALICE, 1), b"hello");
        let mut opener = sealer("pw");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.open(Binding::Event(ALICE, 1), &mut changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            let mut short = sealed[..length].to_vec();
            assert!(opener.open(Binding::Event(ALICE, 1), &mut short).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn keeping_subkeys_is_plain_xchacha20poly1305() {
        let mut seal = sealer("pw");
        seal.seal(Binding::Event(ALICE, 1), b"first");
        let sealed = seal.seal(Binding::Event(ALICE, 2), b"second");
        let key = seal.keys.as_ref().map(|keys| keys.payload.key).expect("there is a password");
        let nonce = <[u8; 24]>::try_from(&sealed[..24]).expect("a nonce is in front");
        let message = Payload {
            msg: &sealed[24..],
            aad: &associated_data(SESSION, seal.room, Binding::Event(ALICE, 2)),
        };
        let opened = XChaCha20Poly1305::new(&key.into()).decrypt(&nonce.into(), message);
        assert_eq!(opened.expect("the library's own cipher opens it"), b"second");
    }

    #[test]
    fn no_nonce_comes_twice_on_a_connection_nor_on_the_next() {
        let mut seal = sealer("pw");
        let mut nonces: Vec<_> =
            (0..100).map(|n| seal.seal(Binding::Event(ALICE, n), b"")[..24].to_vec()).collect();
        seal.start_connection([10; 16]);
        nonces.extend((0..100).map(|n| seal.seal(Binding::Event(ALICE, n), b"")[..24].to_vec()));
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 200);
    }

    #[test]
    fn equal_snapshots_are_sealed_alike_by_everybody_and_others_with_other_nonces() {
        let seal = |session, password: &str, state: &[u8]| {
            let mut seal = new(SessionId([session; 32]), Some(password));
            seal.start_connection([session; 16]);
            let hash = *blake3::hash(state).as_bytes();
            seal.seal_snapshot(9, hash, &state.into())
        };
        let sealed = seal(7, "pw", b"state");
        let mut other = sealer("pw");
        other.start_connection([3; 16]);
        let same = other.seal_snapshot(9, *blake3::hash(b"state").as_bytes(), &b"state"[..].into());
        assert_eq!(same, sealed);
        assert_eq!(other.open(Binding::Snapshot(9), &mut sealed.to_vec()), Ok(&b"state"[..]));
        assert!(other.open(Binding::Snapshot(8), &mut sealed.to_vec()).is_err());
        for differs in [seal(7, "pw", b"State"), seal(7, "wp", b"state"), seal(8, "pw", b"state")] {
            assert_ne!(differs[..NONCE], sealed[..NONCE]);
        }
    }

    #[test]
    fn what_is_persisted_opens_in_every_session_of_the_room_as_what_its_version_has_persisted() {
        let sealed = sealer("pw").seal_persisted(2, b"saved");
        let mut elsewhere = new(SessionId([8; 32]), Some("pw"));
        assert_eq!(elsewhere.seal_persisted(2, b"saved"), sealed);
        let open = |seal: &mut Seal, version| {
            seal.open(Binding::Persisted(version), &mut sealed.clone()).map(<[u8]>::to_vec)
        };
        assert_eq!(open(&mut elsewhere, 2).as_deref(), Ok(&b"saved"[..]));
        assert_eq!(open(&mut elsewhere, 3), Err(BrokenSeal));
        assert_eq!(open(&mut sealer("wp"), 2), Err(BrokenSeal));
        let mut other = Seal::new(SESSION, &RoomKeys::new("app", "moor", Some("pw")));
        assert_eq!(open(&mut other, 2), Err(BrokenSeal));
        assert!(!sealed.windows(5).any(|window| window == b"saved"));
        for differs in [
            sealer("pw").seal_persisted(3, b"saved"),
            sealer("pw").seal_persisted(2, b"Saved"),
            sealer("wp").seal_persisted(2, b"saved"),
        ] {
            assert_ne!(differs[..NONCE], sealed[..NONCE]);
        }
    }

    #[test]
    fn the_keys_follow_from_the_rooms_as_the_protocol_page_says() {
        let master = RoomKeys::new("app", "room", Some("pw"));
        let stretched = {
            let name = blake3::derive_key("teatime v1 room name", b"\x92\xa3app\xa4room");
            let params = argon2::Params::new(19456, 2, 1, Some(32)).expect("they are right");
            let argon =
                argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            let mut key = [0; 32];
            argon.hash_password_into(b"pw", &name, &mut key).expect("it is long enough");
            key
        };
        let session = [&stretched[..], &SESSION.0].concat();
        let session = blake3::derive_key("teatime v1 session key", &session);
        let seal = Seal::new(SESSION, &master);
        let proof = blake3::derive_key("teatime v1 password proof", &session);
        assert_eq!(seal.password_proof(), Some(Digest(proof)));
        let keys = seal.keys.as_ref().expect("there is a password");
        assert_eq!(keys.payload.key, blake3::derive_key("teatime v1 payload", &session));
        assert_eq!(keys.persisted.key, blake3::derive_key("teatime v1 persisted", &stretched));
        assert_eq!(seal.room.0, blake3::derive_key("teatime v1 room id", &stretched));
    }

    #[test]
    fn without_a_password_nothing_is_changed_or_proved() {
        let mut seal = new(SESSION, None);
        assert_eq!(seal.seal(Binding::Event(ALICE, 1), b"plain"), b"plain");
        assert_eq!(seal.overhead(), 0);
        assert_eq!(seal.password_proof(), None);
        let snapshot: Arc<[u8]> = b"state".as_slice().into();
        assert_eq!(seal.seal_snapshot(1, [5; 32], &snapshot), snapshot);
        assert_eq!(seal.seal_persisted(1, b"saved"), b"saved");
    }
}
