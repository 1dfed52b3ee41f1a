//! What a store needs of a file system.

use std::io;
use std::time::Duration;

/// A directory with folders and files. Paths are relative to it, with `/` between folder and
/// file; the empty path is the directory itself. Clones are the same directory.
pub trait Disk: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes the directory, a folder in it, and missing parents. Does nothing if they exist.
    ///
    /// # Errors
    /// What the operating system reports, here and below.
    fn make_folder(&self, folder: &str) -> io::Result<()>;

    /// Locks the directory until this disk and all its clones are dropped. `false` if another
    /// store has the lock.
    ///
    /// # Errors
    /// What the operating system reports.
    fn lock(&mut self) -> io::Result<bool>;

    /// The files in a folder with their lengths in bytes, in any order.
    ///
    /// # Errors
    /// What the operating system reports.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>>;

    /// Makes an empty file. Replaces an existing one.
    ///
    /// # Errors
    /// What the operating system reports.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the operating system reports.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Opens a file for reading and appending.
    ///
    /// # Errors
    /// What the operating system reports.
    fn open_to_append(&self, path: &str) -> io::Result<Self::File>;

    /// Renames a file. Replaces an existing one.
    ///
    /// # Errors
    /// What the operating system reports.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// What the operating system reports.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Names the current run of the operating system: what was written in this run is readable,
    /// durable or not. `None` if the run cannot be identified.
    fn boot(&self) -> Option<String>;

    /// How long ago a file in this folder was changed last, by the machine's clock. `None` for an empty folder, if that
    /// is unknown, or if the clock was set back since.
    fn unchanged_for(&self, folder: &str) -> Option<Duration> {
        let _ = folder;
        None
    }

    /// How many more bytes fit. `None` if unknown.
    fn free(&self) -> Option<u64> {
        None
    }

    /// A random number that cannot be guessed.
    ///
    /// # Errors
    /// What the operating system reports.
    fn random(&self) -> io::Result<u64>;

    /// Makes the list of files in a folder durable.
    ///
    /// # Errors
    /// What the operating system reports.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system reports, here and below.
    fn len(&self) -> io::Result<u64>;

    /// Whether its length is 0.
    ///
    /// # Errors
    /// What the operating system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads exactly `length` bytes from this offset on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file has fewer, and what the operating system reports.
    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>>;

    /// Writes at the end. After an error the file may have any part of the bytes.
    ///
    /// # Errors
    /// What the operating system reports.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to this length.
    ///
    /// # Errors
    /// What the operating system reports.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Makes the content durable.
    ///
    /// # Errors
    /// What the operating system reports. After an error it is unknown which bytes are durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Deletes a file, or does nothing if it does not exist.
pub(crate) fn remove_if_there<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The files of a folder; none if the folder does not exist.
pub(crate) fn list_if_there<D: Disk>(disk: &D, folder: &str) -> io::Result<Vec<(String, u64)>> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        files => files,
    }
}

/// Reads a whole file; `None` if it does not exist.
pub(crate) fn read_if_there<D: Disk>(disk: &D, path: &str) -> io::Result<Option<Vec<u8>>> {
    match disk.open(path) {
        Ok(file) => file.read(0, file.len()?).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
