//! What a session takes of the memory that all sessions share, and what it may still take.

use super::Session;
use super::flow::Reason;
use crate::budget::{AddressId, Budget, Headroom};
use crate::config::Config;
use crate::shares::Owner;

/// Memory of a session besides its log and its snapshots, in bytes.
const PER_SESSION: u64 = 4 * 1024;
/// However little memory is left, the log of a session may take this many bytes: a room for a few words, which no stranger
/// takes from others.
const LEAST_LOG: u64 = 64 * 1024;
/// Senders that pause because memory is short resume when the log may grow by this many bytes.
const RESUME_AT: u64 = 64 * 1024;

impl Session {
    /// Sets how much its memory may still grow in what follows.
    pub(crate) fn set_headroom(&mut self, headroom: Headroom) {
        self.headroom = headroom;
    }

    /// How much it takes that is not counted yet, in bytes.
    pub(crate) fn uncounted(&self) -> u64 {
        self.weight().saturating_sub(self.account.memory())
    }

    /// Has its memory counted. What has grown since the last time was caused by this address.
    pub(crate) fn settle(&mut self, budget: &Budget, cause: Option<AddressId>) {
        let weight = self.weight();
        budget.settle(&mut self.account, weight, cause);
        self.settle_stored(budget, cause);
    }

    /// Has counted what it takes of the storage. A session that was loaded begins with what it had.
    fn settle_stored(&mut self, budget: &Budget, cause: Option<AddressId>) {
        let bytes = if self.is_on_disk { self.log.memory() } else { 0 };
        if !self.is_on_disk || self.counted == Some(bytes) {
            return;
        }
        let owner = Owner::Key(self.id);
        let (before, cause) = match self.counted.replace(bytes) {
            Some(before) => (before, cause),
            None => (bytes, None),
        };
        budget.shares().settle(owner, before, bytes, cause);
        budget.shares().set_live(owner, true);
    }

    /// It goes from memory.
    pub(crate) fn close_account(&mut self, budget: &Budget) {
        budget.settle(&mut self.account, 0, None);
        if self.is_on_disk {
            budget.shares().set_live(Owner::Key(self.id), false);
        }
    }

    /// Whether nothing of it is stored yet, but would be if a participant did something.
    pub(crate) fn is_unstored(&self) -> bool {
        self.unstored.is_some()
    }

    /// What it takes of the memory that all sessions share, in bytes. Of a snapshot on its way in, what it is larger than the
    /// one that it replaces counts at once.
    fn weight(&self) -> u64 {
        let upload = self.ballot.upload.as_ref().map_or(0, crate::upload::Upload::memory);
        PER_SESSION + self.log.memory() + self.presences.memory() + self.larger_by(upload)
    }

    /// How much larger than the newest snapshot one of this size is, in bytes.
    fn larger_by(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.log.snapshot_bytes())
    }

    /// Whether memory is left for a snapshot of this size. It replaces the newest one, so only the difference must fit:
    /// otherwise a session near its limit could never renew a large snapshot. Until a client has loaded it both are there. So
    /// sessions exceed the limit by this, but only while it is not exceeded.
    pub(super) fn has_room_for_snapshot(&self, bytes: u64) -> bool {
        let retains_newest = self.log.previous().is_none();
        self.larger_by(bytes) <= self.headroom.bytes
            && !(self.headroom.is_exceeded && retains_newest)
    }

    /// At this many bytes of the log, senders are asked to pause until a snapshot makes room.
    pub(super) fn log_limit(&self, config: &Config) -> u64 {
        let fits = self.log.bytes().saturating_add(self.headroom.bytes).max(LEAST_LOG);
        config.log_limit_bytes.min(fits)
    }

    /// Whether even the reserve is used up, which is for clients that have not heard yet that they should pause.
    pub(super) fn is_brimful(&self, config: &Config) -> bool {
        let bytes = self.log.bytes();
        bytes > config.log_limit_bytes + config.log_reserve_bytes
            || (self.headroom.is_exceeded && bytes > LEAST_LOG)
    }

    /// Whether senders can resume because others have left memory to it.
    pub(super) fn has_headroom_again(&self, config: &Config) -> bool {
        self.flow.is_held_by(Reason::LogFull)
            && self.log.bytes() < config.log_limit_bytes
            && self.log.bytes().saturating_add(RESUME_AT) <= self.log_limit(config)
    }
}
