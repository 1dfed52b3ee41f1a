//! The blobs of PROTOCOL.md, computed here again from the primitives that it names.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use proptest::prelude::*;
use teatime_base::{PublicKey, SecretKey};
use teatime_blobs::{
    BlobError, BlobHandle, ChunkFiles, Download, Kind, MemoryFiles, Serving, Space, Upload, Vault,
    VaultLimits,
};
use teatime_wire::{BlobLimits, BlobReply, Challenge, Digest};

/// What all connections here are for.
const CHALLENGE: Challenge = Challenge { nonce: Digest([9; 32]), channel: None };

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sealed chunk, the manifest, and the handle of a blob.
fn computed(password: Option<&str>, content: &[u8]) -> (Vec<u8>, Vec<u8>, String) {
    let size = content.len() as u64;
    computed_with(password, content, size, size)
}

/// The same with other sizes in manifest and handle.
fn computed_with(
    password: Option<&str>,
    content: &[u8],
    in_manifest: u64,
    in_handle: u64,
) -> (Vec<u8>, Vec<u8>, String) {
    // 92: an array of two; a1, a4: strings of 1 and 4 bytes.
    let name = blake3::derive_key("teatime v1 room name", b"\x92\xa1a\xa4room");
    let mut master = name;
    if let Some(password) = password {
        let params = Params::new(19_456, 2, 1, Some(32)).expect("they are within limits");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &name, &mut master)
            .expect("there is memory");
    }
    let key = |what: &str| blake3::derive_key(&format!("teatime v1 {what}"), &master);
    // With a password the room is known by the public key that follows from it.
    let space = match password {
        Some(_) => {
            let PublicKey(key) = SecretKey::of_password(&master).public();
            blake3::derive_key("teatime v1 room id with password", &[name, key].concat())
        }
        None => key("room id"),
    };
    let mut chunk = content.to_vec();
    if password.is_some() {
        let nonce = blake3::keyed_hash(&key("blob nonce"), content);
        let nonce: [u8; 24] = nonce.as_bytes()[..24].try_into().expect("it is longer");
        let payload = Payload { msg: content, aad: &space };
        let cipher = XChaCha20Poly1305::new(&key("blob chunk").into());
        let sealed = cipher.encrypt(&nonce.into(), payload).expect("it is short");
        chunk = [&nonce[..], &sealed].concat();
    }
    let id = blake3::keyed_hash(&space, &chunk);
    let manifest = [b"TEABLOB1", &in_manifest.to_be_bytes()[..], id.as_bytes()].concat();
    let root = blake3::keyed_hash(&space, &manifest);
    let front = [&root.as_bytes()[..], &in_handle.to_be_bytes()].concat();
    let mark = blake3::keyed_hash(&key("blob handle"), &front);
    let handle = format!("teatime-blob:{}{}", hex(&front), hex(&mark.as_bytes()[..16]));
    (chunk, manifest, handle)
}

#[test]
fn chunks_manifests_and_handles_are_as_the_protocol_page_says() {
    for password in [None, Some("sesame")] {
        let content = b"a small photo";
        let mut vault =
            Vault::open(MemoryFiles::default(), VaultLimits::IN_MEMORY, 0).expect("empty");
        let space = Arc::new(Space::new("a", "room", password));
        let mut upload = Upload::new(space, content.len() as u64).expect("it is small");
        let mut serving = Serving::new(CHALLENGE);
        upload.connected(&CHALLENGE);
        while upload.handle().is_none() {
            if upload.wants() > 0 {
                upload.push(content);
            }
            let frame = upload.poll_send().expect("it goes on");
            let reply = serving.received(0, &mut vault, &frame).expect("it is right");
            upload.received(&reply).expect("it is right");
        }
        let (chunk, manifest, handle) = computed(password, content);
        assert_eq!(upload.handle().map(|handle| handle.to_string()), Some(handle));
        let mut files = vault.into_files();
        for (name, _) in files.list().expect("it is in memory") {
            let expected = if name.kind == Kind::Chunk { &chunk } else { &manifest };
            assert_eq!(&files.read(&name).expect("it is in memory"), expected);
        }
    }
}

#[test]
fn the_handle_of_a_known_blob_does_not_change() {
    // Users store handles, so handles must resolve for ever.
    let (_, _, handle) = computed(Some("sesame"), b"a small photo");
    assert_eq!(handle, KNOWN);
    assert!(Space::new("a", "room", Some("sesame")).owns(&KNOWN.parse().expect("it is one")));
}

/// The handle as it was computed when the rules for blobs were last changed.
const KNOWN: &str = "teatime-blob:1c56532d561d4238ac74d44fcb282f9de0baed46036924b45a72e441747eb487000000000000000dad62d1e8667ecb7f81c12802f4e2ae76";

#[test]
fn a_client_that_lied_about_the_size_of_a_blob_is_detected() {
    for password in [None, Some("sesame")] {
        let space = Arc::new(Space::new("a", "room", password));
        for (in_manifest, in_handle) in [(13, 12), (13, 14), (12, 12), (14, 14), (300_000, 13)] {
            let content = b"a small photo";
            let (chunk, manifest, handle) =
                computed_with(password, content, in_manifest, in_handle);
            let handle = handle.parse().expect("it is one");
            let mut download = Download::new(space.clone(), handle).expect("it is of this room");
            download.connected(&CHALLENGE);
            let ready = BlobLimits { max_blob: 1000, room: 1000 };
            let replies = [
                BlobReply::Ready(ready),
                BlobReply::Content(&manifest),
                BlobReply::Content(&chunk),
            ];
            let error = replies.iter().find_map(|reply| {
                while download.poll_send().is_some() {}
                let error = download.received(&reply.encode()).err();
                assert_eq!(download.take(), None);
                error
            });
            assert_eq!(error, Some(BlobError::WrongBytes), "{in_manifest} {in_handle}");
        }
    }
}

proptest! {
    #[test]
    fn scanning_any_text_gives_only_handles_that_it_contains(
        text in "(teatime-blob:)?[0-9a-f:é]{0,130}(teatime-blob:[0-9a-f]{112})?[0-9a-f]{0,9}",
    ) {
        for handle in BlobHandle::scan(text.as_bytes()) {
            prop_assert!(text.contains(&handle.to_string()));
        }
    }
}
