//! Blob connections: what a server reads, and what a client reads when it stores and when it fetches.

use std::sync::{Arc, LazyLock};

use teatime_blobs::{
    BlobHandle, Download, MemoryFiles, Serving, Space, Upload, Vault, VaultLimits,
};
use teatime_wire::{BlobReply, BlobRequest, Challenge, Digest};

use crate::tape::Tape;

/// What the client stores and fetches.
pub(crate) const CONTENT: &[u8] = b"a small photo";

/// What servers say first.
const CHALLENGE: Challenge = Challenge { nonce: Digest([1; 32]), channel: None };

static SPACE: LazyLock<Arc<Space>> =
    LazyLock::new(|| Arc::new(Space::new("test.diary", "room", None)));

static HANDLE: LazyLock<BlobHandle> = LazyLock::new(|| talk().0);

/// A request, and the reply to it.
pub(crate) type Exchange = (Vec<u8>, Vec<u8>);

/// The first byte says who reads.
pub(crate) fn run(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    match tape.step().map(|byte| byte % 3) {
        Some(0) => serve(&mut tape),
        Some(1) => store(&mut tape),
        Some(2) => fetch(&mut tape),
        _ => {}
    }
}

fn vault() -> Vault<MemoryFiles> {
    let limits = VaultLimits { max_blob: 1 << 20, max_space: 1 << 20, ..VaultLimits::IN_MEMORY };
    Vault::open(MemoryFiles::default(), limits, 0).expect("it is empty")
}

/// What a client and a server say when the content is stored, and the handle that stands for it.
pub(crate) fn talk() -> (BlobHandle, Vec<Exchange>) {
    let (mut vault, mut serving) = (vault(), Serving::new(CHALLENGE));
    let mut upload = Upload::new(SPACE.clone(), CONTENT.len() as u64).expect("it is small");
    let mut said = Vec::new();
    upload.connected(&CHALLENGE);
    loop {
        if let Some(handle) = upload.handle() {
            return (handle, said);
        }
        if upload.wants() > 0 {
            upload.push(CONTENT);
        }
        let frame = upload.poll_send().expect("it goes on");
        let reply = serving.received(0, &mut vault, &frame).expect("it is right");
        upload.received(&reply).expect("it is right");
        said.push((frame.to_vec(), reply));
    }
}

/// Two connections to one server. Each request that is not the last has one reply, which a client can read.
fn serve(tape: &mut Tape<'_>) {
    let mut vault = vault();
    let mut lines = [Some(Serving::new(CHALLENGE)), Some(Serving::new(CHALLENGE))];
    let mut stored: Vec<Digest> = Vec::new();
    let mut now = 0;
    while let Some(step) = tape.step() {
        let line = &mut lines[usize::from(step & 1)];
        let piece = tape.piece();
        let frame = match step >> 1 & 7 {
            0 => BlobRequest::Chunk(piece).encode(),
            1 => BlobRequest::Offer(stored.clone()).encode(),
            2 => BlobRequest::Manifest(&manifest(piece, &stored)).encode(),
            3 => BlobRequest::Get(chosen(piece, &stored)).encode(),
            4 => {
                now += u64::from(step) << 12;
                *line = Some(Serving::new(CHALLENGE));
                continue;
            }
            _ => piece.to_vec(),
        };
        let Some(serving) = line else { continue };
        match serving.received(now, &mut vault, &frame) {
            Ok(reply) => match BlobReply::decode(&reply).expect("a server makes valid replies") {
                BlobReply::Stored(id) | BlobReply::Complete(id) => stored.push(id),
                _ => {}
            },
            Err(_) => *line = None,
        }
    }
    let usage = vault.usage();
    assert!(usage.bytes <= 1 << 20, "{usage:?}");
}

/// The manifest of a blob of these chunks, with a size that the input chooses.
fn manifest(piece: &[u8], chunks: &[Digest]) -> Vec<u8> {
    let size = piece.iter().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    let mut bytes = [b"TEABLOB1", &size.to_be_bytes()[..]].concat();
    chunks.iter().for_each(|chunk| bytes.extend(chunk.0));
    bytes
}

fn chosen(piece: &[u8], stored: &[Digest]) -> Digest {
    let at = piece.first().map_or(0, |byte| usize::from(*byte));
    stored.get(at).copied().unwrap_or(Digest([9; 32]))
}

/// A client believes that its content is stored only if a server names the right blob.
fn store(tape: &mut Tape<'_>) {
    let mut upload = Upload::new(SPACE.clone(), CONTENT.len() as u64).expect("it is small");
    upload.connected(&CHALLENGE);
    while let Some(step) = tape.step() {
        if upload.wants() > 0 {
            upload.push(CONTENT);
        }
        if step & 1 == 1 {
            while upload.poll_send().is_some() {}
        }
        if step & 6 == 6 {
            upload.connected(&CHALLENGE);
        }
        if upload.received(tape.piece()).is_err() {
            return;
        }
        assert!(upload.handle().is_none_or(|handle| handle == *HANDLE));
    }
}

/// A client hands out the right content, or none.
fn fetch(tape: &mut Tape<'_>) {
    let mut download = Download::new(SPACE.clone(), *HANDLE).expect("it is of this room");
    download.connected(&CHALLENGE);
    let mut got = Vec::new();
    while let Some(step) = tape.step() {
        if step & 1 == 1 {
            while download.poll_send().is_some() {}
        }
        if step & 6 == 6 {
            download.connected(&CHALLENGE);
        }
        let piece = tape.piece();
        let is_over = match download.poll_wanted().filter(|_| step & 8 == 8) {
            Some(id) => !download.supply(id, piece),
            None => download.received(piece).is_err(),
        };
        while let Some(part) = download.take() {
            got.extend(part);
        }
        assert_eq!(got, CONTENT[..got.len()]);
        assert_eq!(download.is_done(), got.len() == CONTENT.len());
        if is_over {
            return;
        }
    }
}
