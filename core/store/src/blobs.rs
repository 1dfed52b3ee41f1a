//! Blobs as files of a disk.

use std::io;
use std::path::Path;

use teatime_blobs::{ChunkFiles, ChunkName, Kind, VaultCheck};
use teatime_wire::Digest;

use crate::config::Durability;
use crate::disk::{Disk, DiskFile};
use crate::real::RealDisk;

/// The folder that has them.
const FOLDER: &str = "blobs";
/// What a chunk is written to before it has its name.
const UNFINISHED: &str = "blobs/unfinished";

/// Chunks of blobs as files of a disk, each named by its space and its own hash, and to which of them sessions
/// refer. They live in a folder of
/// their own, beside a store; whoever has that store open is the only one who may use them.
///
/// A file has its name only when it is whole. After a power cut it may be empty or damaged nevertheless
/// if it was not made durable; as its name is its hash, that is found out when it is read.
pub struct DiskBlobs<D: Disk> {
    disk: D,
    durability: Durability,
}

impl DiskBlobs<RealDisk> {
    /// Those in a directory.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_dir(directory: &Path, durability: Durability) -> io::Result<Self> {
        Self::open(RealDisk::new(directory), durability)
    }
}

impl<D: Disk> DiskBlobs<D> {
    /// Those on a disk.
    ///
    /// # Errors
    /// What the operating system says.
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

impl<D: Disk> ChunkFiles for DiskBlobs<D> {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        let files = self.disk.list(FOLDER)?;
        Ok(files.into_iter().filter_map(|(file, bytes)| Some((parse(&file)?, bytes))).collect())
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        let written = self.write_and_name(name, bytes);
        if written.is_err() {
            // On a full disk it would take the room of others.
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

/// Reads all blobs on a disk, without changing anything there, and copies the sound ones.
pub(crate) fn check<D: Disk>(
    disk: D,
    mut into: Option<&mut DiskBlobs<D>>,
) -> io::Result<VaultCheck> {
    match disk.list(FOLDER) {
        // A reflector that has never kept one.
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

/// Nothing if a file is none of these.
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
    let digits = text.as_bytes();
    let is_digit = |letter: &u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 64 || !digits.iter().all(is_digit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Digest(bytes))
}
