//! Blobs: chunks, manifests and handles.

use std::sync::Arc;

use serde_json::{Value, json};
use teatime_blobs::{BlobHandle, MemoryFiles, Serving, Space, Upload, Vault, VaultLimits};
use teatime_wire::limits::BLOB_CHUNK;
use teatime_wire::{BlobRequest, Challenge, Digest};

use super::text::{expect_equal, file, hex, list, read_number, text};

const ROOM: (&str, &str) = ("org.example.vectors", "lobby");

/// The connection of the hello, which is in no vector.
const CHALLENGE: Challenge = Challenge { nonce: Digest([0x2a; 32]), channel: None };

/// Chunks up to this length stand in the file.
const SHORT: usize = 64;

pub(super) fn make() -> Value {
    let sizes = [0, 5, BLOB_CHUNK, BLOB_CHUNK + 3];
    let of_room = |password| sizes.map(|size| vector(password, size));
    file(
        "Blobs of rooms with and without a password. Byte i of a content is (131 i + floor(i / 251)) mod 256. Each chunk has its id, the length and the \
         BLAKE3 hash of its bytes as they are stored, and the bytes themselves if they are short.",
        [of_room(None), of_room(Some("tea"))].concat(),
    )
}

/// The content of a blob of this size.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (131 * at + at / 251) as u8).collect()
}

fn vector(password: Option<&str>, size: usize) -> Value {
    let space = Arc::new(Space::new(ROOM.0, ROOM.1, password));
    let stored = store(&space, &content(size)).expect("the server takes everything");
    let chunk = |(id, chunk): (&Digest, &Vec<u8>)| {
        let bytes = (chunk.len() <= SHORT).then(|| hex(chunk));
        json!({
            "id": hex(id.0), "length": chunk.len(), "hash": hex(Digest::of(chunk).0), "bytes": bytes,
        })
    };
    json!({
        "app": ROOM.0,
        "room": ROOM.1,
        "password": password,
        "space": hex(space.id().0),
        "size": size,
        "chunks": stored.ids.iter().zip(&stored.chunks).map(chunk).collect::<Vec<_>>(),
        "manifest": hex(&stored.manifest),
        "root": hex(stored.handle.root().0),
        "handle": stored.handle.to_string(),
    })
}

/// A blob as a server has it.
struct Stored {
    handle: BlobHandle,
    ids: Vec<Digest>,
    chunks: Vec<Vec<u8>>,
    manifest: Vec<u8>,
}

/// Stores a blob on a server in memory.
fn store(space: &Arc<Space>, content: &[u8]) -> Result<Stored, String> {
    let vault = Vault::open(MemoryFiles::default(), VaultLimits::IN_MEMORY, 0);
    let (mut vault, mut server) =
        (vault.map_err(|error| error.to_string())?, Serving::new(CHALLENGE));
    let mut upload = Upload::new(space.clone(), content.len() as u64).map_err(|e| e.to_string())?;
    let (mut rest, mut ids, mut chunks, mut manifest) =
        (content, Vec::new(), Vec::new(), Vec::new());
    upload.connected(&CHALLENGE);
    loop {
        if let Some(handle) = upload.handle() {
            return Ok(Stored { handle, ids, chunks, manifest });
        }
        let (next, behind) = rest.split_at(upload.wants());
        if !next.is_empty() {
            rest = behind;
            upload.push(next);
        }
        let frame = upload.poll_send().ok_or("the upload stands still")?;
        match BlobRequest::decode(&frame).map_err(|error| error.to_string())? {
            BlobRequest::Offer(offered) => ids.extend(offered),
            BlobRequest::Chunk(chunk) => chunks.push(chunk.to_vec()),
            BlobRequest::Manifest(bytes) => manifest = bytes.to_vec(),
            BlobRequest::Hello(_) | BlobRequest::Get(_) => {}
        }
        let reply =
            server.received(0, &mut vault, &frame).map_err(|(why, _)| format!("{why:?}"))?;
        upload.received(&reply).map_err(|error| error.to_string())?;
    }
}

/// Reads each handle, which belongs to its own room only.
pub(super) fn check(file: &Value) -> Result<(), String> {
    for vector in list(&file["vectors"])? {
        let password = vector["password"].as_str();
        let handle: BlobHandle =
            text(&vector["handle"])?.parse().map_err(|error| format!("{error}"))?;
        expect_equal("the root", &vector["root"], &hex(handle.root().0))?;
        expect_equal("the size", &vector["size"], &handle.size().into())?;
        let other = password.is_none().then_some("tea");
        let space = |password| Space::new(ROOM.0, ROOM.1, password);
        if !space(password).owns(&handle) || space(other).owns(&handle) {
            return Err("a handle does not belong to its own room only".into());
        }
        let size = usize::try_from(read_number(&vector["size"])?);
        expect_equal("a blob", vector, &self::vector(password, size.map_err(|e| e.to_string())?))?;
    }
    Ok(())
}
