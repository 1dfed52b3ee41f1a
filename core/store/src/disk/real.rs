//! A directory of the operating system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::disk::disk::{Disk, DiskFile};

const LOCK: &str = "LOCK";

/// A directory of the operating system. Only the user that owns it can read it.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
    /// Unlocks when it is closed.
    lock: Option<Arc<File>>,
}

/// A file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile(File);

impl RealDisk {
    /// This directory, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), lock: None }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// Locks the directory for reading: until it is unlocked, opening a store there fails. `false` if a
    /// store is open. Changes no file.
    pub(crate) fn lock_to_read(&mut self) -> io::Result<bool> {
        match File::open(self.path(LOCK)) {
            Ok(file) => self.hold(file, File::try_lock_shared),
            // A copy of a store may lack the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn hold(
        &mut self,
        file: File,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> io::Result<bool> {
        match lock(&file) {
            Ok(()) => {
                self.lock = Some(Arc::new(file));
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        let path = self.path(folder);
        if path.is_dir() {
            return Ok(());
        }
        make_private(&path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn lock(&mut self) -> io::Result<bool> {
        let mut options = private();
        let file = options.read(true).write(true).create(true).open(self.path(LOCK))?;
        self.hold(file, File::try_lock)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path(folder))? {
            let entry = entry?;
            let data = match entry.metadata() {
                Ok(data) => data,
                // The process that has the store open has just deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // This crate writes only names that are valid Unicode.
            if let Ok(name) = entry.file_name().into_string()
                && data.is_file()
            {
                files.push((name, data.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, path: &str) -> io::Result<RealFile> {
        let path = self.path(path);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        private().read(true).append(true).create_new(true).open(path).map(RealFile)
    }

    fn open(&self, path: &str) -> io::Result<RealFile> {
        File::open(self.path(path)).map(RealFile)
    }

    fn open_to_append(&self, path: &str) -> io::Result<RealFile> {
        OpenOptions::new().read(true).append(true).open(self.path(path)).map(RealFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        sync_dir(&self.path(folder))
    }

    fn boot(&self) -> Option<String> {
        boot()
            .filter(|name| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_graphic()))
    }

    fn unchanged_for(&self, folder: &str) -> Option<Duration> {
        let files = fs::read_dir(self.path(folder)).ok()?.filter_map(Result::ok);
        let changed = files.filter_map(|file| file.metadata().ok()?.modified().ok());
        changed.max()?.elapsed().ok()
    }

    fn free(&self) -> Option<u64> {
        free(&self.root)
    }

    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }
}

/// The kernel's name for its current run.
#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

#[cfg(target_os = "macos")]
fn boot() -> Option<String> {
    let mut sysctl = std::process::Command::new("/usr/sbin/sysctl");
    let output = sysctl.args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    String::from_utf8(output.stdout).ok().map(|id| id.trim().to_owned())
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn boot() -> Option<String> {
    None
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        read_exact_at(&self.0, &mut bytes, offset)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

#[cfg(not(unix))]
fn free(_path: &Path) -> Option<u64> {
    None
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Other systems cannot open a directory, and do not need to.
#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}
