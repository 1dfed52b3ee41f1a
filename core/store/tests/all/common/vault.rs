//! A store of blobs on a disk in memory, and the clients and sessions that use it.

use std::sync::Arc;

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{BlobError, BlobHandle, Download, Serving, Space, Upload, Vault, VaultLimits};
use teatime_store::{DiskBlobs, Durability, MemoryDisk};
use teatime_wire::{Challenge, Digest, Holding, SessionId};

/// What all connections here are for.
const CHALLENGE: Challenge = Challenge { nonce: Digest([9; 32]), channel: None };

pub(crate) type DiskVault = Vault<DiskBlobs<MemoryDisk>>;

pub(crate) const GRACE: u64 = VaultLimits::ON_DISK.grace;

pub(crate) fn open(disk: &MemoryDisk) -> DiskVault {
    open_at(disk, 0)
}

pub(crate) fn open_at(disk: &MemoryDisk, now: u64) -> DiskVault {
    let blobs = DiskBlobs::open(disk.clone(), Durability::Power).expect("the disk works");
    let limits = VaultLimits { reserve: 0, ..VaultLimits::ON_DISK };
    Vault::open(blobs, limits, now).expect("the disk works")
}

pub(crate) fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", None))
}

pub(crate) fn content(seed: u8, chunks: usize) -> Vec<u8> {
    (0..chunks * BLOB_CHUNK - 9).map(|at| (at / 5 + at / BLOB_CHUNK) as u8 ^ seed).collect()
}

pub(crate) fn put<F: teatime_blobs::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    content: &[u8],
) -> Result<BlobHandle, BlobError> {
    let mut upload = Upload::new(space(), content.len() as u64)?;
    let (mut serving, mut rest) = (Serving::new(CHALLENGE), content);
    upload.connected(&CHALLENGE);
    loop {
        if let Some(handle) = upload.handle() {
            return Ok(handle);
        }
        if upload.wants() > 0 {
            upload.push(rest.split_off(..upload.wants()).expect("it wants what there is"));
            continue;
        }
        let frame = upload.poll_send().expect("one side has a frame to send");
        upload.received(&serving.received(now, vault, &frame).expect("the client is right"))?;
    }
}

pub(crate) fn get<F: teatime_blobs::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    handle: BlobHandle,
) -> Result<Vec<u8>, BlobError> {
    let mut download = Download::new(space(), handle)?;
    let (mut serving, mut content) = (Serving::new(CHALLENGE), Vec::new());
    download.connected(&CHALLENGE);
    while !download.is_done() {
        let frame = download.poll_send().expect("one side has a frame to send");
        download.received(&serving.received(now, vault, &frame).expect("the client is right"))?;
        while let Some(piece) = download.take() {
            content.extend(piece);
        }
    }
    Ok(content)
}

pub(crate) const FIRST: SessionId = SessionId([1; 32]);
pub(crate) const SECOND: SessionId = SessionId([2; 32]);

pub(crate) fn roots(handles: &[BlobHandle]) -> Vec<Digest> {
    handles.iter().map(BlobHandle::root).collect()
}

pub(crate) fn hear(vault: &mut DiskVault, now: u64, session: SessionId, holding: Holding) {
    vault.hear(now, space().id(), session, holding).expect("the disk works");
}

pub(crate) fn awake(vault: &mut DiskVault, now: u64, session: SessionId) {
    hear(vault, now, session, Holding::Awake(vec![]));
}

pub(crate) fn refers(vault: &mut DiskVault, now: u64, session: SessionId, handles: &[BlobHandle]) {
    hear(vault, now, session, Holding::Snapshot(roots(handles), 0));
}

/// Removes what is not needed. Returns how many blobs that were.
pub(crate) fn collected(vault: &mut DiskVault, now: u64) -> usize {
    vault.collect(now).expect("the disk works").blobs
}

pub(crate) fn stored(vault: &mut DiskVault, now: u64, seed: u8) -> BlobHandle {
    put(vault, now, &content(seed, 2)).expect("there is space")
}
