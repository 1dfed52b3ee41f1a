//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) of whole chunks.
//!
//! The portable code is the one that takes least time for the short messages of sessions. For a chunk it takes four
//! times as long as code written for the processor: that is used where it is linked anyway, for TLS.

#[cfg(feature = "ring")]
pub(crate) use native::{open, seal};
#[cfg(not(feature = "ring"))]
pub(crate) use portable::{open, seal};

/// Length of the nonce in front of a sealed chunk.
pub(crate) const NONCE: usize = 24;
/// Length of the tag behind it.
pub(crate) const TAG: usize = 16;

#[cfg(any(test, not(feature = "ring")))]
mod portable {
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

    use super::{NONCE, TAG};

    /// Encrypts in place, and returns the tag.
    pub(crate) fn seal(
        key: &[u8; 32],
        nonce: [u8; NONCE],
        bound_to: &[u8],
        content: &mut [u8],
    ) -> [u8; TAG] {
        XChaCha20Poly1305::new(&(*key).into())
            .encrypt_inout_detached(&nonce.into(), bound_to, content.into())
            .expect("a chunk is far shorter than the 256 GiB that one nonce covers")
            .into()
    }

    /// Decrypts in place, unless something was sealed otherwise.
    #[must_use]
    pub(crate) fn open(
        key: &[u8; 32],
        nonce: [u8; NONCE],
        bound_to: &[u8],
        content: &mut [u8],
        tag: [u8; TAG],
    ) -> bool {
        let cipher = XChaCha20Poly1305::new(&(*key).into());
        cipher.decrypt_inout_detached(&nonce.into(), bound_to, content.into(), &tag.into()).is_ok()
    }
}

#[cfg(feature = "ring")]
mod native {
    use chacha20::R20;
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use zeroize::Zeroizing;

    use super::{NONCE, TAG};

    /// The key and the nonce of the cipher with short nonces within that with long ones.
    fn within(key: &[u8; 32], nonce: [u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (front, back) = nonce.split_at(16);
        let front: [u8; 16] = front.try_into().expect("it is split there");
        let subkey: [u8; 32] = chacha20::hchacha::<R20>(&(*key).into(), &front.into()).into();
        let subkey = Zeroizing::new(subkey);
        let mut short = [0; 12];
        short[4..].copy_from_slice(back);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*subkey).expect("it is 32 bytes long");
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(short))
    }

    /// Encrypts in place, and returns the tag.
    pub(crate) fn seal(
        key: &[u8; 32],
        nonce: [u8; NONCE],
        bound_to: &[u8],
        content: &mut [u8],
    ) -> [u8; TAG] {
        let (key, nonce) = within(key, nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(bound_to), content);
        let tag = tag.expect("a chunk is far shorter than the 256 GiB that one nonce covers");
        tag.as_ref().try_into().expect("tags of this cipher are that long")
    }

    /// Decrypts in place, unless something was sealed otherwise.
    #[must_use]
    pub(crate) fn open(
        key: &[u8; 32],
        nonce: [u8; NONCE],
        bound_to: &[u8],
        content: &mut [u8],
        tag: [u8; TAG],
    ) -> bool {
        let (key, nonce) = within(key, nonce);
        let opened =
            key.open_in_place_separate_tag(nonce, Aad::from(bound_to), tag.into(), content, 0..);
        opened.is_ok()
    }

    #[cfg(test)]
    mod tests {
        use super::super::portable;
        use super::*;

        #[test]
        fn it_is_the_portable_one() {
            let key = std::array::from_fn(|at| at as u8);
            for length in [0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 1000, 65_537, 262_144] {
                let nonce = std::array::from_fn(|at| (length + 7 * at) as u8);
                let plain: Vec<u8> = (0..length).map(|at| (at / 3) as u8).collect();
                let (mut here, mut there) = (plain.clone(), plain.clone());
                let tag = seal(&key, nonce, b"room", &mut here);
                assert_eq!(tag, portable::seal(&key, nonce, b"room", &mut there), "{length}");
                assert!(here == there, "{length}");
                let sealed = here.clone();
                for open in [open, portable::open] {
                    let opens = |bound_to: &[u8], content: &[u8], tag| {
                        let mut content = content.to_vec();
                        open(&key, nonce, bound_to, &mut content, tag) && content == plain
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

        #[test]
        fn it_is_the_one_of_the_draft() {
            // draft-irtf-cfrg-xchacha-03, A.3.1.
            let key = std::array::from_fn(|at| 0x80 + at as u8);
            let nonce = std::array::from_fn(|at| 0x40 + at as u8);
            let bound_to = [80, 81, 82, 83, 192, 193, 194, 195, 196, 197, 198, 199];
            let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                tip for the future, sunscreen would be it.";
            let tag = 0xc087_5924_c1c7_9879_47de_afd8_780a_cf49_u128.to_be_bytes();
            let first = 0xbd6d_179d_3e83_d43b_9576_5794_93c0_e939_u128.to_be_bytes();
            for seal in [seal, portable::seal] {
                let mut content = *plain;
                assert_eq!(seal(&key, nonce, &bound_to, &mut content), tag);
                assert_eq!(content[..16], first);
            }
        }
    }
}
