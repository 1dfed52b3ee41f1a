//! The votes on the state hash that this client takes part in, and the snapshot that it hands in.

use std::sync::Arc;

use teatime_base::StateHash;
use teatime_wire::{ClientMessage, SnapshotPart, Verdict};

use super::ballot::{Ballot, Count};
use crate::envelope::HandedIn;

#[derive(Default)]
pub(super) struct Voting {
    /// The newest vote that this client took part in, unless it was outvoted.
    newest: Option<Ballot>,
    /// A majority has the state of the newest vote.
    is_confirmed: bool,
    /// The first vote that a majority decided against this client. Others may follow before the reflector asks
    /// it to join from scratch.
    outvoted: Option<Ballot>,
    /// The vote that the reflector doubts, while its verdict has not come.
    doubted: Option<u64>,
    upload: Option<Upload>,
    request: Request,
}

/// Whether the owner's wish for a vote is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Request {
    #[default]
    None,
    /// The reflector was asked. A vote that comes answers however many wishes.
    Sent,
}

struct Upload {
    seq: u64,
    snapshot: Arc<HandedIn>,
    offset: u64,
}

/// What a verdict means for this client.
pub(super) enum Finding {
    /// It did not take part.
    Unconcerned,
    /// The majority has another state.
    Outvoted,
    /// The majority has this client's state, which has this hash.
    Confirmed { hash: StateHash },
    /// There was no majority.
    Undecided,
}

impl Voting {
    pub(super) fn start_connection(&mut self) {
        *self = Self::default();
    }

    /// The owner wishes a vote. True if the reflector must be asked.
    pub(super) fn request(&mut self) -> bool {
        std::mem::replace(&mut self.request, Request::Sent) == Request::None
    }

    /// A vote was ordered.
    pub(super) fn hear_request(&mut self) {
        self.request = Request::None;
    }

    pub(super) fn cast(&mut self, ballot: Ballot) {
        self.newest = Some(ballot);
        self.is_confirmed = false;
    }

    pub(super) fn hear_verdict(&mut self, verdict: &Verdict) -> Finding {
        let Some(mut ballot) = self.newest.take_if(|ballot| ballot.seq() == verdict.seq) else {
            return Finding::Unconcerned;
        };
        ballot.set_count(verdict.agreed, verdict.of);
        match verdict.hash {
            Some(hash) if hash != ballot.vote() => {
                self.outvoted.get_or_insert(ballot);
                Finding::Outvoted
            }
            Some(_) => {
                self.outvoted = None;
                self.is_confirmed = true;
                Finding::Confirmed { hash: self.newest.insert(ballot).hash() }
            }
            None => {
                self.newest = Some(ballot);
                Finding::Undecided
            }
        }
    }

    /// The reflector doubts the state of this vote. True if it says so before its verdict: then the doubt counts
    /// from the verdict on.
    pub(super) fn is_ahead_of_verdict(&mut self, seq: u64) -> bool {
        let is_pending = |ballot: &Ballot| ballot.seq() == seq && ballot.count() == Count::Pending;
        let is_ahead = self.newest.as_ref().is_some_and(is_pending);
        self.doubted = is_ahead.then_some(seq);
        is_ahead
    }

    /// Whether this client has taken part in a newer vote, and was not outvoted in this one. A client that contradicts
    /// others may take its time, and must not make all of them load their models.
    pub(super) fn has_newer(&self, seq: u64) -> bool {
        self.outvoted.is_none() && self.newest.as_ref().is_some_and(|ballot| ballot.seq() > seq)
    }

    /// Whether the vote of this verdict was doubted before it ended.
    pub(super) fn take_doubt(&mut self, seq: u64) -> bool {
        self.doubted.take_if(|doubted| *doubted == seq).is_some()
    }

    /// The first vote that a majority decided against this client.
    pub(super) fn take_outvoted(&mut self) -> Option<Ballot> {
        self.outvoted.take()
    }

    /// What this client voted for in a vote that has ended without a majority against it, and whether there was one with
    /// it.
    pub(super) fn take_ended(&mut self, seq: u64) -> Option<(Ballot, bool)> {
        let is_ended =
            |ballot: &mut Ballot| ballot.seq() == seq && ballot.count() != Count::Pending;
        let ballot = self.newest.take_if(is_ended)?;
        Some((ballot, self.is_confirmed))
    }

    /// What a majority has confirmed in the newest vote.
    pub(super) fn confirmed(&self) -> Option<&Ballot> {
        self.newest.as_ref().filter(|_| self.is_confirmed)
    }

    /// What this client voted for in this vote, if that is the newest and was not contradicted.
    pub(super) fn ballot(&self, seq: u64) -> Option<&Ballot> {
        self.newest.as_ref().filter(|ballot| ballot.seq() == seq)
    }

    /// The reflector asks for the snapshot of this vote. If the client no longer has it, or it is larger than
    /// `most` bytes, the reflector will ask another participant in a while.
    pub(super) fn start_upload(&mut self, seq: u64, most: u64) {
        let Some(ballot) = self.newest.as_ref().filter(|ballot| ballot.seq() == seq) else {
            return;
        };
        let snapshot = ballot.handed_in().clone();
        if snapshot.size() <= most {
            self.upload = Some(Upload { seq, snapshot, offset: 0 });
        }
    }

    /// The connection over which a snapshot was being handed in is gone.
    pub(super) fn stop_upload(&mut self) {
        self.upload = None;
    }

    pub(super) fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }

    /// The message with the next part of the snapshot, if one is being handed in.
    pub(super) fn next_part(&mut self) -> Option<Vec<u8>> {
        let Upload { seq, snapshot, offset } = self.upload.as_mut()?;
        let (data, total) = (snapshot.part(*offset), snapshot.size());
        let part = SnapshotPart { seq: *seq, offset: *offset, total, data: &data };
        let message = ClientMessage::SnapshotPart(part).encode();
        *offset += data.len() as u64;
        if *offset == total {
            self.upload = None;
        }
        Some(message)
    }
}
