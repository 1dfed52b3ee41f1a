//! Files that blobs are fetched into, until they are whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{BlobError, BlobHandle, Space};
use teatime_net::blobs::Nearby;
use teatime_wire::Digest;

use super::cache::Cache;
use super::local;

/// How many digits of the blob's name the name of the file has.
const NAMED: usize = 16;

/// How often a waiting transfer asks its caller whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A file that a blob is fetched into, beside the file that it will become. Its name contains the name of the blob. So its
/// content is a part of that blob, from an earlier transfer that ended early.
pub(crate) struct Part {
    path: PathBuf,
    root: Digest,
    /// Locked while it has that name and this exists.
    file: File,
    /// The target, if another transfer has fetched it while this one waited.
    fetched: Option<File>,
}

impl Part {
    /// Opens the part for this blob and file, and locks it against other transfers. While another transfer has it open,
    /// this waits until `wait` fails.
    pub(crate) fn open(
        target: &Path,
        handle: &BlobHandle,
        mut wait: impl FnMut() -> Result<(), BlobError>,
    ) -> Result<Self, BlobError> {
        let mut path = OsString::from(target);
        path.push(format!(".{}.part", &handle.root().to_string()[..NAMED]));
        let path = PathBuf::from(path);
        let mut has_waited = false;
        loop {
            if let Some(file) = locked(&path).map_err(|error| local(target, &error))? {
                let fetched = has_waited.then(|| File::open(target).ok()).flatten();
                return Ok(Self { path, root: handle.root(), file, fetched });
            }
            wait()?;
            std::thread::sleep(ASK_EVERY);
            has_waited = true;
        }
    }

    /// The pieces that were fetched before, and those in a cache.
    pub(crate) fn begun<'a>(&'a self, space: &'a Space, cache: Option<&'a Cache>) -> Begun<'a> {
        let is_empty = self.file.metadata().is_ok_and(|found| found.len() == 0);
        let fetched = self.fetched.as_ref().filter(|_| is_empty);
        let file = fetched.unwrap_or(&self.file);
        Begun { file: Some(At { file, at: 0 }), root: self.root, space, cache }
    }

    /// Writes the blob, from its beginning.
    pub(crate) fn target(&self) -> impl Write {
        At { file: &self.file, at: 0 }
    }

    /// Ends a whole file: writes its `size` bytes to the disk and gives it its name. It is locked until then, so another
    /// transfer that has opened it sees that it is gone.
    pub(crate) fn finish(self, size: u64, target: &Path) -> io::Result<()> {
        // The file may have been longer before.
        self.file.set_len(size)?;
        self.file.sync_all()?;
        fs::rename(&self.path, target)
    }

    /// Deletes the file if it is empty, or if no later transfer can continue it.
    pub(crate) fn give_up(self, for_good: bool) {
        let is_empty = self.file.metadata().is_ok_and(|found| found.len() == 0);
        if for_good || is_empty {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens and locks the file with this name, and makes it if it does not exist. `None` if another transfer has it open: then
/// the caller tries again.
fn locked(path: &Path) -> io::Result<Option<File>> {
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("the .part file is not a plain file"));
    }
    let (file, is_new) = match options().create_new(true).open(path) {
        Ok(file) => (file, true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match options().open(path) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        // Without locks, several transfers write the same bytes.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    // Another transfer may have renamed or deleted it before it was locked.
    if !is_there(&file, path)? {
        return Ok(None);
    }
    if !is_new && !is_own(&file)? {
        fs::remove_file(path)?;
        return Ok(None);
    }
    Ok(Some(file))
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).write(true);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    options
}

/// Whether this file still has this name.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    Ok(path
        .symlink_metadata()
        .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

/// Whether only this user can change it. Another user who may write into the directory may have put it there.
#[cfg(unix)]
fn is_own(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    let is_mine = own.uid() == rustix::process::geteuid().as_raw();
    Ok(own.is_file() && own.nlink() == 1 && is_mine)
}

/// Other platforms do not say.
#[cfg(not(unix))]
fn is_there(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn is_own(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// A position in a file, independent of other positions in it.
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

/// The pieces at hand: chunks from the beginning of a file, then those of a cache. Sealing a chunk again gives the bytes that
/// the server has. The first wrong chunk ends the file.
pub(crate) struct Begun<'a> {
    /// The position of the next chunk.
    file: Option<At<'a>>,
    /// The name of the manifest, which is not in the file.
    root: Digest,
    space: &'a Space,
    cache: Option<&'a Cache>,
}

impl Begun<'_> {
    /// The next chunk. A download asks for chunks in their order.
    fn next(&mut self, id: &Digest) -> Option<Vec<u8>> {
        let file = self.file.as_mut().filter(|_| *id != self.root)?;
        let mut plain = Vec::with_capacity(BLOB_CHUNK);
        let read = file.take(BLOB_CHUNK as u64).read_to_end(&mut plain);
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
