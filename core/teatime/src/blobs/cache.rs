//! A cache of pieces of blobs on this device, sealed as the server has them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use teatime_net::blobs::Nearby;
use teatime_wire::Digest;

/// A file that has been unfinished for this long belongs to a program that was killed.
const UNFINISHED: Duration = Duration::from_secs(3600);

/// The number of pieces that this process has begun to write, in all caches.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Pieces of blobs in a directory. When they have too many bytes, the least recently used pieces are deleted. Several
/// programs may share the directory; each counts the pieces that it knows.
///
/// Errors here do not matter: the piece then comes from the server.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    most: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    pieces: BTreeMap<Digest, Piece>,
    /// Pieces in the order of use.
    order: BTreeMap<u64, Digest>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: u64,
    used: u64,
}

impl Known {
    fn add(&mut self, id: Digest, bytes: u64) {
        self.forget(&id);
        self.clock += 1;
        self.pieces.insert(id, Piece { bytes, used: self.clock });
        self.order.insert(self.clock, id);
        self.bytes += bytes;
    }

    fn forget(&mut self, id: &Digest) {
        if let Some(piece) = self.pieces.remove(id) {
            self.order.remove(&piece.used);
            self.bytes -= piece.bytes;
        }
    }
}

impl Cache {
    /// Opens a directory, which is made if it does not exist. The cache has at most `most` bytes.
    pub(crate) fn open(directory: &Path, most: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut found: Vec<(SystemTime, Digest, u64)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((id, unfinished)) = name.to_str().and_then(parse) else { continue };
            // Another program may just have deleted it.
            let Ok(found_file) = entry.metadata() else { continue };
            let Ok(modified) = found_file.modified() else { continue };
            if !unfinished {
                found.push((modified, id, found_file.len()));
            } else if modified.elapsed().is_ok_and(|age| age > UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        found.sort_unstable();
        let mut known = Known::default();
        found.into_iter().for_each(|(_, id, bytes)| known.add(id, bytes));
        let cache = Self { directory: directory.to_owned(), most, known: Mutex::new(known) };
        cache.limit();
        Ok(cache)
    }

    fn with<R>(&self, run: impl FnOnce(&mut Known) -> R) -> R {
        run(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn path(&self, id: &Digest) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn limit(&self) {
        while let Some(oldest) = self.with(|known| {
            let oldest = known.order.values().next().copied();
            oldest.filter(|_| known.bytes > self.most)
        }) {
            self.remove(&oldest);
        }
    }

    fn remove(&self, id: &Digest) {
        self.with(|known| known.forget(id));
        // Another program may have deleted it already.
        let _ = fs::remove_file(self.path(id));
    }

    fn write(&self, id: &Digest, piece: &[u8]) -> io::Result<()> {
        // A piece has its name only when it is whole, also if other programs write the same piece.
        let (process, count) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let unfinished = self.directory.join(format!("{id}.{process}-{count}"));
        let written = File::create(&unfinished).and_then(|mut file| file.write_all(piece));
        let named = written.and_then(|()| fs::rename(&unfinished, self.path(id)));
        if named.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        named
    }
}

impl Nearby for &Cache {
    fn look_up(&mut self, id: &Digest) -> Option<Vec<u8>> {
        let bytes = self.with(|known| known.pieces.get(id).map(|piece| piece.bytes))?;
        let path = self.path(id);
        match fs::read(&path) {
            Ok(piece) => {
                self.with(|known| known.add(*id, bytes));
                // The next program that opens the cache orders the pieces by this.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(piece)
            }
            Err(_) => {
                self.remove(id);
                None
            }
        }
    }

    fn keep(&mut self, id: &Digest, piece: &[u8]) {
        if piece.len() as u64 <= self.most && self.write(id, piece).is_ok() {
            self.with(|known| known.add(*id, piece.len() as u64));
            self.limit();
        }
    }

    fn discard(&mut self, id: &Digest) {
        self.remove(id);
    }
}

/// The piece that a file contains, and whether it may be incomplete. `None` for other files.
fn parse(file: &str) -> Option<(Digest, bool)> {
    match file.split_once('.') {
        None => Some((digest(file)?, false)),
        Some((id, _)) => Some((digest(id)?, true)),
    }
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Digest(bytes))
}
