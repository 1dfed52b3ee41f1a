//! What a server keeps of blobs: whose they are, how much they take, which of them nobody needs.

use std::collections::{HashMap, HashSet};
use std::io;

use teatime_wire::{DataLimits, Digest, Refused, SessionId};

use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::manifest::Manifest;
use crate::space::name;

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultLimits {
    /// Largest blob in bytes.
    pub max_blob: u64,
    /// Most bytes of one space.
    pub max_space: u64,
    /// Most bytes of all.
    pub max_total: u64,
    /// For so many seconds nothing is removed after its last use, nor after a state first did not refer to it.
    /// A day is longer than a blob waits for the event that makes a state refer to it, and than a log that
    /// still refers to it waits for a snapshot.
    pub grace: u64,
}

const MIB: u64 = 1024 * 1024;

impl VaultLimits {
    /// What suits a server that keeps blobs on disk.
    pub const ON_DISK: Self =
        Self { max_blob: 1024 * MIB, max_space: 4096 * MIB, max_total: u64::MAX, grace: 24 * 3600 };

    /// What suits a server that keeps them in memory.
    pub const IN_MEMORY: Self =
        Self { max_blob: 64 * MIB, max_space: 128 * MIB, max_total: 256 * MIB, grace: 24 * 3600 };
}

/// How much a vault holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VaultUse {
    /// How many blobs.
    pub blobs: usize,
    /// How many chunks, manifests not among them.
    pub chunks: usize,
    /// How many bytes, manifests among them.
    pub bytes: u64,
}

/// What a server keeps of blobs. Times are in seconds, on any clock that does not go back.
pub struct Vault<F> {
    files: F,
    limits: VaultLimits,
    spaces: HashMap<Digest, Space>,
    bytes: u64,
}

/// Of one room.
#[derive(Default)]
struct Space {
    chunks: HashMap<Digest, Piece>,
    blobs: HashMap<Digest, Blob>,
    bytes: u64,
    /// To which blobs the states of the sessions in this room refer; those that refer to none are missing.
    references: HashMap<SessionId, HashSet<Digest>>,
    /// Sessions of which it is not known any more.
    unclear: HashSet<SessionId>,
}

struct Piece {
    bytes: u64,
    used: u64,
}

struct Blob {
    piece: Piece,
    chunks: Vec<Digest>,
    /// Since when the states do not refer to it.
    unreferenced: Option<u64>,
}

impl<F: ChunkFiles> Vault<F> {
    /// Finds what is there. A blob of which something is missing or damaged does not count, and is removed.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(mut files: F, limits: VaultLimits, now: u64) -> io::Result<Self> {
        let found = files.list()?;
        let mut vault = Self { files, limits, spaces: HashMap::new(), bytes: 0 };
        let of = |kind| found.iter().filter(move |(file, _)| file.kind == kind);
        for (file, bytes) in of(Kind::Chunk) {
            let space = vault.spaces.entry(file.space).or_default();
            space.chunks.insert(file.id, Piece { bytes: *bytes, used: now });
            vault.count(file.space, *bytes);
        }
        for (file, bytes) in of(Kind::Manifest) {
            let manifest = vault.files.read(file)?;
            if vault.add_blob(now, file.space, &manifest) != Ok(file.id) {
                vault.files.remove(file)?;
                continue;
            }
            vault.count(file.space, *bytes);
        }
        for (file, _) in of(Kind::References) {
            let session = SessionId(file.id.0);
            let roots = read_references(&vault.files.read(file)?);
            let space = vault.spaces.entry(file.space).or_default();
            match roots {
                Some(roots) => drop(space.references.insert(session, roots)),
                None => drop(space.unclear.insert(session)),
            }
        }
        Ok(vault)
    }

    /// Where everything is.
    pub fn into_files(self) -> F {
        self.files
    }

    fn count(&mut self, space: Digest, bytes: u64) {
        self.bytes += bytes;
        self.spaces.entry(space).or_default().bytes += bytes;
    }

    /// What a client may still bring.
    pub fn limits_for(&self, space: Digest) -> DataLimits {
        let used = self.spaces.get(&space).map_or(0, |space| space.bytes);
        let room = self.limits.max_space.saturating_sub(used);
        let room = room.min(self.limits.max_total.saturating_sub(self.bytes));
        DataLimits { max_blob: self.limits.max_blob, room }
    }

    /// Those of these chunks that are not there. The others count as used, so they stay for a while.
    pub fn missing(&mut self, now: u64, space: Digest, offered: Vec<Digest>) -> Vec<Digest> {
        let Some(space) = self.spaces.get_mut(&space) else { return offered };
        let mut missing = offered;
        missing.retain(|id| match space.chunks.get_mut(id) {
            Some(piece) => {
                piece.used = now;
                false
            }
            None => true,
        });
        missing
    }

    /// Keeps a chunk, and returns its name.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn put(&mut self, now: u64, space: Digest, bytes: &[u8]) -> Result<Digest, Refused> {
        let id = name(space, bytes);
        if self.missing(now, space, vec![id]).is_empty() {
            return Ok(id);
        }
        let length = self.write(&ChunkName { space, id, kind: Kind::Chunk }, bytes)?;
        let piece = Piece { bytes: length, used: now };
        self.spaces.entry(space).or_default().chunks.insert(id, piece);
        Ok(id)
    }

    fn write(&mut self, file: &ChunkName, bytes: &[u8]) -> Result<u64, Refused> {
        let length = bytes.len() as u64;
        if length > self.limits_for(file.space).room {
            return Err(Refused::NoRoom);
        }
        self.files.write(file, bytes).map_err(|error| refused(&error))?;
        self.count(file.space, length);
        Ok(length)
    }

    /// Keeps a blob of which all chunks are there, and returns its name; or the name of the first that is
    /// not.
    ///
    /// # Errors
    /// Why it cannot be kept; nothing inside if it is no manifest.
    pub fn complete(
        &mut self,
        now: u64,
        space: Digest,
        bytes: &[u8],
    ) -> Result<Result<Digest, Digest>, Option<Refused>> {
        let manifest = Manifest::decode(bytes).ok_or(None)?;
        if manifest.size > self.limits.max_blob {
            return Err(Some(Refused::TooLarge));
        }
        let id = name(space, bytes);
        let known = self.spaces.get_mut(&space).and_then(|space| space.blobs.get_mut(&id));
        if let Some(blob) = known {
            blob.piece.used = now;
            return Ok(Ok(id));
        }
        if let Some(missing) = self.first_missing(space, &manifest) {
            return Ok(Err(missing));
        }
        // Should it be there without one of its chunks after a power cut, it does not count.
        self.write(&ChunkName { space, id, kind: Kind::Manifest }, bytes).map_err(Some)?;
        self.files.sync().map_err(|error| Some(refused(&error)))?;
        Ok(self.add_blob(now, space, bytes))
    }

    fn first_missing(&self, space: Digest, manifest: &Manifest) -> Option<Digest> {
        let known = self.spaces.get(&space);
        let is_known = |id: &Digest| known.is_some_and(|space| space.chunks.contains_key(id));
        manifest.chunks.iter().find(|id| !is_known(id)).copied()
    }

    /// Its name, if all chunks are there; otherwise that of the first that is not.
    fn add_blob(&mut self, now: u64, space: Digest, bytes: &[u8]) -> Result<Digest, Digest> {
        let id = name(space, bytes);
        let manifest = Manifest::decode(bytes).ok_or(id)?;
        if let Some(missing) = self.first_missing(space, &manifest) {
            return Err(missing);
        }
        let piece = Piece { bytes: bytes.len() as u64, used: now };
        let blob = Blob { piece, chunks: manifest.chunks, unreferenced: None };
        self.spaces.entry(space).or_default().blobs.insert(id, blob);
        Ok(id)
    }

    /// A chunk or a manifest, if it is there. It counts as used.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn get(&mut self, now: u64, space: Digest, id: Digest) -> Result<Option<Vec<u8>>, Refused> {
        let Some(known) = self.spaces.get_mut(&space) else { return Ok(None) };
        let is_manifest = known.blobs.contains_key(&id);
        let kind = if is_manifest { Kind::Manifest } else { Kind::Chunk };
        let blob = known.blobs.get_mut(&id).map(|blob| &mut blob.piece);
        let Some(piece) = blob.or(known.chunks.get_mut(&id)) else { return Ok(None) };
        piece.used = now;
        let file = ChunkName { space, id, kind };
        match self.files.read(&file) {
            Ok(bytes) if name(space, &bytes) == id => Ok(Some(bytes)),
            // Damaged: gone, so that it can be stored anew.
            Ok(_) => {
                self.remove(&file).map_err(|error| refused(&error))?;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget(&file);
                Ok(None)
            }
            Err(error) => Err(refused(&error)),
        }
    }

    fn remove(&mut self, file: &ChunkName) -> io::Result<()> {
        match self.files.remove(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.forget(file),
        }
        Ok(())
    }

    fn forget(&mut self, file: &ChunkName) {
        let Some(space) = self.spaces.get_mut(&file.space) else { return };
        let gone = match file.kind {
            Kind::Manifest => space.blobs.remove(&file.id).map(|blob| blob.piece),
            Kind::Chunk => space.chunks.remove(&file.id),
            Kind::References => None,
        };
        let bytes = gone.map_or(0, |piece| piece.bytes);
        space.bytes -= bytes;
        self.bytes -= bytes;
    }

    /// The state of a session in this room, as a majority voted for it, refers to these blobs and no
    /// others.
    ///
    /// # Errors
    /// If the storage fails: then it is as if nothing had been said.
    pub fn refer(
        &mut self,
        now: u64,
        space: Digest,
        session: SessionId,
        roots: HashSet<Digest>,
    ) -> io::Result<()> {
        let Some(known) = self.spaces.get_mut(&space) else { return Ok(()) };
        let before = known.references.get(&session);
        let is_new =
            known.unclear.contains(&session) || before.unwrap_or(&HashSet::new()) != &roots;
        let file = ChunkName { space, id: Digest(session.0), kind: Kind::References };
        if is_new && roots.is_empty() {
            self.files.remove(&file)?;
        } else if is_new {
            self.files.write(&file, &write_references(&roots))?;
            self.files.sync()?;
        }
        known.unclear.remove(&session);
        if roots.is_empty() {
            known.references.remove(&session);
        } else {
            known.references.insert(session, roots);
        }
        for (root, blob) in &mut known.blobs {
            let needed = known.references.values().any(|roots| roots.contains(root));
            blob.unreferenced = if needed { None } else { blob.unreferenced.or(Some(now)) };
        }
        Ok(())
    }

    /// Sessions that are none of these are no more, and their states refer to nothing.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn keep_sessions(&mut self, now: u64, sessions: &HashSet<SessionId>) -> io::Result<()> {
        let all = self.spaces.iter().flat_map(|(id, space)| {
            space.references.keys().chain(&space.unclear).map(|session| (*id, *session))
        });
        let gone: Vec<_> = all.filter(|(_, session)| !sessions.contains(session)).collect();
        gone.into_iter()
            .try_for_each(|(space, session)| self.refer(now, space, session, HashSet::new()))
    }

    /// Removes what no state has referred to, and nobody has used, for the time of grace. Whatever no state
    /// was heard of stays, unless it is no whole blob.
    ///
    /// # Errors
    /// If the storage fails; what is gone by then is gone.
    pub fn collect(&mut self, now: u64) -> io::Result<VaultUse> {
        let old = |time: u64| now.saturating_sub(time) >= self.limits.grace;
        let mut garbage = Vec::new();
        for (id, space) in &self.spaces {
            let mut needed = HashSet::<Digest>::new();
            for (root, blob) in &space.blobs {
                let unreferenced = space.unclear.is_empty() && blob.unreferenced.is_some_and(old);
                if unreferenced && old(blob.piece.used) {
                    garbage.push(ChunkName { space: *id, id: *root, kind: Kind::Manifest });
                } else {
                    needed.extend(&blob.chunks);
                }
            }
            let loose = space.chunks.iter().filter(|(id, _)| !needed.contains(id));
            let loose = loose.filter(|(_, piece)| old(piece.used)).map(|(id, _)| *id);
            let chunk = |chunk| ChunkName { space: *id, id: chunk, kind: Kind::Chunk };
            garbage.extend(loose.map(chunk));
        }
        let mut gone = VaultUse::default();
        let before = self.bytes;
        for file in &garbage {
            self.remove(file)?;
            gone.blobs += usize::from(file.kind == Kind::Manifest);
            gone.chunks += usize::from(file.kind == Kind::Chunk);
        }
        gone.bytes = before - self.bytes;
        self.spaces.retain(|_, space| !space.chunks.is_empty() || !space.blobs.is_empty());
        Ok(gone)
    }

    /// How much there is.
    pub fn usage(&self) -> VaultUse {
        VaultUse {
            blobs: self.spaces.values().map(|space| space.blobs.len()).sum(),
            chunks: self.spaces.values().map(|space| space.chunks.len()).sum(),
            bytes: self.bytes,
        }
    }
}

/// Roots, and a hash of them: unlike chunks they have none as their name.
fn write_references(roots: &HashSet<Digest>) -> Vec<u8> {
    let mut bytes: Vec<u8> = roots.iter().flat_map(|root| root.0).collect();
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// Nothing if they are damaged.
pub(crate) fn read_references(bytes: &[u8]) -> Option<HashSet<Digest>> {
    let (roots, hash) = bytes.split_last_chunk::<32>()?;
    let (digests, rest) = roots.as_chunks::<32>();
    let is_whole = rest.is_empty() && blake3::hash(roots).as_bytes() == hash;
    is_whole.then(|| digests.iter().map(|root| Digest(*root)).collect())
}

fn refused(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Refused::DiskFull
        }
        _ => Refused::Failed,
    }
}
