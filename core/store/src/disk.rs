//! What a store needs of a file system.

use std::io;

/// A directory with folders and files. Paths are relative to it and have `/` between folder and
/// file; the empty path is the directory itself. Clones are the same directory.
pub trait Disk: Clone + Send + 'static {
    /// A file that is open.
    type File: DiskFile;

    /// Makes the directory and a folder in it, unless they are there, and whatever above is
    /// missing.
    ///
    /// # Errors
    /// What the operating system says, here and below.
    fn make_folder(&self, folder: &str) -> io::Result<()>;

    /// Keeps everybody else away from it as long as this disk or a clone of it lives. `false` if somebody else
    /// does.
    ///
    /// # Errors
    /// What the operating system says.
    fn lock(&mut self) -> io::Result<bool>;

    /// The files in a folder with their lengths in bytes, in no order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file, in place of one that is there.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Opens a file to read it.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Opens a file to append to it.
    ///
    /// # Errors
    /// What the operating system says.
    fn open_to_append(&self, path: &str) -> io::Result<Self::File>;

    /// Renames a file, in place of one that is there.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Names the time since the operating system was started: whatever was written in it is there,
    /// durable or not. Nothing if that cannot be told.
    fn boot(&self) -> Option<String>;

    /// How many more bytes fit. Nothing if that cannot be told.
    fn free(&self) -> Option<u64> {
        None
    }

    /// A number that nobody can guess.
    ///
    /// # Errors
    /// What the operating system says.
    fn random(&self) -> io::Result<u64>;

    /// Makes durable which files a folder has.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// A file that is open.
pub trait DiskFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says, here and below.
    fn len(&self) -> io::Result<u64>;

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Exactly so many bytes from this offset on.
    ///
    /// # Errors
    /// `UnexpectedEof` if there are fewer, and what the operating system says.
    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>>;

    /// Writes behind the end. After an error any part of it may be there.
    ///
    /// # Errors
    /// What the operating system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it off.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Makes its content durable.
    ///
    /// # Errors
    /// What the operating system says. What is durable then is unknown.
    fn sync(&mut self) -> io::Result<()>;
}
