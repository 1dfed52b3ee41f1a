//! The blobs of a server: storing them, fetching them, and removing those that no session needs.
//!
//! | file | has |
//! |---|---|
//! | `mod.rs` | storing and fetching |
//! | `index.rs` | what the vault knows of its files, in memory |
//! | `open.rs` | how it finds that out when the server starts |
//! | `collection.rs` | which sessions may need which blobs, and garbage collection |

mod collection;
mod index;
mod open;

use std::fmt;
use std::io;

use teatime_wire::{BlobLimits, Digest, Refused};

use crate::capacity::{VaultLimits, VaultUse};
use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::limits::counts_as;
use crate::manifest::Manifest;
use crate::space::name;
use index::{Blob, Chunk, Index};

/// The blobs of a server. Times are in seconds, on a clock that also runs while the server does not.
///
/// The vault removes a blob when no session needs it. That is so if each session of its room
///
/// - has a snapshot that was made a whole [grace](VaultLimits::grace) after the last use of the blob and does
///   not refer to it,
/// - or had no participant since before the blob was stored,
///
/// and the persisted data of the room does not refer to it either. In a room without sessions the vault removes
/// a blob that was not used for [longer](VaultLimits::unclaimed).
pub struct Vault<F> {
    files: F,
    limits: VaultLimits,
    index: Index,
}

/// The outcome of [`Vault::complete`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The blob is stored. This is its name.
    Stored(Digest),
    /// This chunk is missing.
    Missing(Digest),
    /// The bytes are not a valid manifest.
    Invalid,
}

impl<F> fmt::Debug for Vault<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("limits", &self.limits)
            .field("usage", &self.index.usage())
            .finish_non_exhaustive()
    }
}

impl<F: ChunkFiles> Vault<F> {
    /// The files of the vault.
    pub fn into_files(self) -> F {
        self.files
    }

    /// Number of blobs that lack a piece. Clients cannot fetch them.
    pub fn incomplete(&self) -> usize {
        self.index.blobs().filter(|blob| !blob.is_whole).count()
    }

    /// How much the vault holds.
    pub fn usage(&self) -> VaultUse {
        self.index.usage()
    }

    /// What a space takes, in bytes. Each piece counts as [`counts_as`](crate::limits::counts_as) says.
    pub fn counted_in(&self, space: Digest) -> u64 {
        self.index.counted_in(space)
    }

    /// The limits of all spaces.
    pub fn limits(&self) -> VaultLimits {
        self.limits
    }

    /// How much a client may still store in a space.
    pub fn limits_for(&mut self, space: Digest) -> BlobLimits {
        let room = self.room_in(space).min(self.room_on_disk());
        BlobLimits { max_blob: self.limits.max_blob, room }
    }

    fn room_in(&self, space: Digest) -> u64 {
        let room = self.limits.max_space.saturating_sub(self.index.counted_in(space));
        room.min(self.limits.max_total.saturating_sub(self.index.counted()))
    }

    fn room_on_disk(&mut self) -> u64 {
        let free = if self.limits.reserve > 0 { self.files.free() } else { None };
        free.map_or(u64::MAX, |free| free.saturating_sub(self.limits.reserve))
    }

    /// The chunks among these that the vault does not have intact. The others count as used, so they stay for a
    /// while.
    pub fn missing(&mut self, now: u64, space: Digest, offered: Vec<Digest>) -> Vec<Digest> {
        let mut missing = offered;
        missing.retain(|id| !self.use_chunk(now, space, *id));
        missing
    }

    /// Marks a chunk as used. Returns whether the vault has it intact.
    fn use_chunk(&mut self, now: u64, space: Digest, id: Digest) -> bool {
        let Some(known) = self.index.get_mut(space) else { return false };
        let Some(chunk) = known.chunks.get_mut(&id) else { return false };
        (chunk.used, known.has_new_times) = (now, true);
        // A power cut may have damaged a chunk that an earlier process has written.
        chunk.is_sound || matches!(self.get(now, space, id), Ok(Some(_)))
    }

    /// Stores a chunk, and returns its name.
    ///
    /// # Errors
    /// Why it cannot be stored.
    pub fn put(&mut self, now: u64, space: Digest, bytes: &[u8]) -> Result<Digest, Refused> {
        let id = name(space, bytes);
        if self.use_chunk(now, space, id) {
            return Ok(id);
        }
        let file = ChunkName { space, id, kind: Kind::Chunk };
        self.write(&file, bytes)?;
        let length = bytes.len() as u64;
        let chunk = Chunk { bytes: length, used: now, is_needed: false, is_sound: true };
        let known = self.index.get_or_insert(space);
        let before = known.chunks.insert(id, chunk);
        if let Some(chunk) = known.chunks.get_mut(&id) {
            chunk.is_needed = before.as_ref().is_some_and(|before| before.is_needed);
        }
        self.index.replace_piece(space, before.map(|before| before.bytes), Some(length));
        Ok(id)
    }

    fn write(&mut self, file: &ChunkName, bytes: &[u8]) -> Result<(), Refused> {
        let counted = counts_as(bytes.len() as u64);
        if counted > self.room_in(file.space) {
            return Err(Refused::NoRoom);
        }
        if counted > self.room_on_disk() {
            return Err(Refused::DiskFull);
        }
        self.files.write(file, bytes).map_err(|error| refused(&error))
    }

    /// Stores a blob, given its manifest. All its chunks must be stored before.
    ///
    /// # Errors
    /// Why it cannot be stored.
    pub fn complete(
        &mut self,
        now: u64,
        space: Digest,
        bytes: &[u8],
    ) -> Result<Completion, Refused> {
        let Some(manifest) = Manifest::decode(bytes) else { return Ok(Completion::Invalid) };
        if manifest.size > self.limits.max_blob {
            return Err(Refused::TooLarge);
        }
        if let Some(missing) = manifest.chunks.iter().find(|id| !self.use_chunk(now, space, **id)) {
            return Ok(Completion::Missing(*missing));
        }
        let id = name(space, bytes);
        let known = self.index.get_or_insert(space);
        if let Some(blob) = known.blobs.get_mut(&id).filter(|blob| blob.is_whole) {
            (blob.used, known.has_new_times) = (now, true);
            return Ok(Completion::Stored(id));
        }
        // The sessions must be on disk before the first blob to which they may refer.
        self.save_holders(space).map_err(|error| refused(&error))?;
        let file = ChunkName { space, id, kind: Kind::Manifest };
        self.write(&file, bytes)?;
        if let Err(error) = self.files.sync() {
            // It is not counted, so its file must go.
            let _ = self.remove(&file);
            return Err(refused(&error));
        }
        let known = self.index.get_or_insert(space);
        for chunk in &manifest.chunks {
            if let Some(chunk) = known.chunks.get_mut(chunk) {
                chunk.is_needed = true;
            }
        }
        let length = bytes.len() as u64;
        let born = known.blobs.get(&id).map_or(now, |before| before.born);
        let blob = Blob { bytes: length, born, used: now, is_whole: true };
        let before = known.blobs.insert(id, blob);
        self.index.replace_piece(space, before.map(|before| before.bytes), Some(length));
        Ok(Completion::Stored(id))
    }

    /// A chunk or a manifest, if the vault has it. It counts as used.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn get(&mut self, now: u64, space: Digest, id: Digest) -> Result<Option<Vec<u8>>, Refused> {
        let Some(known) = self.index.get_mut(space) else { return Ok(None) };
        let kind = if let Some(blob) = known.blobs.get_mut(&id).filter(|blob| blob.is_whole) {
            blob.used = now;
            Kind::Manifest
        } else if let Some(chunk) = known.chunks.get_mut(&id) {
            chunk.used = now;
            Kind::Chunk
        } else {
            return Ok(None);
        };
        known.has_new_times = true;
        let file = ChunkName { space, id, kind };
        match self.files.read(&file) {
            Ok(bytes) if name(space, &bytes) == id => {
                if let Some(chunk) = known.chunks.get_mut(&id) {
                    chunk.is_sound = true;
                }
                Ok(Some(bytes))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(&error)),
            // Damaged or missing: a client can store it again.
            _ => {
                match known.blobs.get_mut(&id) {
                    // States may still refer to the blob.
                    Some(blob) if kind == Kind::Manifest => blob.is_whole = false,
                    _ => self.remove(&file).map_err(|error| refused(&error))?,
                }
                Ok(None)
            }
        }
    }

    /// Removes a file, which may be missing.
    fn remove(&mut self, file: &ChunkName) -> io::Result<()> {
        match self.files.remove(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.index.forget(file),
        }
        Ok(())
    }
}

fn refused(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Refused::DiskFull
        }
        _ => Refused::Failed,
    }
}
