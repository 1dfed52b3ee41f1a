//! What the reflector sees of a store.

use teatime_wire::{Archive, Beginning};

use crate::Error;
use crate::retain::Retention;
use crate::staging::{Staged, Staging};

/// Names a session.
pub type SessionId = [u8; 32];

/// Keeps sessions. One thread at a time uses it.
///
/// `begin`, `append` and `remove` only gather; [`commit`](Self::commit) writes. If any method
/// that writes fails, nothing counts that has gathered since the last commit, and the caller
/// must say it again; the store removes what it may have written of it before it takes more, and
/// until it can, everything is refused with the error that stops it. Reading shows what is
/// committed, not what has gathered.
pub trait Storage: Send {
    /// A session begins. `head` is what it begins with.
    ///
    /// # Errors
    /// [`Error::SessionExists`], [`Error::TooLarge`].
    fn begin(&mut self, session: &SessionId, head: &[u8]) -> Result<(), Error>;

    /// Adds a record. `seq` grows; a record that has no sequence number of its own has the newest
    /// one, and `kind` tells the caller what it is.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::OutOfOrder`], [`Error::TooLarge`].
    fn append(
        &mut self,
        session: &SessionId,
        seq: u64,
        kind: u8,
        bytes: &[u8],
    ) -> Result<(), Error>;

    /// Puts a checkpoint in the place of the older one and of every record so far whose sequence
    /// number is not above `seq`. Commits everything that has gathered, and is durable on the disk
    /// when it returns, whatever the [`Durability`](crate::Durability). It takes as long as the
    /// disk needs for that many bytes.
    ///
    /// # Errors
    /// As [`append`](Self::append) and [`commit`](Self::commit). [`Error::OutOfOrder`] if the
    /// checkpoint before is newer. What is refused by these limits leaves what has gathered alone.
    fn checkpoint(&mut self, session: &SessionId, seq: u64, bytes: &[u8]) -> Result<(), Error>;

    /// The same in three steps, so that nothing waits for the disk: this one, then
    /// [`Staging::write`] on another thread, then [`install`](Self::install). Records from here on
    /// stay, whatever their sequence number.
    ///
    /// # Errors
    /// As [`append`](Self::append). What has gathered stays.
    fn stage(&mut self, session: &SessionId, seq: u64, bytes: Vec<u8>) -> Result<Staging, Error>;

    /// Makes a checkpoint count that has been written beside the store, and commits everything
    /// that has gathered.
    ///
    /// # Errors
    /// What writing it said, [`Error::UnknownSession`] if the session is gone, and
    /// [`Error::OutOfOrder`] if a later checkpoint was installed before: what has gathered stays.
    /// As [`commit`](Self::commit).
    fn install(&mut self, staged: Staged) -> Result<(), Error>;

    /// Forgets a session.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    fn remove(&mut self, session: &SessionId) -> Result<(), Error>;

    /// Writes everything that has gathered, of all sessions, all or nothing.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Permission`], [`Error::Io`].
    fn commit(&mut self) -> Result<(), Error>;

    /// All sessions, in no order.
    fn sessions(&self) -> Vec<SessionInfo>;

    /// Everything of one session; nothing if there is no such session. Checkpoint and records are
    /// verified as they are read.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and what the disk says.
    fn load(&self, session: &SessionId) -> Result<Option<Stored>, Error>;

    /// Removes the sessions that nobody uses and that are too old or too many, the least recently
    /// used first, and commits. `now` is in seconds since 1970; `in_use` says whether somebody uses
    /// a session. To be called every few minutes: a session was last used when this last heard it.
    /// Returns what was removed: at most [`REMOVED_AT_ONCE`](crate::limits::REMOVED_AT_ONCE), so
    /// whoever gets that many calls again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn retain(
        &mut self,
        policy: &Retention,
        in_use: &dyn Fn(&SessionId) -> bool,
        now: u64,
    ) -> Result<Vec<SessionId>, Error>;

    /// How much there is.
    fn stats(&self) -> Stats;
}

/// A session without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub id: SessionId,
    /// Its highest sequence number, of a record or of the checkpoint; 0 before the first.
    pub newest: u64,
    /// How many records there are after the checkpoint.
    pub records: u64,
    /// Bytes that it needs on disk, garbage not counted.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970, as [`Storage::retain`] noted.
    pub last_used: Option<u64>,
}

/// Everything of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it began with.
    pub head: Vec<u8>,
    /// What stands for everything up to its sequence number.
    pub checkpoint: Option<Checkpoint>,
    /// The records after that, in the order in which they were appended.
    pub records: Vec<Record>,
}

impl Stored {
    /// What a reflector would hand to somebody who joins this session.
    ///
    /// # Errors
    /// [`Error::Corrupt`], without a file: no reflector has stored this.
    pub fn archive(self) -> Result<Archive, Error> {
        let stored = teatime_reflector::Stored::try_from(self);
        let archive = stored.and_then(|stored| stored.archive());
        archive.map_err(|error| Error::corrupt("", 0, error.to_string()))
    }

    /// What a reflector would store of a session that begins with a snapshot.
    ///
    /// # Errors
    /// That the operating system has no random numbers.
    pub fn begin(beginning: Beginning) -> Result<Self, Error> {
        let mut timeline = [0; 8];
        getrandom::fill(&mut timeline).map_err(std::io::Error::other)?;
        let timeline = u64::from_le_bytes(timeline);
        Ok(teatime_reflector::Stored::begin(beginning, timeline).into())
    }
}

/// What stands for everything up to its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its sequence number.
    pub seq: u64,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub seq: u64,
    /// What the caller said that it is.
    pub kind: u8,
    /// The content.
    pub bytes: Vec<u8>,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// How many sessions.
    pub sessions: usize,
    /// How many segments the log has.
    pub segments: usize,
    /// Bytes of all segments and checkpoints.
    pub disk_bytes: u64,
    /// Those of them that are needed.
    pub live_bytes: u64,
}
