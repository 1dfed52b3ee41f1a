//! What this client has voted for in one vote.

use std::sync::Arc;

use teatime_base::{Digest, StateHash};

use crate::envelope::HandedIn;

pub(super) struct Ballot {
    seq: u64,
    time: u64,
    hash: StateHash,
    state: Arc<[u8]>,
    handed_in: Arc<HandedIn>,
    vote: Digest,
    count: Count,
}

/// How a vote ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// The vote has not ended, as far as this client knows.
    Pending,
    /// At most this number agreed, of the participants that counted.
    Known { agreed: u32, of: u32 },
}

impl Ballot {
    /// The state after the vote that is ordered here, at this session time in µs.
    pub(super) fn new(
        seq: u64,
        time: u64,
        hash: StateHash,
        state: Arc<[u8]>,
        handed_in: HandedIn,
    ) -> Self {
        let vote = handed_in.hash();
        Self { seq, time, hash, state, handed_in: handed_in.into(), vote, count: Count::Pending }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// Hash of the plain state.
    pub(super) fn hash(&self) -> StateHash {
        self.hash
    }

    pub(super) fn state(&self) -> &Arc<[u8]> {
        &self.state
    }

    /// The snapshot as the reflector may ask for it.
    pub(super) fn handed_in(&self) -> &Arc<HandedIn> {
        &self.handed_in
    }

    /// What was sent to the reflector.
    pub(super) fn vote(&self) -> Digest {
        self.vote
    }

    pub(super) fn count(&self) -> Count {
        self.count
    }

    pub(super) fn set_count(&mut self, agreed: u32, of: u32) {
        self.count = Count::Known { agreed, of };
    }
}
