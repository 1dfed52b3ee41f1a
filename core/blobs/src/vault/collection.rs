//! Garbage collection: which sessions may need which blobs, and removing those that no session needs.

use std::collections::HashSet;
use std::io;

use teatime_wire::{Digest, Holding, SessionId};

use super::Vault;
use crate::capacity::VaultUse;
use crate::files::{ChunkFiles, ChunkName, Kind};
use crate::holders::{Times, write_times};

impl<F: ChunkFiles> Vault<F> {
    /// Takes in news of a session in a room, or of the data that is persisted there.
    ///
    /// # Errors
    /// That of the operating system, if the news cannot be written. The vault knows them anyway, and writes
    /// them at the next [`collect`](Self::collect).
    pub fn hear(
        &mut self,
        now: u64,
        space: Digest,
        session: SessionId,
        holding: Holding,
    ) -> io::Result<()> {
        let room = self.room_in(space);
        let known = self.index.get_or_insert(space);
        let is_gone = holding == Holding::Gone;
        let holder = known.holders.entry(session).or_default();
        let before = holder.bytes();
        let room = room.saturating_add(before);
        for root in holder.hear(now, holding, room) {
            if let Some(blob) = known.blobs.get_mut(&root) {
                (blob.used, known.has_new_times) = (now, true);
            }
        }
        // Before the first blob only sessions with participants matter.
        let has_blobs = !known.blobs.is_empty();
        let is_needed = !is_gone && !holder.is_nothing() && (has_blobs || holder.is_awake());
        let after = if is_needed { holder.bytes() } else { 0 };
        let mut done = Ok(());
        if !is_needed {
            known.holders.remove(&session);
            done = self.remove_references(space, session);
        }
        self.index.replace_counted(space, before, after);
        let is_empty =
            self.index.get(space).is_some_and(|it| it.holders.is_empty() && it.chunks.is_empty());
        if has_blobs {
            done = done.and(self.save_holders(space));
        } else if is_empty {
            self.index.remove(space);
        }
        done
    }

    /// Writes the holders that have changed.
    pub(super) fn save_holders(&mut self, space: Digest) -> io::Result<()> {
        let Some(known) = self.index.get_mut(space) else { return Ok(()) };
        let mut wrote = false;
        for (session, holder) in known.holders.iter_mut().filter(|(_, holder)| !holder.is_saved) {
            let file = ChunkName { space, id: Digest(session.0), kind: Kind::References };
            self.files.write(&file, &holder.encode())?;
            (holder.is_saved, wrote) = (true, true);
        }
        if wrote { self.files.sync() } else { Ok(()) }
    }

    /// Forgets all sessions except these, and except sessions that have a participant. The states of the
    /// forgotten sessions no longer refer to any blob.
    ///
    /// # Errors
    /// The first error of the operating system.
    pub fn retain_sessions(&mut self, now: u64, sessions: &HashSet<SessionId>) -> io::Result<()> {
        let all = self.index.iter().flat_map(|(id, space)| {
            let asleep = space.holders.iter().filter(|(_, holder)| !holder.is_awake());
            asleep.map(move |(session, _)| (id, *session))
        });
        let gone: Vec<_> = all.filter(|(_, session)| !sessions.contains(session)).collect();
        let mut done = Ok(());
        for (space, session) in gone {
            done = done.and(self.hear(now, space, session, Holding::Gone));
        }
        done
    }

    /// Removes the blobs that no session needs, and chunks of no blob that were not used for the time of
    /// grace. Returns what was removed.
    ///
    /// # Errors
    /// The first error of the operating system. Everything else that had to go is removed.
    pub fn collect(&mut self, now: u64) -> io::Result<VaultUse> {
        let before = self.index.bytes();
        let (mut gone, mut done) = (VaultUse::default(), Ok(()));
        for id in self.index.ids() {
            done = done.and(self.collect_in(id, now, &mut gone));
        }
        gone.bytes = before - self.index.bytes();
        done.map(|()| gone)
    }

    fn collect_in(&mut self, id: Digest, now: u64, gone: &mut VaultUse) -> io::Result<()> {
        let (grace, unclaimed) = (self.limits.grace, self.limits.unclaimed);
        let Some(space) = self.index.get(id) else { return Ok(()) };
        let roots = space.unneeded_blobs(now, grace, unclaimed);
        // Before any chunk goes, all manifests must be read again.
        let must_look = !roots.is_empty() || !space.loose_chunks(now, grace).is_empty();
        let mut done = Ok(());
        for root in roots {
            let blob = self.index.get(id).and_then(|space| space.blobs.get(&root));
            let is_whole = blob.is_some_and(|blob| blob.is_whole);
            let removed = self.remove(&ChunkName { space: id, id: root, kind: Kind::Manifest });
            gone.blobs += usize::from(is_whole && removed.is_ok());
            done = done.and(removed);
        }
        // A manifest that cannot be read, now or before, may need any of the chunks.
        let known = if must_look { self.read_manifests(id) } else { Ok(()) };
        if known.is_ok() {
            let loose = self.index.get(id).map(|space| space.loose_chunks(now, grace));
            for chunk in loose.into_iter().flatten() {
                let removed = self.remove(&ChunkName { space: id, id: chunk, kind: Kind::Chunk });
                gone.chunks += usize::from(removed.is_ok());
                done = done.and(removed);
            }
        }
        done.and(known).and(self.tidy_up(id))
    }

    /// Writes what has changed about a space, or removes the files about an empty one.
    fn tidy_up(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.index.get(id) else { return Ok(()) };
        if space.chunks.is_empty() && space.blobs.is_empty() {
            return self.tidy_up_empty(id);
        }
        if !space.blobs.is_empty() {
            self.save_holders(id)?;
        }
        self.save_times(id)
    }

    /// Removes the files about a space without blobs, and forgets sessions without participants.
    fn tidy_up_empty(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.index.get(id) else { return Ok(()) };
        let sessions: Vec<_> = space.holders.keys().copied().collect();
        for session in sessions {
            self.remove_references(id, session)?;
        }
        let times = ChunkName { space: id, id, kind: Kind::Times };
        ignore_missing(self.files.remove(&times))?;
        if let Some(space) = self.index.get_mut(id) {
            space.holders.retain(|_, holder| holder.is_awake());
            space.holders.values_mut().for_each(|holder| holder.is_saved = false);
            space.has_new_times = false;
            let is_empty = space.holders.is_empty();
            self.index.recount(id);
            if is_empty {
                self.index.remove(id);
            }
        }
        Ok(())
    }

    fn remove_references(&mut self, space: Digest, session: SessionId) -> io::Result<()> {
        let file = ChunkName { space, id: Digest(session.0), kind: Kind::References };
        ignore_missing(self.files.remove(&file))
    }

    fn save_times(&mut self, id: Digest) -> io::Result<()> {
        let Some(space) = self.index.get_mut(id).filter(|space| space.has_new_times) else {
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

    /// Writes the times of use, as [`collect`](Self::collect) does. Call it before the server stops.
    ///
    /// # Errors
    /// The first error of the operating system.
    pub fn save(&mut self) -> io::Result<()> {
        let mut done = Ok(());
        for id in self.index.ids() {
            done = done.and(self.tidy_up(id));
        }
        done
    }
}

fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
