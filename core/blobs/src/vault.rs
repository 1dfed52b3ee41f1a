//! What a server keeps of blobs: whose they are, how much they take, which of them nobody needs.

use std::collections::{HashMap, HashSet};
use std::io;

use teatime_wire::{BlobLimits, Digest, Holding, Refused, SessionId};

use crate::capacity::{VaultLimits, VaultUse};
use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::holders::{Holder, Times, read_times, write_times};
use crate::limits::counts_as;
use crate::manifest::Manifest;
use crate::space::name;

/// What a server keeps of blobs. Times are in seconds, on a clock that goes on while the server does not run.
///
/// A blob is removed when it is known that nobody needs it: of every session of its room there is a snapshot that
/// was made a whole [grace](VaultLimits::grace) after the blob was last used, and does not refer to it; or nobody has
/// been in the session since before the blob was there. Nor does what is persisted in the room refer to it. In a
/// room without sessions it goes when nobody has used it for [longer](VaultLimits::unclaimed).
pub struct Vault<F> {
    files: F,
    limits: VaultLimits,
    spaces: HashMap<Digest, Space>,
    /// What all pieces and lists count as.
    counted: u64,
}

/// Of one room.
#[derive(Default)]
struct Space {
    chunks: HashMap<Digest, Chunk>,
    blobs: HashMap<Digest, Blob>,
    /// The sessions of this room in which somebody is or has been since there are blobs, and what is persisted.
    holders: HashMap<SessionId, Holder>,
    counted: u64,
    /// Times have changed since they were written.
    has_new_times: bool,
}

struct Chunk {
    bytes: u64,
    used: u64,
    /// A blob has it.
    is_needed: bool,
    /// This process has written it, or read it and found it right.
    is_sound: bool,
}

struct Blob {
    bytes: u64,
    /// When it was stored; 0 if that is not known.
    born: u64,
    used: u64,
    /// The manifest is right, and all chunks are there.
    is_whole: bool,
}

impl<F: ChunkFiles> Vault<F> {
    /// Finds what is there. Of a blob of which something is missing or damaged the rest stays: it may be stored
    /// anew, or what is missing come back.
    ///
    /// # Errors
    /// What the operating system says if it cannot be told what is there.
    pub fn open(mut files: F, limits: VaultLimits, now: u64) -> io::Result<Self> {
        let found = files.list()?;
        let mut vault = Self { files, limits, spaces: HashMap::new(), counted: 0 };
        for (file, bytes) in found {
            let (id, space) = (file.id, vault.spaces.entry(file.space).or_default());
            match file.kind {
                // After a power cut a file may have its name and no content.
                Kind::Chunk if bytes == 0 => continue,
                Kind::Chunk => {
                    let chunk = Chunk { bytes, used: 0, is_needed: false, is_sound: false };
                    space.chunks.insert(id, chunk);
                }
                Kind::Manifest => {
                    let blob = Blob { bytes, born: 0, used: now, is_whole: false };
                    space.blobs.insert(id, blob);
                }
                Kind::References => {
                    let read = vault.files.read(&file).ok();
                    let holder = read.and_then(|bytes| Holder::decode(&bytes, now));
                    let holder = holder.unwrap_or_else(|| Holder::unclear(now));
                    space.holders.insert(SessionId(id.0), holder);
                }
                Kind::Times => {}
            }
        }
        let all: Vec<_> = vault.spaces.keys().copied().collect();
        for id in all {
            vault.read_times(id, now);
            // What cannot be read now is not whole.
            let _ = vault.look_at_manifests(id);
            vault.begin_grace(id, now);
            vault.count_anew(id);
        }
        Ok(vault)
    }

    fn read_times(&mut self, id: Digest, now: u64) {
        let Some(space) = self.spaces.get_mut(&id) else { return };
        let Ok(bytes) = self.files.read(&ChunkName { space: id, id, kind: Kind::Times }) else {
            return;
        };
        for Times { id, born, used } in read_times(&bytes).into_iter().flatten() {
            if let Some(blob) = space.blobs.get_mut(&id) {
                (blob.born, blob.used) = (born.min(now), used.min(now));
            } else if let Some(chunk) = space.chunks.get_mut(&id) {
                chunk.used = used.min(now);
            }
        }
    }

    /// Chunks of no blob of which it is not known when they were used may have been so just now. The others are
    /// there for as long as their blobs.
    fn begin_grace(&mut self, id: Digest, now: u64) {
        let chunks =
            self.spaces.get_mut(&id).into_iter().flat_map(|space| space.chunks.values_mut());
        for chunk in chunks.filter(|chunk| !chunk.is_needed && chunk.used == 0) {
            chunk.used = now;
        }
    }

    /// Finds out which blobs are whole, and which chunks they need.
    fn look_at_manifests(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.spaces.get_mut(&id) else { return Ok(()) };
        space.chunks.values_mut().for_each(|chunk| chunk.is_needed = false);
        let mut all = Ok(());
        for (root, blob) in &mut space.blobs {
            let file = ChunkName { space: id, id: *root, kind: Kind::Manifest };
            let bytes = match self.files.read(&file) {
                Ok(bytes) => bytes,
                Err(error) => {
                    all = all.and(Err(error));
                    continue;
                }
            };
            let manifest = Manifest::decode(&bytes).filter(|_| name(id, &bytes) == *root);
            blob.is_whole = manifest.is_some();
            for chunk in manifest.into_iter().flat_map(|manifest| manifest.chunks) {
                match space.chunks.get_mut(&chunk) {
                    Some(chunk) => chunk.is_needed = true,
                    None => blob.is_whole = false,
                }
            }
        }
        all
    }

    fn count_anew(&mut self, id: Digest) {
        let Some(space) = self.spaces.get_mut(&id) else { return };
        self.counted -= space.counted;
        let chunks = space.chunks.values().map(|chunk| counts_as(chunk.bytes));
        let blobs = space.blobs.values().map(|blob| counts_as(blob.bytes));
        let lists = space.holders.values().map(Holder::bytes);
        space.counted = chunks.chain(blobs).chain(lists).sum();
        self.counted += space.counted;
    }

    /// Where everything is.
    pub fn into_files(self) -> F {
        self.files
    }

    /// How many blobs lack something, and cannot be fetched.
    pub fn incomplete(&self) -> usize {
        let blobs = self.spaces.values().flat_map(|space| space.blobs.values());
        blobs.filter(|blob| !blob.is_whole).count()
    }

    /// What a client may still bring.
    pub fn limits_for(&mut self, space: Digest) -> BlobLimits {
        let room = self.room_in(space).min(self.room_on_disk());
        BlobLimits { max_blob: self.limits.max_blob, room }
    }

    fn room_in(&self, space: Digest) -> u64 {
        let used = self.spaces.get(&space).map_or(0, |space| space.counted);
        let room = self.limits.max_space.saturating_sub(used);
        room.min(self.limits.max_total.saturating_sub(self.counted))
    }

    fn room_on_disk(&mut self) -> u64 {
        let free = if self.limits.reserve > 0 { self.files.free() } else { None };
        free.map_or(u64::MAX, |free| free.saturating_sub(self.limits.reserve))
    }

    /// Those of these chunks that are not there as they must be. The others count as used, so they stay
    /// for a while.
    pub fn missing(&mut self, now: u64, space: Digest, offered: Vec<Digest>) -> Vec<Digest> {
        let mut missing = offered;
        missing.retain(|id| !self.has(now, space, *id));
        missing
    }

    /// Whether a chunk is there as it was stored. It counts as used.
    fn has(&mut self, now: u64, space: Digest, id: Digest) -> bool {
        let Some(known) = self.spaces.get_mut(&space) else { return false };
        let Some(chunk) = known.chunks.get_mut(&id) else { return false };
        (chunk.used, known.has_new_times) = (now, true);
        // What was there before this process may have been damaged by a power cut.
        chunk.is_sound || matches!(self.get(now, space, id), Ok(Some(_)))
    }

    /// Keeps a chunk, and returns its name.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn put(&mut self, now: u64, space: Digest, bytes: &[u8]) -> Result<Digest, Refused> {
        let id = name(space, bytes);
        if self.has(now, space, id) {
            return Ok(id);
        }
        let file = ChunkName { space, id, kind: Kind::Chunk };
        self.write(&file, bytes)?;
        let chunk =
            Chunk { bytes: bytes.len() as u64, used: now, is_needed: false, is_sound: true };
        let known = self.spaces.entry(space).or_default();
        let before = known.chunks.insert(id, chunk);
        if let Some(chunk) = known.chunks.get_mut(&id) {
            chunk.is_needed = before.as_ref().is_some_and(|before| before.is_needed);
        }
        self.count(space, before.map(|before| before.bytes), Some(bytes.len() as u64));
        Ok(id)
    }

    fn write(&mut self, file: &ChunkName, bytes: &[u8]) -> Result<(), Refused> {
        let counted = counts_as(bytes.len() as u64);
        if counted > self.room_in(file.space) {
            return Err(Refused::NoRoom);
        }
        if counted > self.room_on_disk() {
            return Err(Refused::DiskFull);
        }
        self.files.write(file, bytes).map_err(|error| refused(&error))
    }

    /// A piece has gone, another has come.
    fn count(&mut self, space: Digest, gone: Option<u64>, come: Option<u64>) {
        let Some(space) = self.spaces.get_mut(&space) else { return };
        space.has_new_times = true;
        let (gone, come) = (gone.map_or(0, counts_as), come.map_or(0, counts_as));
        space.counted = space.counted + come - gone;
        self.counted = self.counted + come - gone;
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
        if let Some(missing) = manifest.chunks.iter().find(|id| !self.has(now, space, **id)) {
            return Ok(Err(*missing));
        }
        let id = name(space, bytes);
        let known = self.spaces.entry(space).or_default();
        match known.blobs.get_mut(&id) {
            Some(blob) if blob.is_whole => {
                (blob.used, known.has_new_times) = (now, true);
                return Ok(Ok(id));
            }
            _ => {}
        }
        // From now on there is something to which these may come to refer.
        self.save_holders(space).map_err(|error| Some(refused(&error)))?;
        let file = ChunkName { space, id, kind: Kind::Manifest };
        self.write(&file, bytes).map_err(Some)?;
        if let Err(error) = self.files.sync() {
            // It is not counted, so it must not be there.
            let _ = self.remove(&file);
            return Err(Some(refused(&error)));
        }
        let known = self.spaces.entry(space).or_default();
        for chunk in &manifest.chunks {
            if let Some(chunk) = known.chunks.get_mut(chunk) {
                chunk.is_needed = true;
            }
        }
        let length = bytes.len() as u64;
        let born = known.blobs.get(&id).map_or(now, |before| before.born);
        let blob = Blob { bytes: length, born, used: now, is_whole: true };
        let before = known.blobs.insert(id, blob);
        self.count(space, before.map(|before| before.bytes), Some(length));
        Ok(Ok(id))
    }

    /// A chunk or a manifest, if it is there. It counts as used.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn get(&mut self, now: u64, space: Digest, id: Digest) -> Result<Option<Vec<u8>>, Refused> {
        let Some(known) = self.spaces.get_mut(&space) else { return Ok(None) };
        let kind = if let Some(blob) = known.blobs.get_mut(&id).filter(|blob| blob.is_whole) {
            blob.used = now;
            Kind::Manifest
        } else if let Some(chunk) = known.chunks.get_mut(&id) {
            chunk.used = now;
            Kind::Chunk
        } else {
            return Ok(None);
        };
        known.has_new_times = true;
        let file = ChunkName { space, id, kind };
        match self.files.read(&file) {
            Ok(bytes) if name(space, &bytes) == id => {
                if let Some(chunk) = known.chunks.get_mut(&id) {
                    chunk.is_sound = true;
                }
                Ok(Some(bytes))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(&error)),
            // Damaged, or gone: it can be stored anew.
            _ => {
                match known.blobs.get_mut(&id) {
                    // States may refer to it as before.
                    Some(blob) if kind == Kind::Manifest => blob.is_whole = false,
                    _ => self.remove(&file).map_err(|error| refused(&error))?,
                }
                Ok(None)
            }
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
            Kind::Manifest => space.blobs.remove(&file.id).map(|blob| blob.bytes),
            Kind::Chunk => space.chunks.remove(&file.id).map(|chunk| chunk.bytes),
            Kind::References | Kind::Times => None,
        };
        self.count(file.space, gone, None);
    }

    /// Takes in what is told of a session in a room, or of what is persisted there.
    ///
    /// # Errors
    /// If it cannot be written. It is known nevertheless, and written when something is
    /// [collected](Self::collect).
    pub fn hear(
        &mut self,
        now: u64,
        space: Digest,
        session: SessionId,
        holding: Holding,
    ) -> io::Result<()> {
        let room = self.room_in(space);
        let known = self.spaces.entry(space).or_default();
        let is_gone = holding == Holding::Gone;
        let holder = known.holders.entry(session).or_default();
        let before = holder.bytes();
        let room = room.saturating_add(before);
        for root in holder.hear(now, holding, room) {
            if let Some(blob) = known.blobs.get_mut(&root) {
                (blob.used, known.has_new_times) = (now, true);
            }
        }
        // Before there is a blob only those count that somebody is in.
        let has_blobs = !known.blobs.is_empty();
        let is_needed = !is_gone && !holder.is_nothing() && (has_blobs || holder.is_awake());
        let after = if is_needed { holder.bytes() } else { 0 };
        let mut done = Ok(());
        if !is_needed {
            let id = Digest(session.0);
            known.holders.remove(&session);
            done =
                ignore_missing(self.files.remove(&ChunkName { space, id, kind: Kind::References }));
        }
        known.counted = known.counted + after - before;
        self.counted = self.counted + after - before;
        let is_empty = known.holders.is_empty() && known.chunks.is_empty();
        if has_blobs {
            done = done.and(self.save_holders(space));
        } else if is_empty {
            self.spaces.remove(&space);
        }
        done
    }

    fn save_holders(&mut self, space: Digest) -> io::Result<()> {
        let Some(known) = self.spaces.get_mut(&space) else { return Ok(()) };
        let mut wrote = false;
        for (session, holder) in known.holders.iter_mut().filter(|(_, holder)| !holder.is_saved) {
            let file = ChunkName { space, id: Digest(session.0), kind: Kind::References };
            self.files.write(&file, &holder.encode())?;
            (holder.is_saved, wrote) = (true, true);
        }
        if wrote { self.files.sync() } else { Ok(()) }
    }

    /// Sessions that are none of these are no more, unless somebody is in them, and their states refer to nothing.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn keep_sessions(&mut self, now: u64, sessions: &HashSet<SessionId>) -> io::Result<()> {
        let all = self.spaces.iter().flat_map(|(id, space)| {
            let asleep = space.holders.iter().filter(|(_, holder)| !holder.is_awake());
            asleep.map(|(session, _)| (*id, *session))
        });
        let gone: Vec<_> = all.filter(|(_, session)| !sessions.contains(session)).collect();
        let mut done = Ok(());
        for (space, session) in gone {
            done = done.and(self.hear(now, space, session, Holding::Gone));
        }
        done
    }

    /// Removes the blobs that nobody needs, and chunks of no blob that nobody has used for the time of grace.
    ///
    /// # Errors
    /// The first thing at which the storage fails. Whatever else is to go is gone.
    pub fn collect(&mut self, now: u64) -> io::Result<VaultUse> {
        let before = self.bytes();
        let (mut gone, mut done) = (VaultUse::default(), Ok(()));
        let all: Vec<_> = self.spaces.keys().copied().collect();
        for id in all {
            done = done.and(self.collect_in(id, now, &mut gone));
        }
        gone.bytes = before - self.bytes();
        done.map(|()| gone)
    }

    fn collect_in(&mut self, id: Digest, now: u64, gone: &mut VaultUse) -> io::Result<()> {
        let (grace, unclaimed) = (self.limits.grace, self.limits.unclaimed);
        let Some(space) = self.spaces.get(&id) else { return Ok(()) };
        let patience = if space.holders.is_empty() { unclaimed } else { grace };
        let is_garbage = |(root, blob): &(&Digest, &Blob)| {
            let mut holders = space.holders.values();
            now.saturating_sub(blob.used) >= patience
                && holders.all(|holder| holder.lets_go(root, blob.born, blob.used, grace))
        };
        let roots = space.blobs.iter().filter(is_garbage).map(|(root, _)| *root);
        let mut done = Ok(());
        let mut freed = false;
        for root in roots.collect::<Vec<_>>() {
            let is_whole = self.spaces[&id].blobs.get(&root).is_some_and(|blob| blob.is_whole);
            let removed = self.remove(&ChunkName { space: id, id: root, kind: Kind::Manifest });
            (gone.blobs, freed) = (gone.blobs + usize::from(is_whole && removed.is_ok()), true);
            done = done.and(removed);
        }
        let loose = |space: &Space| {
            let is_old = |chunk: &Chunk| now.saturating_sub(chunk.used) >= grace;
            let loose = space.chunks.iter().filter(|(_, chunk)| !chunk.is_needed && is_old(chunk));
            loose.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        // What a manifest has that cannot be read, now or before, may be any of the chunks.
        let look = freed || !loose(&self.spaces[&id]).is_empty();
        let known = if look { self.look_at_manifests(id) } else { Ok(()) };
        if known.is_ok() {
            for chunk in loose(&self.spaces[&id]) {
                let removed = self.remove(&ChunkName { space: id, id: chunk, kind: Kind::Chunk });
                gone.chunks += usize::from(removed.is_ok());
                done = done.and(removed);
            }
        }
        done.and(known).and(self.tidy_up(id))
    }

    /// Writes what has changed, or removes what is about nothing.
    fn tidy_up(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.spaces.get_mut(&id) else { return Ok(()) };
        let times = ChunkName { space: id, id, kind: Kind::Times };
        if space.chunks.is_empty() && space.blobs.is_empty() {
            for session in space.holders.keys() {
                let id = Digest(session.0);
                ignore_missing(self.files.remove(&ChunkName {
                    id,
                    kind: Kind::References,
                    ..times
                }))?;
            }
            ignore_missing(self.files.remove(&times))?;
            space.holders.retain(|_, holder| holder.is_awake());
            space.holders.values_mut().for_each(|holder| holder.is_saved = false);
            space.has_new_times = false;
            let is_empty = space.holders.is_empty();
            self.count_anew(id);
            if is_empty {
                self.spaces.remove(&id);
            }
            return Ok(());
        }
        if !space.blobs.is_empty() {
            self.save_holders(id)?;
        }
        self.save_times(id)
    }

    fn save_times(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.spaces.get_mut(&id).filter(|space| space.has_new_times) else {
            return Ok(());
        };
        let blobs = space.blobs.iter();
        let blobs = blobs.map(|(id, blob)| Times { id: *id, born: blob.born, used: blob.used });
        let loose = space.chunks.iter().filter(|(_, chunk)| !chunk.is_needed);
        let loose = loose.map(|(id, chunk)| Times { id: *id, born: 0, used: chunk.used });
        let bytes = write_times(blobs.chain(loose));
        self.files.write(&ChunkName { space: id, id, kind: Kind::Times }, &bytes)?;
        space.has_new_times = false;
        Ok(())
    }

    /// Writes down when what was last used, as [`collect`](Self::collect) does, so that it is known the next time.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn save(&mut self) -> io::Result<()> {
        let all: Vec<_> = self.spaces.keys().copied().collect();
        let mut done = Ok(());
        for id in all {
            done = done.and(self.tidy_up(id));
        }
        done
    }

    fn bytes(&self) -> u64 {
        let chunks = self.spaces.values().flat_map(|space| space.chunks.values());
        let blobs = self.spaces.values().flat_map(|space| space.blobs.values());
        chunks.map(|chunk| chunk.bytes).chain(blobs.map(|blob| blob.bytes)).sum()
    }

    /// How much there is.
    pub fn usage(&self) -> VaultUse {
        let blobs = self.spaces.values().flat_map(|space| space.blobs.values());
        VaultUse {
            blobs: blobs.filter(|blob| blob.is_whole).count(),
            chunks: self.spaces.values().map(|space| space.chunks.len()).sum(),
            bytes: self.bytes(),
        }
    }
}

fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn refused(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Refused::DiskFull
        }
        _ => Refused::Failed,
    }
}
