//! Where a server keeps chunks, and what it must know of them.

use std::collections::HashMap;
use std::io;

use teatime_wire::Digest;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A chunk, named by its hash.
    Chunk,
    /// The manifest of a blob, named by its hash.
    Manifest,
    /// To which blobs the state of a session refers, named by the session. It may be written again.
    References,
    /// When the pieces of a space were last used, named by the space. It may be written again.
    Times,
}

/// Names a file of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkName {
    /// Whose.
    pub space: Digest,
    /// Which.
    pub id: Digest,
    /// What it is.
    pub kind: Kind,
}

/// Where a server keeps chunks: it writes, reads and removes them whole, and knows nothing about them.
pub trait ChunkFiles: Send {
    /// What is there, with its size in bytes.
    ///
    /// # Errors
    /// What the operating system says, here and below.
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>>;

    /// Keeps a file, in place of one that is there. After an error it is as it was before.
    ///
    /// # Errors
    /// What the operating system says.
    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written, as far as the operator wants it.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync(&mut self) -> io::Result<()>;

    /// A file as it was written, unless it was damaged since.
    ///
    /// # Errors
    /// `NotFound` if it is not there, and what the operating system says.
    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&mut self, name: &ChunkName) -> io::Result<()>;

    /// How many more bytes fit; nothing if that cannot be told.
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

/// Chunks in memory.
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
