//! A disk on which threads wait at a gate.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use teatime_store::{Disk, DiskFile, MemoryDisk, MemoryFile};

/// What waits while the gate is shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Making the file of a checkpoint.
    Checkpoints,
    /// Syncing a segment.
    Syncs,
}

/// A disk with a gate.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) disk: MemoryDisk,
    at: At,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
struct Gate {
    is_shut: bool,
    /// How many threads wait now.
    waiting: usize,
    /// Instead of going on, the next thread at the gate panics.
    panics: bool,
}

impl Gated {
    pub(crate) fn new(at: At) -> Self {
        Self { disk: MemoryDisk::default(), at, gate: Arc::default() }
    }

    pub(crate) fn set_shut(&self, shut: bool) {
        self.gate.0.lock().expect("not poisoned").is_shut = shut;
        self.gate.1.notify_all();
    }

    /// The next thread at the gate panics.
    pub(crate) fn panic_next(&self) {
        self.gate.0.lock().expect("not poisoned").panics = true;
    }

    /// Waits until a thread waits at the gate.
    pub(crate) fn wait_until_reached(&self) {
        let gate = self.gate.0.lock().expect("not poisoned");
        drop(self.gate.1.wait_while(gate, |gate| gate.waiting == 0).expect("not poisoned"));
    }

    fn pass(&self, at: At) {
        if at != self.at {
            return;
        }
        let mut gate = self.gate.0.lock().expect("not poisoned");
        gate.waiting += 1;
        self.gate.1.notify_all();
        let mut gate = self.gate.1.wait_while(gate, |gate| gate.is_shut).expect("not poisoned");
        gate.waiting -= 1;
        let panics = std::mem::take(&mut gate.panics);
        drop(gate);
        assert!(!panics, "a panic at the gate, as the test wants it");
    }
}

/// A file of a gated disk.
pub(crate) struct GatedFile {
    file: MemoryFile,
    disk: Gated,
    is_segment: bool,
}

impl DiskFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.file.read(offset, length)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_segment {
            self.disk.pass(At::Syncs);
        }
        self.file.sync()
    }
}

impl Gated {
    fn file(&self, path: &str, file: MemoryFile) -> GatedFile {
        GatedFile { file, disk: self.clone(), is_segment: path.starts_with("log/") }
    }
}

impl Disk for Gated {
    type File = GatedFile;

    fn create(&self, path: &str) -> io::Result<GatedFile> {
        if path.starts_with("checkpoints/") {
            self.pass(At::Checkpoints);
        }
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.make_folder(folder)
    }

    fn lock(&mut self) -> io::Result<bool> {
        self.disk.lock()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        self.disk.list(folder)
    }

    fn open(&self, path: &str) -> io::Result<GatedFile> {
        Ok(self.file(path, self.disk.open(path)?))
    }

    fn open_to_append(&self, path: &str) -> io::Result<GatedFile> {
        Ok(self.file(path, self.disk.open_to_append(path)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn boot(&self) -> Option<String> {
        self.disk.boot()
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
}
