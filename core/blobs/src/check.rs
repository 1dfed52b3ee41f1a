//! Checks the stored files of a vault, without changing them.

use std::collections::HashSet;
use std::io;

use crate::capacity::VaultUse;
use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::holders::{Holder, read_times};
use crate::manifest::Manifest;
use crate::space::name;

/// The result of [`check()`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultCheck {
    /// How much the files hold, intact or not.
    pub usage: VaultUse,
    /// Files that cannot be read, or whose content does not match their names, in ascending order. A server
    /// treats them as missing.
    pub damaged: Vec<ChunkName>,
    /// Manifests of blobs with a missing or damaged chunk, in ascending order. Clients cannot fetch these blobs.
    pub incomplete: Vec<ChunkName>,
}

/// Reads all files, one after the other, and calls `sound_file` for each intact one.
///
/// # Errors
/// That of the operating system, if it cannot list the files, and those of `sound_file`.
pub fn check(
    files: &mut impl ChunkFiles,
    mut sound_file: impl FnMut(&ChunkName, &[u8]) -> io::Result<()>,
) -> io::Result<VaultCheck> {
    let mut found = VaultCheck::default();
    let mut names = files.list()?;
    // Chunks come before the manifests that name them.
    names.sort_unstable_by_key(|(file, _)| (file.kind, *file));
    let mut sound = HashSet::new();
    for (file, _) in names {
        found.usage.blobs += usize::from(file.kind == Kind::Manifest);
        found.usage.chunks += usize::from(file.kind == Kind::Chunk);
        let Ok(bytes) = files.read(&file) else {
            found.damaged.push(file);
            continue;
        };
        let chunks = match file.kind {
            Kind::References | Kind::Times => {
                let is_sound = match file.kind {
                    Kind::References => Holder::decode(&bytes, 0).is_some(),
                    _ => read_times(&bytes).is_some(),
                };
                if is_sound {
                    sound_file(&file, &bytes)?;
                } else {
                    found.damaged.push(file);
                }
                continue;
            }
            Kind::Chunk => Some(Vec::new()),
            Kind::Manifest => Manifest::decode(&bytes).map(|manifest| manifest.chunks),
        };
        found.usage.bytes += bytes.len() as u64;
        let is_named_by_hash = name(file.space, &bytes) == file.id;
        let Some(chunks) = chunks.filter(|_| is_named_by_hash) else {
            found.damaged.push(file);
            continue;
        };
        if chunks.iter().all(|chunk| sound.contains(&(file.space, *chunk))) {
            sound_file(&file, &bytes)?;
            sound.insert((file.space, file.id));
        } else {
            found.incomplete.push(file);
        }
    }
    Ok(found)
}
