//! Opening a vault: finds out from its files what there is.

use std::io;

use teatime_wire::{Digest, SessionId};

use super::Vault;
use super::index::{Blob, Chunk, Index};
use crate::capacity::VaultLimits;
use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::holders::{Holder, Times, read_times};
use crate::manifest::Manifest;
use crate::space::name;

impl<F: ChunkFiles> Vault<F> {
    /// Opens the vault over these files. `now` is the time in seconds.
    ///
    /// If a piece of a blob is missing or damaged, the other pieces stay. A client may store the blob again, or
    /// the missing piece may come back.
    ///
    /// # Errors
    /// That of the operating system, if it cannot list the files.
    pub fn open(files: F, limits: VaultLimits, now: u64) -> io::Result<Self> {
        let mut vault = Self { files, limits, index: Index::default() };
        for (file, bytes) in vault.files.list()? {
            vault.find(&file, bytes, now);
        }
        for id in vault.index.ids() {
            vault.read_times(id, now);
            // A blob whose manifest cannot be read now counts as incomplete.
            let _ = vault.read_manifests(id);
            vault.begin_grace(id, now);
            vault.index.recount(id);
        }
        Ok(vault)
    }

    /// The newest time of use that these files name. `None` if they name none.
    ///
    /// # Errors
    /// That of the operating system, if it cannot list the files.
    pub fn newest_use(files: &mut F) -> io::Result<Option<u64>> {
        let mut newest = None;
        for (file, _) in files.list()? {
            if file.kind == Kind::Times
                && let Ok(bytes) = files.read(&file)
            {
                let used = read_times(&bytes).into_iter().flatten().map(|times| times.used);
                newest = newest.max(used.max());
            }
        }
        Ok(newest)
    }

    /// Adds a file to the index.
    fn find(&mut self, file: &ChunkName, bytes: u64, now: u64) {
        let space = self.index.get_or_insert(file.space);
        match file.kind {
            // After a power cut a file may have its name but no content.
            Kind::Chunk if bytes == 0 => {}
            Kind::Chunk => {
                let chunk = Chunk { bytes, used: 0, is_needed: false, is_sound: false };
                space.chunks.insert(file.id, chunk);
            }
            Kind::Manifest => {
                let blob = Blob { bytes, born: 0, used: now, is_whole: false };
                space.blobs.insert(file.id, blob);
            }
            Kind::References => {
                let read = self.files.read(file).ok();
                let holder = read.and_then(|bytes| Holder::decode(&bytes, now));
                let holder = holder.unwrap_or_else(|| Holder::unclear(now));
                space.holders.insert(SessionId(file.id.0), holder);
            }
            Kind::Times => {}
        }
    }

    fn read_times(&mut self, id: Digest, now: u64) {
        let Some(space) = self.index.get_mut(id) else { return };
        let Ok(bytes) = self.files.read(&ChunkName { space: id, id, kind: Kind::Times }) else {
            return;
        };
        for Times { id, born, used } in read_times(&bytes).into_iter().flatten() {
            if let Some(blob) = space.blobs.get_mut(&id) {
                (blob.born, blob.used) = (born.min(now), used.min(now));
            } else if let Some(chunk) = space.chunks.get_mut(&id) {
                chunk.used = used.min(now);
            }
        }
    }

    /// Chunks of no blob whose time of use is unknown count as used now. Other chunks live as long as their
    /// blobs.
    fn begin_grace(&mut self, id: Digest, now: u64) {
        let chunks = self.index.get_mut(id).into_iter().flat_map(|space| space.chunks.values_mut());
        for chunk in chunks.filter(|chunk| !chunk.is_needed && chunk.used == 0) {
            chunk.used = now;
        }
    }

    /// Finds out which blobs are whole, and which chunks they need.
    pub(super) fn read_manifests(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.index.get_mut(id) else { return Ok(()) };
        space.chunks.values_mut().for_each(|chunk| chunk.is_needed = false);
        let mut all = Ok(());
        for (root, blob) in &mut space.blobs {
            let file = ChunkName { space: id, id: *root, kind: Kind::Manifest };
            let bytes = match self.files.read(&file) {
                Ok(bytes) => bytes,
                Err(error) => {
                    all = all.and(Err(error));
                    continue;
                }
            };
            let manifest = Manifest::decode(&bytes).filter(|_| name(id, &bytes) == *root);
            blob.is_whole = manifest.is_some();
            for chunk in manifest.into_iter().flat_map(|manifest| manifest.chunks) {
                match space.chunks.get_mut(&chunk) {
                    Some(chunk) => chunk.is_needed = true,
                    None => blob.is_whole = false,
                }
            }
        }
        all
    }
}
