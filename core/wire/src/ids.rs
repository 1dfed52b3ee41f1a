//! Identifiers on the wire: fixed-size byte strings, shown as lower-case hexadecimal.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_bytes::ByteArray::<$len>::deserialize(deserializer)
                    .map(|bytes| $name(bytes.into_array()))
            }
        }
    };
}

macro_rules! shown_as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

byte_id! {
    /// Names a session: a hash of app, room name, options and model version, so that whoever
    /// differs in one of them is somewhere else. It tells a reflector nothing it could read.
    SessionId, 32
}
byte_id! {
    /// Names a view (one client instance) within a session; derived from its [`ViewSecret`].
    ViewId, 16
}
byte_id! {
    /// A 256-bit digest: a state hash, or the proof that a client knows the password.
    Digest, 32
}
byte_id! {
    /// What a client draws at random once and shows to the reflector to be a certain view. Only
    /// who knows it can join, rejoin or send as that view.
    ViewSecret, 32
}
shown_as_hex!(SessionId);
shown_as_hex!(ViewId);
shown_as_hex!(Digest);

impl fmt::Debug for ViewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewSecret(…)")
    }
}

impl ViewSecret {
    /// The view id that belongs to this secret: the first 16 bytes of BLAKE3's key derivation with
    /// the context `teatime v1 view id`.
    pub fn view_id(&self) -> ViewId {
        let full = blake3::derive_key("teatime v1 view id", &self.0);
        let mut id = [0; 16];
        id.copy_from_slice(&full[..16]);
        ViewId(id)
    }
}
