//! The files of a vault: their names, and where they are stored.

use std::collections::HashMap;
use std::io;

use teatime_wire::Digest;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A chunk, named by its hash.
    Chunk,
    /// The manifest of a blob, named by its hash.
    Manifest,
    /// The blobs to which the state of a session refers, named by the session. It can be overwritten.
    References,
    /// When the pieces of a space were last used, named by the space. It can be overwritten.
    Times,
}

/// The name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkName {
    /// The space that it belongs to.
    pub space: Digest,
    /// Its id within the space.
    pub id: Digest,
    /// Its kind.
    pub kind: Kind,
}

/// Storage for the files of a vault. It writes, reads and removes whole files, and does not know what they mean.
pub trait ChunkFiles: Send {
    /// All files with their sizes in bytes.
    ///
    /// # Errors
    /// That of the operating system, here and below.
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>>;

    /// Writes a file, in place of one with this name. After an error the old file is still there.
    ///
    /// # Errors
    /// That of the operating system.
    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()>;

    /// Makes the files that were written durable, as far as the operator has configured.
    ///
    /// # Errors
    /// That of the operating system.
    fn sync(&mut self) -> io::Result<()>;

    /// The content of a file. It may have been damaged since it was written.
    ///
    /// # Errors
    /// `NotFound` if the file does not exist, and those of the operating system.
    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>>;

    /// Removes a file.
    ///
    /// # Errors
    /// That of the operating system.
    fn remove(&mut self, name: &ChunkName) -> io::Result<()>;

    /// Number of bytes that are free. `None` if that is unknown.
    fn free(&mut self) -> Option<u64> {
        None
    }
}

impl<F: ChunkFiles + ?Sized> ChunkFiles for Box<F> {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        (**self).list()
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        (**self).write(name, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        (**self).read(name)
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        (**self).remove(name)
    }

    fn free(&mut self) -> Option<u64> {
        (**self).free()
    }
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(HashMap<ChunkName, Vec<u8>>);

impl ChunkFiles for MemoryFiles {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        Ok(self.0.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect())
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        self.0.insert(*name, bytes.to_vec());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        self.0.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        self.0.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
