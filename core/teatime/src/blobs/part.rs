//! Files that are being fetched.

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

/// How much of the name of a blob stands in the name of the file.
const NAMED: usize = 16;

/// How often it is asked, while somebody else fetches it, whether it is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A file that is being fetched, beside the one that it will be. It has the name of the blob in its own, so what
/// is in it already is a part of that blob, fetched by somebody who was killed, gave up or lost the connection.
pub(crate) struct Part {
    path: PathBuf,
    root: Digest,
    /// Locked as long as it has that name and this exists.
    file: File,
    /// What somebody else has fetched while this one waited for him.
    fetched: Option<File>,
}

impl Part {
    /// The one for this blob and file; nobody else writes it as long as it is open. Waits for whoever has it
    /// open, as long as `wait` does not fail.
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

    /// What has been fetched of it before, and what may be in a cache.
    pub(crate) fn begun<'a>(&'a self, space: &'a Space, cache: Option<&'a Cache>) -> Begun<'a> {
        let is_empty = self.file.metadata().is_ok_and(|data| data.len() == 0);
        let fetched = self.fetched.as_ref().filter(|_| is_empty);
        let file = fetched.unwrap_or(&self.file);
        Begun { file: Some(At { file, at: 0 }), root: self.root, space, cache }
    }

    /// Takes it in, from its beginning on.
    pub(crate) fn target(&self) -> impl Write {
        At { file: &self.file, at: 0 }
    }

    /// It is whole: it gets its name, and so many bytes are on the disk. Locked until then: whoever opens it before
    /// that sees that it has gone.
    pub(crate) fn finish(self, size: u64, target: &Path) -> io::Result<()> {
        // There may be more behind it, whoever put that there.
        self.file.set_len(size)?;
        self.file.sync_all()?;
        fs::rename(&self.path, target)
    }

    /// If nobody can go on with it, or there is nothing in it, nobody needs it.
    pub(crate) fn give_up(self, for_good: bool) {
        let is_empty = self.file.metadata().is_ok_and(|data| data.len() == 0);
        if for_good || is_empty {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file of this name, made if need be; nothing if it is to be tried again, for somebody else has it open.
fn locked(path: &Path) -> io::Result<Option<File>> {
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("what would be a part of it is no plain file"));
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
        // Where there are no locks nobody is told; all would write the same.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    // It may have got its name, or have been removed, before it was locked.
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

/// Whether it is this file that has this name.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let data = file.metadata()?;
    Ok(path
        .symlink_metadata()
        .is_ok_and(|there| (there.dev(), there.ino()) == (data.dev(), data.ino())))
}

/// Whether nobody else can change it: whoever may write into the directory may have put it there.
#[cfg(unix)]
fn is_own(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let data = file.metadata()?;
    let is_mine = data.uid() == rustix::process::geteuid().as_raw();
    Ok(data.is_file() && data.nlink() == 1 && is_mine)
}

/// Elsewhere nobody can tell.
#[cfg(not(unix))]
fn is_there(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn is_own(_file: &File) -> io::Result<bool> {
    Ok(true)
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
