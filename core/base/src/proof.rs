//! Keys with which a client proves who it is: Ed25519 (RFC 8032).
//!
//! The holder of a [`SecretKey`] signs. Every party can check a signature with the [`PublicKey`], and cannot make one.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{PublicKey, Signature, ViewId};

/// A key that signs. It never leaves the client, and is wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// The key of a view. `secret` must be 32 bytes that no other party can guess.
    pub fn of_view(secret: &[u8; 32]) -> Self {
        Self::derive("teatime v1 view key", secret)
    }

    /// The key of everyone who knows the password of a room. `master` is the room's key, which follows from the password.
    pub fn of_password(master: &[u8; 32]) -> Self {
        Self::derive("teatime v1 password key", master)
    }

    /// The public key, with which others check what this key signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message. The first bytes of each kind of message must be a constant that no other kind begins with.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    fn derive(purpose: &'static str, secret: &[u8; 32]) -> Self {
        let seed = Zeroizing::new(blake3::derive_key(purpose, secret));
        Self(SigningKey::from_bytes(&seed))
    }
}

impl PublicKey {
    /// The id of the view with this key: the first 16 bytes of BLAKE3's key derivation with the context
    /// `teatime v1 view id`.
    pub fn view_id(&self) -> ViewId {
        let full = blake3::derive_key("teatime v1 view id", &self.0);
        let mut id = [0; 16];
        id.copy_from_slice(&full[..16]);
        ViewId(id)
    }

    /// Whether the holder of the secret key has signed this message. Strict: a key of small order is never right, because
    /// one signature would fit many messages.
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_message_has_a_signature_that_fits_and_only_under_its_own_key() {
        let (one, other) = (SecretKey::of_view(&[1; 32]), SecretKey::of_view(&[2; 32]));
        let signature = one.sign(b"hello");
        assert!(one.public().has_signed(b"hello", &signature));
        assert!(!one.public().has_signed(b"hullo", &signature));
        assert!(!other.public().has_signed(b"hello", &signature));
        for at in 0..64 {
            let mut changed = signature;
            changed.0[at] ^= 1;
            assert!(!one.public().has_signed(b"hello", &changed), "byte {at}");
        }
    }

    #[test]
    fn a_key_of_small_order_has_signed_nothing() {
        // The neutral element, with the signature (neutral element, 0), fits every message in RFC 8032's equation.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!PublicKey(neutral).has_signed(b"anything", &Signature(signature)));
    }

    #[test]
    fn keys_for_different_purposes_differ_and_follow_as_the_protocol_page_says() {
        let (view, password) = (SecretKey::of_view(&[1; 32]), SecretKey::of_password(&[1; 32]));
        assert_ne!(view.public(), password.public());
        for (key, context) in [(view, "teatime v1 view key"), (password, "teatime v1 password key")]
        {
            let seed = blake3::derive_key(context, &[1; 32]);
            assert_eq!(key.public().0, SigningKey::from_bytes(&seed).verifying_key().to_bytes());
        }
    }

    #[test]
    fn debug_output_hides_a_secret_key() {
        assert_eq!(format!("{:?}", SecretKey::of_view(&[0xab; 32])), "SecretKey(…)");
    }
}
