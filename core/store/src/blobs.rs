//! Blobs as files of a disk.

use std::fmt;
use std::io;
use std::path::Path;

use teatime_blobs::{ChunkFiles, ChunkName, Kind, VaultCheck};
use teatime_wire::Digest;

use crate::config::Durability;
use crate::disk::disk::{Disk, DiskFile};
use crate::disk::real::RealDisk;

/// The folder of the blobs.
const FOLDER: &str = "blobs";
/// The file of a chunk while it is written.
const UNFINISHED: &str = "blobs/unfinished";

/// Chunks of blobs as files of a disk, each named by its space and its hash, and files that say which
/// of them sessions refer to. They are in a folder beside a store; only the process that has the store
/// open may use them.
///
/// A file gets its name once it is complete. A power cut can still empty or damage a file that was
/// not made durable; because its name is its hash, reading it finds that out.
pub struct DiskBlobs<D: Disk> {
    disk: D,
    durability: Durability,
}

impl DiskBlobs<RealDisk> {
    /// The blobs in a directory.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn open_dir(directory: &Path, durability: Durability) -> io::Result<Self> {
        Self::open(RealDisk::new(directory), durability)
    }
}

impl<D: Disk> DiskBlobs<D> {
    /// The blobs on a disk.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn open(disk: D, durability: Durability) -> io::Result<Self> {
        disk.make_folder(FOLDER)?;
        Ok(Self { disk, durability })
    }

    fn write_and_name(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(UNFINISHED)?;
        file.append(bytes)?;
        if self.durability == Durability::Power {
            file.sync()?;
        }
        drop(file);
        self.disk.rename(UNFINISHED, &path(name))
    }
}

impl<D: Disk> fmt::Debug for DiskBlobs<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBlobs").field("durability", &self.durability).finish_non_exhaustive()
    }
}

impl<D: Disk> ChunkFiles for DiskBlobs<D> {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        let files = self.disk.list(FOLDER)?;
        Ok(files.into_iter().filter_map(|(file, bytes)| Some((parse(&file)?, bytes))).collect())
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        let written = self.write_and_name(name, bytes);
        if written.is_err() {
            // On a full disk it would take space from others.
            let _ = self.disk.remove(UNFINISHED);
        }
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.disk.sync_folder(FOLDER),
        }
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        let file = self.disk.open(&path(name))?;
        let length = file.len()?;
        file.read(0, length)
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        self.disk.remove(&path(name))
    }

    fn free(&mut self) -> Option<u64> {
        self.disk.free()
    }
}

/// Reads all blobs on a disk without changing it, and copies the undamaged ones.
pub(crate) fn check<D: Disk>(
    disk: D,
    mut into: Option<&mut DiskBlobs<D>>,
) -> io::Result<VaultCheck> {
    match disk.list(FOLDER) {
        // A reflector that never stored a blob.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VaultCheck::default()),
        listed => listed?,
    };
    let mut blobs = DiskBlobs { disk, durability: Durability::Process };
    let found = teatime_blobs::check(&mut blobs, |name, bytes| {
        into.as_mut().map_or(Ok(()), |into| into.write(name, bytes))
    })?;
    into.map_or(Ok(()), ChunkFiles::sync)?;
    Ok(found)
}

fn path(name: &ChunkName) -> String {
    let kind = match name.kind {
        Kind::Chunk => "chunk",
        Kind::Manifest => "blob",
        Kind::References => "refs",
        Kind::Times => "used",
    };
    format!("{FOLDER}/{}-{}.{kind}", name.space, name.id)
}

/// What this file has; `None` for a file of another kind.
fn parse(file: &str) -> Option<ChunkName> {
    let (names, kind) = file.split_once('.')?;
    let (space, id) = names.split_once('-')?;
    let kind = match kind {
        "chunk" => Kind::Chunk,
        "blob" => Kind::Manifest,
        "refs" => Kind::References,
        "used" => Kind::Times,
        _ => return None,
    };
    Some(ChunkName { space: digest(space)?, id: digest(id)?, kind })
}

fn digest(text: &str) -> Option<Digest> {
    // Only lower-case names are ours.
    text.parse().ok().filter(|digest: &Digest| digest.to_string() == text)
}
