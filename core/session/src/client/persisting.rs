//! What the root model persists, and whether the reflector has stored it.

use std::collections::VecDeque;
use std::sync::Arc;

use teatime_vm::PersistedData;

use crate::event::{NewerVersion, NotPersisted, SessionEvent};
use crate::limits::REMEMBERED_CHANGES;

#[derive(Default)]
pub(super) struct Persisting {
    /// What the reflector has stored, as far as this client knows.
    stored: Option<PersistedData>,
    request: Request,
    failure: Failure,
    /// The newest version of the app that is used in this room, if it is newer than this one.
    newer: Option<u32>,
    /// What was persisted at the newest votes. Several may be held before the snapshot of one has been handed in.
    voted: VecDeque<Voted>,
    /// The reflector has stored what was persisted at this vote. The model has not come there yet.
    early: Option<u64>,
}

/// Whether this connection has asked for a vote, so that something newer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Request {
    #[default]
    None,
    /// Asked, and nothing has come of it yet.
    Sent,
}

/// Whether the owner knows that something could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Failure {
    #[default]
    None,
    /// The owner knows, and nothing was stored since.
    Reported,
}

/// Consecutive votes at which the same was persisted.
struct Voted {
    first: u64,
    last: u64,
    data: Option<PersistedData>,
}

/// Whether both are the same. Mostly they share their bytes.
fn is_same(one: Option<&PersistedData>, other: Option<&PersistedData>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one.version == other.version
                && (Arc::ptr_eq(&one.bytes, &other.bytes) || one.bytes == other.bytes)
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Persisting {
    /// A model begins with what is stored.
    pub(super) fn begin(&mut self, stored: Option<PersistedData>) {
        *self = Self { stored, newer: self.newer, ..Self::default() };
    }

    /// Nothing of what was asked for before will be answered.
    pub(super) fn start_connection(&mut self) {
        self.request = Request::None;
    }

    /// Whether the reflector has stored this, as far as is known.
    pub(super) fn is_stored(&self, data: Option<&PersistedData>) -> bool {
        is_same(data, self.stored.as_ref())
    }

    /// The model has persisted this by now. True if the reflector must be asked to store it.
    pub(super) fn request(&mut self, data: Option<&PersistedData>) -> bool {
        let is_due = self.request == Request::None && !self.is_stored(data);
        if is_due {
            self.request = Request::Sent;
        }
        is_due
    }

    /// The model has persisted this at a vote. Returns what to tell the owner.
    pub(super) fn vote(&mut self, seq: u64, data: Option<PersistedData>) -> Option<SessionEvent> {
        match self.voted.back_mut().filter(|last| is_same(last.data.as_ref(), data.as_ref())) {
            Some(same) => same.last = seq,
            None => self.voted.push_back(Voted { first: seq, last: seq, data }),
        }
        if self.voted.len() > REMEMBERED_CHANGES {
            self.voted.pop_front();
        }
        let early = self.early.take_if(|early| *early <= seq)?;
        self.hear_persisted(early, seq)
    }

    /// What this client voted for may be wrong, so it does not know what others have persisted.
    pub(super) fn forget_votes(&mut self) {
        self.voted.clear();
    }

    /// The reflector has stored what was persisted at a vote. The model stands at `reached`. Returns what to
    /// tell the owner.
    pub(super) fn hear_persisted(&mut self, seq: u64, reached: u64) -> Option<SessionEvent> {
        if reached < seq {
            self.early = Some(seq);
            return None;
        }
        (self.request, self.failure) = (Request::None, Failure::None);
        let at = |voted: &&Voted| (voted.first..=voted.last).contains(&seq);
        let voted = self.voted.iter().find(at)?;
        if is_same(voted.data.as_ref(), self.stored.as_ref()) {
            return None;
        }
        self.stored.clone_from(&voted.data);
        Some(SessionEvent::Persisted { seq })
    }

    /// The reflector has not stored what was persisted at a vote. It tries again by itself if that may help.
    /// Returns what to tell the owner.
    pub(super) fn hear_not_persisted(&mut self, failure: Option<&str>) -> Option<SessionEvent> {
        // A snapshot that was loaded meanwhile looked as if it were stored.
        self.stored = None;
        let before = std::mem::replace(&mut self.failure, Failure::Reported);
        let why =
            || failure.map_or(NotPersisted::RoomFull, |why| NotPersisted::NotStored(why.into()));
        (before == Failure::None).then(|| SessionEvent::NotPersisted(why()))
    }

    /// A version of the app that is newer than `own` is used in this room. Returns what to tell the owner.
    pub(super) fn hear_newer_version(&mut self, newer: u32, own: u32) -> Option<SessionEvent> {
        if self.newer.is_some_and(|known| known >= newer) {
            return None;
        }
        self.newer = Some(newer);
        Some(SessionEvent::NewerVersion(NewerVersion { newer, own }))
    }

    pub(super) fn newer_version(&self) -> Option<u32> {
        self.newer
    }
}
