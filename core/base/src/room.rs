//! The keys of a room. They follow from its name and its password.

use std::borrow::Cow;

use argon2::{Algorithm, Argon2, Params, Version};
use icu_normalizer::ComposingNormalizerBorrowed;
use zeroize::{Zeroize, Zeroizing};

use crate::{Digest, PublicKey, SecretKey};

/// Memory of the password hash in KiB. OWASP recommends this for Argon2id with two passes. It takes some 30 ms on
/// a desktop and less than half a second on an old phone.
const ARGON2_KIB: u32 = 19 * 1024;

/// Number of passes of the password hash over its memory.
const ARGON2_ITERATIONS: u32 = 2;

/// The keys of a room. They follow from the app, the room's name and its password.
///
/// They do not depend on the version of the app's models: what one version stores in the room, the next can
/// read.
///
/// With a password, making them takes some 30 ms of CPU and 19 MiB of memory. That is on purpose, because it
/// makes guessing the password expensive. Make them once and share them.
pub struct RoomKeys {
    name: Digest,
    id: Digest,
    master: [u8; 32],
    password_key: Option<SecretKey>,
}

impl Drop for RoomKeys {
    fn drop(&mut self) {
        self.master.zeroize();
    }
}

/// Without the id of the room, which cannot be guessed without the password.
impl std::fmt::Debug for RoomKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomKeys")
            .field("name", &self.name)
            .field("has_password", &self.has_password())
            .finish_non_exhaustive()
    }
}

impl RoomKeys {
    /// The keys of the room with this name in an app.
    ///
    /// The room's key is Argon2id of the password (RFC 9106), salted with a hash of app and name. Without a
    /// password it is that hash. The name counts as normalized. The password does, too: spaces of
    /// all kinds count as the plain space, and what looks alike as alike (RFC 8265, OpaqueString).
    pub fn new(app: &str, room: &str, password: Option<&str>) -> Self {
        let Digest(name) = Self::name_of(app, room);
        let master =
            password.map_or(name, |password| stretch(&normalize_password(password), &name));
        let name = Digest(name);
        let password_key = password.map(|_| SecretKey::of_password(&master));
        let id = room_id(name, password_key.as_ref().map(SecretKey::public));
        Self { name, id, master, password_key }
    }

    /// The [`name`](Self::name) of these keys, without making them.
    pub fn name_of(app: &str, room: &str) -> Digest {
        let name = rmp_serde::to_vec(&(app, normalize_name(room)))
            .expect("MessagePack can express strings");
        Digest(blake3::derive_key("teatime v1 room name", &name))
    }

    /// A hash of app and room name. It does not depend on the password.
    pub fn name(&self) -> Digest {
        self.name
    }

    /// The [id](room_id) by which servers know the room. It depends on the password, so a client without the password
    /// cannot guess it.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whether the room has a password.
    pub fn has_password(&self) -> bool {
        self.password_key.is_some()
    }

    /// The key that proves to a reflector that a client knows the password. `None` without a password.
    pub fn password_key(&self) -> Option<&SecretKey> {
        self.password_key.as_ref()
    }

    /// A key for one purpose, bound to some bytes: BLAKE3's key derivation with the purpose as its context.
    /// The purpose must be a constant that nothing else uses.
    pub fn key(&self, purpose: &'static str, bound_to: &[u8]) -> [u8; 32] {
        derive(&self.master, purpose, bound_to)
    }
}

/// The id of the rooms with this name and this key of the password. Client and reflector both make it from what a join
/// carries and proves. So only a client that knows the password of a room is in it, and under no other name, whatever else
/// it claims.
pub fn room_id(name: Digest, password_key: Option<PublicKey>) -> Digest {
    Digest(match password_key {
        Some(PublicKey(key)) => {
            blake3::derive_key("teatime v1 room id with password", &[name.0, key].concat())
        }
        None => blake3::derive_key("teatime v1 room id", &name.0),
    })
}

/// What the participants of a session run: a hash of the version hash of its models and of their options, in canonical
/// MessagePack.
pub fn program(version_hash: &[u8; 32], options: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("teatime v1 program");
    hasher.update(version_hash).update(options);
    Digest(*hasher.finalize().as_bytes())
}

/// The form in which a room name counts: Unicode's normalization form C. Keyboards and file systems write `é` as one
/// character or as two, and both name the same room.
fn normalize_name(name: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(name)
}

/// The form in which a password counts (RFC 8265, section 4.2.2), but for the characters that RFC forbids: a password
/// that was accepted once must lead to the same room for ever.
fn normalize_password(password: &str) -> Zeroizing<String> {
    let spaced: Zeroizing<String> = Zeroizing::new(password.chars().map(plain_space).collect());
    Zeroizing::new(ComposingNormalizerBorrowed::new_nfc().normalize(&spaced).into_owned())
}

/// Every space of Unicode (general category Zs) becomes the plain one.
fn plain_space(character: char) -> char {
    match character {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        other => other,
    }
}

fn derive(master: &[u8; 32], purpose: &'static str, bound_to: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(purpose);
    hasher.update(master).update(bound_to);
    *hasher.finalize().as_bytes()
}

fn stretch(password: &str, salt: &[u8; 32]) -> [u8; 32] {
    let params = Params::new(ARGON2_KIB, ARGON2_ITERATIONS, 1, Some(32))
        .expect("the parameters are constants within Argon2's limits");
    let mut key = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut key)
        .expect("the salt has 32 bytes, and the password is shorter than 4 GiB");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_with_another_app_name_or_password_have_other_ids_and_keys() {
        let rooms = [
            RoomKeys::new("app", "room", Some("pw")),
            RoomKeys::new("app", "room", Some("wp")),
            RoomKeys::new("app", "room", None),
            RoomKeys::new("app", "moor", Some("pw")),
            RoomKeys::new("other", "room", Some("pw")),
        ];
        for (at, one) in rooms.iter().enumerate() {
            for other in &rooms[..at] {
                assert_ne!(one.id(), other.id());
                assert_ne!(one.key("purpose", &[]), other.key("purpose", &[]));
            }
        }
        assert_eq!(rooms[0].name(), rooms[2].name());
        assert_ne!(rooms[0].name(), rooms[3].name());
    }

    #[test]
    fn names_and_passwords_that_look_alike_lead_to_the_same_room() {
        let composed = RoomKeys::new("app", "Caf\u{e9}", Some("na\u{ef}ve key"));
        for (room, password) in [
            ("Cafe\u{301}", "nai\u{308}ve key"),
            ("Caf\u{e9}", "na\u{ef}ve\u{a0}key"),
            ("Cafe\u{301}", "na\u{ef}ve\u{3000}key"),
        ] {
            let other = RoomKeys::new("app", room, Some(password));
            assert_eq!((other.name(), other.id()), (composed.name(), composed.id()));
        }
        // Letters of other kinds, and case, stay what they are.
        for (room, password) in [
            ("Cafe", "na\u{ef}ve key"),
            ("caf\u{e9}", "na\u{ef}ve key"),
            ("Caf\u{e9} ", "na\u{ef}ve key"),
            ("Caf\u{e9}", "naive key"),
            ("Caf\u{e9}", "\u{ff4e}a\u{ef}ve key"),
        ] {
            assert_ne!(RoomKeys::new("app", room, Some(password)).id(), composed.id(), "{room}");
        }
    }
}
