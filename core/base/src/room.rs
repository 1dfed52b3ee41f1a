//! The keys of a room. They follow from its name and its password.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroize;

use crate::Digest;

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
    has_password: bool,
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
            .field("has_password", &self.has_password)
            .finish_non_exhaustive()
    }
}

impl RoomKeys {
    /// The keys of the room with this name in an app.
    ///
    /// The room's key is Argon2id of the password (RFC 9106), salted with a hash of app and name. Without a
    /// password it is that hash.
    pub fn new(app: &str, room: &str, password: Option<&str>) -> Self {
        let name = rmp_serde::to_vec(&(app, room)).expect("MessagePack can express strings");
        let name = blake3::derive_key("teatime v1 room name", &name);
        let master = password.map_or(name, |password| stretch(password, &name));
        let id = derive(&master, "teatime v1 room id", &[]);
        Self { name: Digest(name), id: Digest(id), master, has_password: password.is_some() }
    }

    /// A hash of app and room name. It does not depend on the password.
    pub fn name(&self) -> Digest {
        self.name
    }

    /// The id by which servers know the room. It depends on the password, so a client without the password
    /// cannot guess it.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whether the room has a password.
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// A key for one purpose, bound to some bytes: BLAKE3's key derivation with the purpose as its context.
    /// The purpose must be a constant that nothing else uses.
    pub fn key(&self, purpose: &'static str, bound_to: &[u8]) -> [u8; 32] {
        derive(&self.master, purpose, bound_to)
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
}
