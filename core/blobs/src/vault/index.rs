//! What a vault knows of its files, in memory: chunks, blobs, holders, and how much room they use.

use std::collections::HashMap;

use teatime_wire::{Digest, SessionId};

use crate::capacity::VaultUse;
use crate::files::{ChunkName, Kind};
use crate::holders::Holder;
use crate::limits::counts_as;

/// All spaces of a vault.
#[derive(Default)]
pub(super) struct Index {
    spaces: HashMap<Digest, SpaceIndex>,
    /// What all pieces and lists count as, in bytes.
    counted: u64,
}

/// One space: the blobs of one room.
#[derive(Default)]
pub(super) struct SpaceIndex {
    pub(super) chunks: HashMap<Digest, Chunk>,
    pub(super) blobs: HashMap<Digest, Blob>,
    /// The sessions of this room that had a participant since there are blobs, and the persisted data.
    pub(super) holders: HashMap<SessionId, Holder>,
    /// What its pieces and lists count as, in bytes.
    counted: u64,
    /// Whether times of use have changed since they were written.
    pub(super) has_new_times: bool,
}

pub(super) struct Chunk {
    pub(super) bytes: u64,
    /// When it was last used; 0 if that is unknown.
    pub(super) used: u64,
    /// Whether a blob consists of it.
    pub(super) is_needed: bool,
    /// Whether this process has written it, or has read it and found it intact.
    pub(super) is_sound: bool,
}

pub(super) struct Blob {
    pub(super) bytes: u64,
    /// When it was stored; 0 if that is unknown.
    pub(super) born: u64,
    pub(super) used: u64,
    /// Whether the manifest is intact, and all chunks exist.
    pub(super) is_whole: bool,
}

impl Index {
    pub(super) fn get(&self, space: Digest) -> Option<&SpaceIndex> {
        self.spaces.get(&space)
    }

    pub(super) fn get_mut(&mut self, space: Digest) -> Option<&mut SpaceIndex> {
        self.spaces.get_mut(&space)
    }

    pub(super) fn get_or_insert(&mut self, space: Digest) -> &mut SpaceIndex {
        self.spaces.entry(space).or_default()
    }

    /// Removes a space without pieces that count.
    pub(super) fn remove(&mut self, space: Digest) {
        self.spaces.remove(&space);
    }

    pub(super) fn ids(&self) -> Vec<Digest> {
        self.spaces.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Digest, &SpaceIndex)> {
        self.spaces.iter().map(|(id, space)| (*id, space))
    }

    /// What all spaces count as, in bytes.
    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    /// What one space counts as, in bytes.
    pub(super) fn counted_in(&self, space: Digest) -> u64 {
        self.get(space).map_or(0, |space| space.counted)
    }

    /// Counts a piece of `gone` bytes no longer, and a piece of `come` bytes from now on.
    pub(super) fn replace_piece(&mut self, space: Digest, gone: Option<u64>, come: Option<u64>) {
        let (gone, come) = (gone.map_or(0, counts_as), come.map_or(0, counts_as));
        self.replace_counted(space, gone, come);
        if let Some(space) = self.get_mut(space) {
            space.has_new_times = true;
        }
    }

    /// Counts `gone` bytes less and `come` bytes more.
    pub(super) fn replace_counted(&mut self, space: Digest, gone: u64, come: u64) {
        let Some(space) = self.spaces.get_mut(&space) else { return };
        space.counted = space.counted + come - gone;
        self.counted = self.counted + come - gone;
    }

    /// Counts a space from scratch.
    pub(super) fn recount(&mut self, space: Digest) {
        let Some(space) = self.spaces.get_mut(&space) else { return };
        self.counted -= space.counted;
        let chunks = space.chunks.values().map(|chunk| counts_as(chunk.bytes));
        let blobs = space.blobs.values().map(|blob| counts_as(blob.bytes));
        let lists = space.holders.values().map(Holder::bytes);
        space.counted = chunks.chain(blobs).chain(lists).sum();
        self.counted += space.counted;
    }

    /// Forgets a chunk or a manifest whose file is gone.
    pub(super) fn forget(&mut self, file: &ChunkName) {
        let Some(space) = self.get_mut(file.space) else { return };
        let gone = match file.kind {
            Kind::Manifest => space.blobs.remove(&file.id).map(|blob| blob.bytes),
            Kind::Chunk => space.chunks.remove(&file.id).map(|chunk| chunk.bytes),
            Kind::References | Kind::Times => None,
        };
        self.replace_piece(file.space, gone, None);
    }

    /// Bytes of all chunks and manifests.
    pub(super) fn bytes(&self) -> u64 {
        let chunks = self.spaces.values().flat_map(|space| space.chunks.values());
        chunks.map(|chunk| chunk.bytes).chain(self.blobs().map(|blob| blob.bytes)).sum()
    }

    pub(super) fn usage(&self) -> VaultUse {
        VaultUse {
            blobs: self.blobs().filter(|blob| blob.is_whole).count(),
            chunks: self.spaces.values().map(|space| space.chunks.len()).sum(),
            bytes: self.bytes(),
        }
    }

    /// The blobs of all spaces.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.spaces.values().flat_map(|space| space.blobs.values())
    }
}

impl SpaceIndex {
    /// Chunks of no blob that nothing has used for the time of grace.
    pub(super) fn loose_chunks(&self, now: u64, grace: u64) -> Vec<Digest> {
        let is_old = |chunk: &Chunk| now.saturating_sub(chunk.used) >= grace;
        let loose = self.chunks.iter().filter(|(_, chunk)| !chunk.is_needed && is_old(chunk));
        loose.map(|(id, _)| *id).collect()
    }

    /// Blobs to which no holder can refer, and which nothing has used for long.
    pub(super) fn unneeded_blobs(&self, now: u64, grace: u64, unclaimed: u64) -> Vec<Digest> {
        let patience = if self.holders.is_empty() { unclaimed } else { grace };
        let is_unneeded = |(root, blob): &(&Digest, &Blob)| {
            let mut holders = self.holders.values();
            now.saturating_sub(blob.used) >= patience
                && holders.all(|holder| holder.lets_go(root, blob.born, blob.used, grace))
        };
        self.blobs.iter().filter(is_unneeded).map(|(root, _)| *root).collect()
    }
}
