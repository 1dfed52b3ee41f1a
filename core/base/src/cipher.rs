//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), the only cipher of Teatime.
//!
//! The key and the first 16 bytes of a nonce give a subkey. The other 8 bytes are the nonce of
//! ChaCha20-Poly1305 under that subkey. So a caller that uses the same 16 bytes for many messages derives the
//! subkey once.
//!
//! With the feature `ring`, the code of ring is used, which is written for each processor. The portable code takes twice to
//! three times as long for short messages, such as events, and four times as long for large contents.

use chacha20::R20;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(feature = "ring")]
pub(crate) use native::{open, seal};
#[cfg(not(feature = "ring"))]
pub(crate) use portable::{open, seal};

/// Length in bytes of the nonce in front of a sealed message.
pub const NONCE: usize = 24;
/// Length in bytes of the tag behind a sealed message.
pub const TAG: usize = 16;
/// Length in bytes of the part of a nonce from which the subkey is derived.
pub(crate) const PREFIX: usize = 16;
/// Length in bytes of the rest of the nonce.
pub(crate) const COUNT: usize = NONCE - PREFIX;

/// The key of ChaCha20-Poly1305 for one key and one first part of a nonce.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Subkey([u8; 32]);

impl Subkey {
    pub(crate) fn derive(key: &[u8; 32], prefix: [u8; PREFIX]) -> Self {
        Self(chacha20::hchacha::<R20>(&(*key).into(), &prefix.into()).into())
    }
}

/// ChaCha20-Poly1305 has a nonce of 12 bytes. XChaCha20 uses the last 8 of them.
fn short_nonce(count: [u8; COUNT]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&count);
    nonce
}

fn split(nonce: [u8; NONCE]) -> ([u8; PREFIX], [u8; COUNT]) {
    let (mut prefix, mut count) = ([0; PREFIX], [0; COUNT]);
    prefix.copy_from_slice(&nonce[..PREFIX]);
    count.copy_from_slice(&nonce[PREFIX..]);
    (prefix, count)
}

/// Encrypts large content in place, and returns the tag. `bound_to` is authenticated but not encrypted.
///
/// A nonce must not be used with the same key for different content.
pub fn seal_large(
    key: &[u8; 32],
    nonce: [u8; NONCE],
    bound_to: &[u8],
    content: &mut [u8],
) -> [u8; TAG] {
    let (prefix, count) = split(nonce);
    seal(&Subkey::derive(key, prefix), count, bound_to, content)
}

/// Decrypts large content in place. Returns false if it was not sealed with these arguments. The caller must
/// then discard the content.
#[must_use]
pub fn open_large(
    key: &[u8; 32],
    nonce: [u8; NONCE],
    bound_to: &[u8],
    content: &mut [u8],
    tag: [u8; TAG],
) -> bool {
    let (prefix, count) = split(nonce);
    open(&Subkey::derive(key, prefix), count, bound_to, content, tag)
}

#[cfg(any(not(feature = "ring"), test))]
mod portable {
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

    use super::{COUNT, Subkey, TAG, short_nonce};

    /// Encrypts in place, and returns the tag.
    pub(crate) fn seal(
        subkey: &Subkey,
        count: [u8; COUNT],
        bound_to: &[u8],
        content: &mut [u8],
    ) -> [u8; TAG] {
        ChaCha20Poly1305::new(&subkey.0.into())
            .encrypt_inout_detached(&short_nonce(count).into(), bound_to, content.into())
            .expect("the content is far shorter than the 256 GiB that one nonce covers")
            .into()
    }

    /// Decrypts in place. Returns false if the content was not sealed with these arguments.
    #[must_use]
    pub(crate) fn open(
        subkey: &Subkey,
        count: [u8; COUNT],
        bound_to: &[u8],
        content: &mut [u8],
        tag: [u8; TAG],
    ) -> bool {
        ChaCha20Poly1305::new(&subkey.0.into())
            .decrypt_inout_detached(
                &short_nonce(count).into(),
                bound_to,
                content.into(),
                &tag.into(),
            )
            .is_ok()
    }
}

#[cfg(feature = "ring")]
mod native {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::{COUNT, Subkey, TAG, short_nonce};

    fn key(subkey: &Subkey) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &subkey.0);
        LessSafeKey::new(key.expect("the key is 32 bytes long"))
    }

    /// Encrypts in place, and returns the tag.
    pub(crate) fn seal(
        subkey: &Subkey,
        count: [u8; COUNT],
        bound_to: &[u8],
        content: &mut [u8],
    ) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(short_nonce(count));
        let tag = key(subkey).seal_in_place_separate_tag(nonce, Aad::from(bound_to), content);
        let tag = tag.expect("the content is far shorter than the 256 GiB that one nonce covers");
        tag.as_ref().try_into().expect("tags of this cipher have 16 bytes")
    }

    /// Decrypts in place. Returns false if the content was not sealed with these arguments.
    #[must_use]
    pub(crate) fn open(
        subkey: &Subkey,
        count: [u8; COUNT],
        bound_to: &[u8],
        content: &mut [u8],
        tag: [u8; TAG],
    ) -> bool {
        let nonce = Nonce::assume_unique_for_key(short_nonce(count));
        key(subkey)
            .open_in_place_separate_tag(nonce, Aad::from(bound_to), tag.into(), content, 0..)
            .is_ok()
    }

    #[cfg(test)]
    mod tests {
        use super::super::portable;
        use super::*;

        #[test]
        fn both_implementations_seal_and_open_the_same_bytes() {
            let subkey = Subkey(std::array::from_fn(|at| at as u8));
            for length in [0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 1000, 65_537, 262_144] {
                let count = std::array::from_fn(|at| (length + 7 * at) as u8);
                let plain: Vec<u8> = (0..length).map(|at| (at / 3) as u8).collect();
                let (mut here, mut there) = (plain.clone(), plain.clone());
                let tag = seal(&subkey, count, b"room", &mut here);
                assert_eq!(tag, portable::seal(&subkey, count, b"room", &mut there), "{length}");
                assert!(here == there, "{length}");
                let sealed = here.clone();
                for open in [open, portable::open] {
                    let opens = |bound_to: &[u8], content: &[u8], tag| {
                        let mut content = content.to_vec();
                        open(&subkey, count, bound_to, &mut content, tag) && content == plain
                    };
                    assert!(opens(b"room", &sealed, tag), "{length}");
                    assert!(!opens(b"moor", &sealed, tag), "{length}");
                    for at in 0..TAG {
                        let mut other = tag;
                        other[at] ^= 1;
                        assert!(!opens(b"room", &sealed, other), "{length}");
                    }
                    for at in [0, length / 2, length.saturating_sub(1)] {
                        let mut other = sealed.clone();
                        let Some(byte) = other.get_mut(at) else { continue };
                        *byte ^= 0x80;
                        assert!(!opens(b"room", &other, tag), "{length}");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cipher_gives_the_test_vector_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, A.3.1.
        let key = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce = std::array::from_fn(|at| 0x40 + at as u8);
        let bound_to = [80, 81, 82, 83, 192, 193, 194, 195, 196, 197, 198, 199];
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
            tip for the future, sunscreen would be it.";
        let tag = 0xc087_5924_c1c7_9879_47de_afd8_780a_cf49_u128.to_be_bytes();
        let first = 0xbd6d_179d_3e83_d43b_9576_5794_93c0_e939_u128.to_be_bytes();
        let (prefix, count) = split(nonce);
        let mut content = *plain;
        assert_eq!(seal(&Subkey::derive(&key, prefix), count, &bound_to, &mut content), tag);
        assert_eq!(content[..16], first);
        let mut content = *plain;
        assert_eq!(seal_large(&key, nonce, &bound_to, &mut content), tag);
        assert_eq!(content[..16], first);
        assert!(open_large(&key, nonce, &bound_to, &mut content, tag));
        assert_eq!(&content, plain);
    }
}
