//! A file system in memory that fails on request.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::disk::disk::{Disk, DiskFile};
use crate::disk::faults::Faults;

/// What crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process. The operating system still has what was written.
    Process,
    /// The machine. What was not made durable may survive, in part or not at all.
    Power,
}

/// A file system in memory. All clones are the same one. Only the store that has locked it should
/// use it; the methods here are for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// Unlocks when the last clone is dropped.
    lock: Option<Arc<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The inode of each path, now and after a power cut. Paths include the folder.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    /// How often the power was cut.
    boots: u64,
    /// The disk that holds the lock.
    locked: std::sync::Weak<()>,
    faults: Faults,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    data: Vec<u8>,
    /// How many bytes from the beginning are durable.
    durable: usize,
    /// The durable content before a cut that is not durable yet.
    uncut: Option<Vec<u8>>,
}

impl MemoryDisk {
    /// All files together can hold this many bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().faults.set_capacity(bytes);
    }

    /// Every change fails as not permitted.
    pub fn set_read_only(&self, read_only: bool) {
        self.state().faults.set_read_only(read_only);
    }

    /// The next write fails, and writes nothing.
    pub fn fail_next_write(&self) {
        self.state().faults.fail_next_write();
    }

    /// The next write fails after this many bytes.
    pub fn tear_next_write(&self, bytes: usize) {
        self.state().faults.tear_next_write(bytes);
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&self) {
        self.state().faults.fail_next_sync();
    }

    /// After this many more changes, every change and every sync fails, as if the process had
    /// ended there. [`crash`](Self::crash) returns the disk that the next process finds.
    pub fn die_after(&self, operations: u64) {
        self.state().faults.die_after(operations);
    }

    /// How many changes and syncs were made.
    pub fn operations(&self) -> u64 {
        self.state().faults.changes()
    }

    /// How many files were made durable.
    pub fn syncs(&self) -> u64 {
        self.state().faults.syncs()
    }

    /// A new disk with what a crash leaves; `seed` decides where several outcomes are possible.
    /// This disk does not change. The new one has the same capacity and no other fault.
    pub fn crash(&self, crash: Crash, seed: u64) -> Self {
        let state = self.state();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut found = State { next_inode: state.next_inode, ..State::default() };
        found.faults.set_capacity(state.faults.capacity());
        found.boots = state.boots + u64::from(crash == Crash::Power);
        found.names = match crash {
            Crash::Process => state.names.clone(),
            Crash::Power => surviving_names(&state, &mut rng),
        };
        for inode in found.names.values() {
            let inode_now = state.inodes.get(inode).cloned().unwrap_or_default();
            let data = match crash {
                Crash::Process => inode_now,
                Crash::Power => Inode { data: surviving(&inode_now, &mut rng), ..inode_now },
            };
            found.inodes.insert(*inode, data);
        }
        if crash == Crash::Power {
            found.durable_names = found.names.clone();
            for inode in found.inodes.values_mut() {
                inode.durable = inode.data.len();
                inode.uncut = None;
            }
        } else {
            found.durable_names = state.durable_names.clone();
            for (number, inode) in &state.inodes {
                found.inodes.entry(*number).or_insert_with(|| inode.clone());
            }
        }
        Self { state: Arc::new(Mutex::new(found)), lock: None }
    }

    /// All files with their content, sorted by path.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let file =
            |(name, inode): (&String, &u64)| (name.clone(), state.inodes[inode].data.clone());
        state.names.iter().map(file).collect()
    }

    /// Writes a file, durably.
    pub fn put(&self, path: &str, data: Vec<u8>) {
        let mut state = self.state();
        let number = state.next_inode;
        state.next_inode += 1;
        let durable = data.len();
        state.inodes.insert(number, Inode { data, durable, uncut: None });
        state.names.insert(path.into(), number);
        state.durable_names.insert(path.into(), number);
    }

    /// Removes a file, durably.
    pub fn take_away(&self, path: &str) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    /// Flips a bit of this byte of a file, even while the file is open.
    pub fn rot(&self, path: &str, offset: usize) {
        let mut state = self.state();
        let inode = state.names.get(path).copied().unwrap_or(u64::MAX);
        let data = state.inodes.get_mut(&inode).map(|inode| &mut inode.data);
        if let Some(byte) = data.and_then(|data| data.get_mut(offset)) {
            *byte ^= 1;
        }
    }

    /// A separate disk with the same content, all of it durable.
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        self.files().into_iter().for_each(|(name, data)| copy.put(&name, data));
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn surviving_names(state: &State, rng: &mut ChaCha8Rng) -> BTreeMap<String, u64> {
    let mut names = BTreeMap::new();
    let all: std::collections::BTreeSet<_> =
        state.names.keys().chain(state.durable_names.keys()).collect();
    for name in all {
        let (now, durable) = (state.names.get(name), state.durable_names.get(name));
        let survives = if rng.next_u32().is_multiple_of(2) { now } else { durable };
        if let Some(inode) = survives {
            names.insert(name.clone(), *inode);
        }
    }
    names
}

/// Of the bytes that are not durable, a prefix survives, or all of them with some sectors zero.
fn surviving(inode: &Inode, rng: &mut ChaCha8Rng) -> Vec<u8> {
    if let Some(uncut) = &inode.uncut
        && rng.next_u32().is_multiple_of(2)
    {
        return uncut.clone();
    }
    let mut data = inode.data.clone();
    let loose = data.len() - inode.durable;
    match rng.next_u32() % 3 {
        0 => data.truncate(inode.durable),
        1 => data.truncate(inode.durable + (rng.next_u64() % (loose as u64 + 1)) as usize),
        _ => {
            for sector in data[inode.durable..].chunks_mut(512) {
                if rng.next_u32().is_multiple_of(2) {
                    sector.fill(0);
                }
            }
        }
    }
    data
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].data.len() as u64).sum()
    }

    fn append(&mut self, inode: u64, bytes: &[u8]) -> io::Result<()> {
        let (written, result) = self.faults.write(bytes.len(), self.used());
        let inode = self.inodes.get_mut(&inode).ok_or(io::ErrorKind::NotFound)?;
        inode.data.extend_from_slice(&bytes[..written]);
        result
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn make_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn lock(&mut self) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.locked.strong_count() > 0 {
            return Ok(false);
        }
        let lock = Arc::new(());
        state.locked = Arc::downgrade(&lock);
        self.lock = Some(lock);
        Ok(true)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        let name = |path: &str| match path.rsplit_once('/') {
            Some((of, name)) => (of == folder).then(|| name.to_owned()),
            None => folder.is_empty().then(|| path.to_owned()),
        };
        let length = |inode: &u64| state.inodes[inode].data.len() as u64;
        let file = |(path, inode): (&String, &u64)| Some((name(path)?, length(inode)));
        Ok(state.names.iter().filter_map(file).collect())
    }

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.faults.change()?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.into(), inode);
        Ok(MemoryFile { disk: Arc::clone(&self.state), inode })
    }

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        let inode = *self.state().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile { disk: Arc::clone(&self.state), inode })
    }

    fn open_to_append(&self, path: &str) -> io::Result<MemoryFile> {
        self.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), inode);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn boot(&self) -> Option<String> {
        Some(format!("boot-{}", self.state().boots))
    }

    fn free(&self) -> Option<u64> {
        let state = self.state();
        state.faults.capacity().map(|capacity| capacity.saturating_sub(state.used()))
    }

    /// Deterministic: the same history gives the same number.
    fn random(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(ChaCha8Rng::seed_from_u64(state.boots << 48 ^ state.next_inode).next_u64())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        let inside = |path: &String| path.rsplit_once('/').map_or("", |(of, _)| of) == folder;
        let State { names, durable_names, inodes, .. } = &mut *state;
        durable_names.retain(|path, _| !inside(path));
        for (path, inode) in names.iter().filter(|(path, _)| inside(path)) {
            durable_names.insert(path.clone(), *inode);
        }
        let named = |number: &u64| {
            names.values().chain(durable_names.values()).any(|inode| inode == number)
        };
        // Drops the files that have no name any longer.
        if inodes.len() > 2 * (names.len() + durable_names.len()) {
            inodes.retain(|number, _| named(number));
        }
        Ok(())
    }
}

/// A file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: Arc<Mutex<State>>,
    inode: u64,
}

impl MemoryFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.state();
        let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        Ok(inode.data.len() as u64)
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let state = self.state();
        let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let end = offset.saturating_add(length);
        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
        let bytes = range.and_then(|(from, to)| inode.data.get(from..to));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.state().append(self.inode, bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < inode.durable {
            inode.uncut.get_or_insert_with(|| inode.data[..inode.durable].to_vec());
            inode.durable = length;
        }
        inode.data.truncate(length);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.faults.sync()?;
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        inode.durable = inode.data.len();
        inode.uncut = None;
        Ok(())
    }
}
