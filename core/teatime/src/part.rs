//! Files that are being fetched.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use teatime_data::limits::DATA_CHUNK;
use teatime_data::{BlobHandle, Space};
use teatime_net::data::Nearby;
use teatime_wire::Digest;

use crate::cache::Cache;

/// How much of the name of a blob stands in the name of the file.
const NAMED: usize = 16;

/// A file that is being fetched, beside the one that it will be. It has the name of the blob in its own, so what
/// is in it already is a part of that blob, fetched by somebody who was killed or lost the connection.
pub(crate) struct Part {
    path: PathBuf,
    root: Digest,
    file: File,
}

impl Part {
    /// The one for this blob and file; nobody else writes it as long as it is open.
    pub(crate) fn open(target: &Path, handle: &BlobHandle) -> io::Result<Self> {
        let mut path = OsString::from(target);
        path.push(format!(".{}.part", &handle.root().to_string()[..NAMED]));
        let path = PathBuf::from(path);
        if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("what would be a part of it is no plain file"));
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(ErrorKind::WouldBlock, "it is being fetched already"))
            }
            // Where there are no locks nobody is told; all would write the same.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path, root: handle.root(), file }),
        }
    }

    /// What has been fetched of it before, and what may be in a cache.
    pub(crate) fn begun<'a>(&'a self, space: &'a Space, cache: Option<&'a Cache>) -> Begun<'a> {
        Begun { file: Some(At { file: &self.file, at: 0 }), root: self.root, space, cache }
    }

    /// Takes it in, from its beginning on.
    pub(crate) fn target(&self) -> impl Write {
        At { file: &self.file, at: 0 }
    }

    /// It is whole: it gets its name, and so many bytes are on the disk.
    pub(crate) fn finish(self, size: u64, target: &Path) -> io::Result<()> {
        // There may be more behind it, whoever put that there.
        self.file.set_len(size)?;
        self.file.sync_all()?;
        drop(self.file);
        fs::rename(&self.path, target)
    }

    /// Nobody will go on with it. If there is nothing in it nobody needs to.
    pub(crate) fn give_up(self, for_good: bool) {
        let is_empty = self.file.metadata().is_ok_and(|data| data.len() == 0);
        drop(self.file);
        if for_good || is_empty {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A place in a file, whoever else reads or writes elsewhere in it.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let length = self.file.read(into)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let length = self.file.write(bytes)?;
        self.at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Chunks at the front of a file, sealed again, which gives the bytes that the server has; the first that is not
/// right ends it. Then what is in a cache.
pub(crate) struct Begun<'a> {
    /// Where the next chunk is.
    file: Option<At<'a>>,
    /// The name of the manifest, which is not in it.
    root: Digest,
    space: &'a Space,
    cache: Option<&'a Cache>,
}

impl Begun<'_> {
    /// They are asked for in their order.
    fn next(&mut self, id: &Digest) -> Option<Vec<u8>> {
        let file = self.file.as_mut().filter(|_| *id != self.root)?;
        let mut plain = Vec::with_capacity(DATA_CHUNK);
        let read = file.take(DATA_CHUNK as u64).read_to_end(&mut plain);
        let (name, sealed) = self.space.piece(&plain);
        if read.is_ok() && name == *id {
            return Some(sealed);
        }
        self.file = None;
        None
    }
}

impl Nearby for Begun<'_> {
    fn look_up(&mut self, id: &Digest) -> Option<Vec<u8>> {
        self.next(id).or_else(|| self.cache?.look_up(id))
    }

    fn keep(&mut self, id: &Digest, piece: &[u8]) {
        if let Some(mut cache) = self.cache {
            cache.keep(id, piece);
        }
    }

    fn discard(&mut self, id: &Digest) {
        if let Some(mut cache) = self.cache {
            cache.discard(id);
        }
    }
}
