//! Votes that were not unanimous: clients check their states, and learn if their programs disagree.

use std::cmp::Reverse;

use teatime_wire::{Digest, Disagreement, ServerMessage, Side as Told, Verdict};

use super::{Session, Turn};
use crate::upload::Upload;
use crate::view::{Arrival, View};

/// The most sides of a disagreement that clients learn of, and the most agents of a side.
const MAX_TOLD: usize = 4;

/// How a vote ended, and who voted for what.
#[derive(Debug)]
pub(super) struct Ended {
    verdict: Verdict,
    sides: Vec<Side>,
    /// When the majority must have answered a client that contradicts it, on the driver's clock.
    answers_by: Option<u64>,
    /// The clients know that their programs disagree.
    is_told: bool,
}

/// The views that voted for the same state.
#[derive(Debug)]
struct Side {
    hash: Digest,
    voters: Vec<Arrival>,
    /// It comes out again when the log is replayed.
    is_confirmed: bool,
}

/// A snapshot that a majority has voted for, and that no view was asked for yet.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) verdict: Verdict,
    /// The session's time at the vote.
    pub(super) time: u64,
    /// The views that have it.
    pub(super) majority: Vec<Arrival>,
    /// Those that voted for something else, and are checking that.
    pub(super) unchecked: Vec<Arrival>,
    /// When it is taken at the latest, on the driver's clock.
    pub(super) deadline: u64,
}

impl Ended {
    pub(super) fn new(verdict: Verdict, votes: &[(Arrival, Digest)]) -> Self {
        let mut ended = Self { verdict, sides: Vec::new(), answers_by: None, is_told: false };
        votes.iter().for_each(|(voter, hash)| ended.add(*voter, *hash));
        ended
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether several clients have voted, and all for the same.
    pub(super) fn is_agreed(&self) -> bool {
        matches!(&self.sides[..], [side] if side.voters.len() > 1)
    }

    /// When the majority must have answered a client that contradicts it.
    pub(super) fn answers_by(&self) -> Option<u64> {
        self.answers_by
    }

    /// Adds a vote.
    pub(super) fn add(&mut self, voter: Arrival, hash: Digest) {
        match self.sides.iter_mut().find(|side| side.hash == hash) {
            Some(side) => side.voters.push(voter),
            None => self.sides.push(Side { hash, voters: vec![voter], is_confirmed: false }),
        }
    }

    /// A view is gone, or has given up its state.
    pub(super) fn gone(&mut self, voter: Arrival) {
        self.sides.iter_mut().for_each(|side| side.voters.retain(|other| *other != voter));
    }

    /// A voter has come to its state again. Returns whether it has voted.
    fn confirm(&mut self, voter: Arrival) -> bool {
        let side = self.sides.iter_mut().find(|side| side.voters.contains(&voter));
        side.map(|side| side.is_confirmed = true).is_some()
    }

    /// Whether a voter is not with the majority.
    fn contradicts(&self, voter: Arrival) -> bool {
        let contradicts = |side: &Side| self.verdict.hash.is_some_and(|hash| hash != side.hash);
        self.sides.iter().any(|side| side.voters.contains(&voter) && contradicts(side))
    }

    /// Those with the majority, to be asked to check their states by this time: once.
    fn ask_majority(&mut self, by: u64) -> Vec<Arrival> {
        if self.answers_by.is_some() || self.is_told {
            return Vec::new();
        }
        self.answers_by = Some(by);
        let side = self.sides.iter().find(|side| Some(side.hash) == self.verdict.hash);
        side.map(|side| side.voters.clone()).unwrap_or_default()
    }

    /// The sides that disagree, the largest first, if the clients are to be told now: once.
    fn take_disagreement(&mut self, now: u64) -> Option<Vec<&Side>> {
        let is_over = self.answers_by.take_if(|by| now >= *by).is_some();
        let counts = |side: &&Side| {
            // A majority that does not answer goes on with what it has.
            let is_silent = is_over && Some(side.hash) == self.verdict.hash;
            !side.voters.is_empty() && (side.is_confirmed || is_silent)
        };
        let mut sides: Vec<_> = self.sides.iter().filter(counts).collect();
        if self.is_told || sides.len() < 2 {
            return None;
        }
        self.is_told = true;
        sides.sort_by_key(|side| Reverse(side.voters.len()));
        sides.truncate(MAX_TOLD);
        Some(sides)
    }
}

impl Session {
    /// A client has replayed the log, and has come to what it voted for.
    pub(crate) fn confirm(&mut self, turn: &mut Turn<'_>, voter: Arrival, seq: u64) {
        let Some(ended) = self.ballot.ended(seq) else { return };
        if !ended.confirm(voter) {
            return;
        }
        let contradicts = ended.contradicts(voter);
        self.tell_disagreement(turn, seq);
        if !contradicts {
            return;
        }
        self.ballot.is_disputed(turn.now);
        if self.ballot.wanted.take_if(|wanted| wanted.verdict.seq == seq).is_some() {
            // The log stays, so that newcomers can find out for themselves.
            self.no_snapshot_comes(turn);
        }
        if self.ballot.may_check(turn)
            && let Some(ended) = self.ballot.ended(seq)
        {
            let majority = ended.ask_majority(turn.now + turn.config.vote_timeout);
            self.tell_diverged(turn, seq, &majority);
        }
    }

    /// Majorities had time to check their states.
    pub(super) fn answers_are_due(&mut self, turn: &mut Turn<'_>) {
        while let Some(seq) = self.ballot.unanswered(turn.now) {
            self.tell_disagreement(turn, seq);
        }
    }

    /// Tells all clients if two programs compute different things, as far as is known by now.
    pub(super) fn tell_disagreement(&mut self, turn: &mut Turn<'_>, seq: u64) {
        let Some(ended) = self.ballot.ended(seq) else { return };
        let Some(sides) = ended.take_disagreement(turn.now) else { return };
        let sides: Vec<_> = sides.iter().map(|side| (side.hash, side.voters.clone())).collect();
        let told = |(hash, voters): &(Digest, Vec<Arrival>)| {
            let mut agents = Vec::new();
            for agent in voters.iter().filter_map(|voter| self.views.get(*voter)).map(View::agent) {
                if !agents.contains(&agent) && agents.len() < MAX_TOLD {
                    agents.push(agent);
                }
            }
            let clients = u32::try_from(voters.len()).unwrap_or(u32::MAX);
            Told { hash: *hash, clients, agents }
        };
        let sides = sides.iter().map(told).collect();
        tracing::warn!(session = %self.id, seq, "two programs compute different things");
        let message = ServerMessage::Disagreement(Disagreement { seq, sides }).encode();
        self.broadcast(turn, message.into());
    }

    /// Asks for the snapshot of a vote once all that contradicted have checked theirs, or could have.
    pub(super) fn take_wanted(&mut self, turn: &mut Turn<'_>) {
        let is_ready =
            |wanted: &mut Wanted| wanted.unchecked.is_empty() || turn.now >= wanted.deadline;
        let Some(wanted) = self.ballot.wanted.take_if(is_ready) else { return };
        let Wanted { verdict, time, majority, .. } = wanted;
        let Some(hash) = verdict.hash else { return };
        let deadline = turn.now + turn.config.upload_timeout;
        self.ballot.upload = Upload::new(verdict.seq, time, hash, majority, deadline);
        self.ask_for_upload(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn ended(hash: Option<Digest>, votes: &[(Arrival, Digest)]) -> Ended {
        Ended::new(Verdict { seq: 7, hash, agreed: 0, of: 0 }, votes)
    }

    fn told(ended: &mut Ended, now: u64) -> Option<Vec<(Digest, usize)>> {
        let sides = ended.take_disagreement(now)?;
        Some(sides.iter().map(|side| (side.hash, side.voters.len())).collect())
    }

    #[test]
    fn both_sides_must_confirm() {
        for hash in [None, Some(A)] {
            let mut vote = ended(hash, &[(0, B), (1, A), (2, A)]);
            assert!(!vote.confirm(5), "it has not voted");
            assert!(vote.confirm(0) && vote.confirm(0));
            assert_eq!(told(&mut vote, 0), None);
            assert!(vote.confirm(2));
            assert_eq!(told(&mut vote, 0), Some(vec![(A, 2), (B, 1)]));
            assert!(vote.confirm(1));
            assert_eq!(told(&mut vote, 0), None, "they know it");
        }
    }

    #[test]
    fn a_majority_that_does_not_answer_in_time_goes_on_with_what_it_has() {
        let mut vote = ended(Some(A), &[(0, B), (1, A), (2, A)]);
        assert!(vote.confirm(0) && vote.contradicts(0) && !vote.contradicts(1));
        assert_eq!(vote.ask_majority(10), [1, 2]);
        assert_eq!(vote.ask_majority(20), [], "once");
        assert_eq!((told(&mut vote, 9), vote.answers_by()), (None, Some(10)));
        assert_eq!(told(&mut vote, 10), Some(vec![(A, 2), (B, 1)]));
        assert_eq!(vote.answers_by(), None);
    }

    #[test]
    fn a_majority_that_gives_up_its_state_does_not_disagree() {
        let mut vote = ended(Some(A), &[(0, B), (1, A), (2, A)]);
        assert!(vote.confirm(0));
        assert_eq!(vote.ask_majority(10), [1, 2]);
        (1..=2).for_each(|voter| vote.gone(voter));
        assert_eq!(told(&mut vote, 10), None);
    }
}
