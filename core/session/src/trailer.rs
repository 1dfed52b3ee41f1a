//! What stands behind a snapshot: what the root model has persisted, and to which blobs all of it refers.

use std::sync::Arc;

use teatime_blobs::{BlobHandle, Space};
use teatime_vm::PersistedData;
use teatime_wire::{Digest, PersistedPart, References, Trailer};

use teatime_base::{Binding, Seal};

/// Puts behind a sealed snapshot what was persisted, by which version of the app, and to which blobs both refer,
/// if there is anything of the kind.
pub(crate) fn end_with_trailer(
    sealed: Arc<[u8]>,
    snapshot: &[u8],
    persisted: Option<&PersistedData>,
    app_version: u32,
    seal: &mut Seal,
    space: &Space,
) -> Arc<[u8]> {
    let own = roots(snapshot, space);
    if own.is_empty() && persisted.is_none() && !Trailer::is_needed(&sealed) {
        return sealed;
    }
    let persisted = persisted.map(|data| PersistedPart {
        data: seal.seal_persisted(app_version, &write(data)),
        roots: roots(&data.bytes, space),
    });
    let mut ended = sealed.to_vec();
    let references = References { space: space.id(), roots: own };
    Trailer { references, persisted }.append(&mut ended);
    ended.into()
}

/// To which blobs of the room something refers.
fn roots(plain: &[u8], space: &Space) -> Vec<Digest> {
    let own = BlobHandle::scan(plain).filter(|handle| space.owns(handle));
    let mut roots: Vec<_> = own.map(|handle| handle.root()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// The version of the layout in four bytes, the highest first, and the data.
fn write(data: &PersistedData) -> Vec<u8> {
    [&data.version.to_be_bytes(), &*data.bytes].concat()
}

/// Opens what some version of the app has persisted. Nothing if it is not what was persisted.
pub(crate) fn open_persisted(
    seal: &mut Seal,
    app_version: u32,
    mut sealed: Vec<u8>,
) -> Option<PersistedData> {
    let plain = seal.open(Binding::Persisted(app_version), &mut sealed).ok()?;
    let (version, bytes) = plain.split_first_chunk()?;
    Some(PersistedData { version: u32::from_be_bytes(*version), bytes: bytes.into() })
}
