//! A vote on the state hash: which views were asked, what they said, how it ended.

use std::collections::{BTreeSet, HashMap};

use teatime_wire::{Digest, Verdict};

use crate::view::Arrival;

/// An open vote.
#[derive(Debug)]
pub(crate) struct Vote {
    seq: u64,
    /// The session's time at it.
    time: u64,
    /// When it ends at the latest, on the driver's clock.
    deadline: u64,
    /// Whether a snapshot is wanted from the majority.
    for_snapshot: bool,
    asked: BTreeSet<Arrival>,
    /// Those of them that have voted.
    voted: BTreeSet<Arrival>,
    /// How many views the models know, including those whose connection is broken: a view that is alone for a moment is
    /// not a majority.
    present: usize,
    /// In the order of their coming.
    votes: Vec<(Arrival, Digest)>,
}

/// How a vote ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// The views that voted with the majority, the fastest first. Empty without a majority.
    pub(crate) majority: Vec<Arrival>,
    /// The views whose state may be wrong: those that voted against the majority. Without a majority, and if not all said
    /// the same, all that voted.
    pub(crate) doubtful: Vec<Arrival>,
}

impl Vote {
    pub(crate) fn new(
        seq: u64,
        time: u64,
        deadline: u64,
        for_snapshot: bool,
        asked: Vec<Arrival>,
        present: usize,
    ) -> Self {
        let (asked, voted, votes) = (asked.into_iter().collect(), BTreeSet::new(), Vec::new());
        Self { seq, time, deadline, for_snapshot, asked, voted, present, votes }
    }

    /// Its position in the order.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The session's time at it, in µs.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// When it ends at the latest, on the driver's clock.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Whether a snapshot is wanted from the majority.
    pub(crate) fn is_for_snapshot(&self) -> bool {
        self.for_snapshot
    }

    /// Takes a vote. Only the first one of each view that was asked counts.
    pub(crate) fn cast(&mut self, voter: Arrival, hash: Digest) {
        if self.asked.contains(&voter) && self.voted.insert(voter) {
            self.votes.push((voter, hash));
        }
    }

    /// A view is gone: if it has not voted it no longer counts.
    pub(crate) fn gone(&mut self, voter: Arrival) {
        if !self.voted.contains(&voter) {
            self.asked.remove(&voter);
        }
    }

    /// The votes, in the order of their coming.
    pub(crate) fn votes(&self) -> &[(Arrival, Digest)] {
        &self.votes
    }

    /// The views that were asked, are there, and have not voted.
    pub(crate) fn silent(&self) -> impl Iterator<Item = Arrival> + '_ {
        self.asked.difference(&self.voted).copied()
    }

    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.is_complete() || now >= self.deadline
    }

    fn is_complete(&self) -> bool {
        self.votes.len() >= self.asked.len()
    }

    /// Counts. The majority is more than half of all that were there when it began, whether they could be asked
    /// or not: a silent view counts against all others.
    pub(crate) fn count(&self) -> Outcome {
        let mut counts = HashMap::new();
        for (_, hash) in &self.votes {
            *counts.entry(hash.0).or_insert(0) += 1;
        }
        let best = self.votes.iter().map(|(_, hash)| (*hash, counts[&hash.0]));
        // Of equally large groups the one that voted first. It is never a majority.
        let best = best.reduce(|best, other| if other.1 > best.1 { other } else { best });
        let (hash, agreed) = best.unwrap_or((Digest([0; 32]), 0));
        let all = self.asked.len().max(self.present);
        let decided = agreed * 2 > all;
        let unanimous = agreed == self.votes.len();
        let who = |wanted: &dyn Fn(bool) -> bool| {
            let votes = self.votes.iter().filter(|(_, other)| wanted(*other == hash));
            votes.map(|(voter, _)| *voter).collect()
        };
        Outcome {
            verdict: Verdict {
                seq: self.seq,
                hash: decided.then_some(hash),
                agreed: u32::try_from(agreed).unwrap_or(u32::MAX),
                of: u32::try_from(all).unwrap_or(u32::MAX),
            },
            majority: who(&|agrees| decided && agrees),
            doubtful: who(&|agrees| if decided { !agrees } else { !unanimous }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn vote(asked: u64, votes: &[(Arrival, Digest)]) -> Vote {
        let mut vote = Vote::new(7, 0, 0, false, (0..asked).collect(), 0);
        votes.iter().for_each(|(voter, hash)| vote.cast(*voter, *hash));
        vote
    }

    #[test]
    fn the_majority_is_more_than_half_of_all_views_that_were_asked() {
        let outcome = vote(3, &[(2, A), (0, B), (1, A)]).count();
        assert_eq!(outcome.verdict, Verdict { seq: 7, hash: Some(A), agreed: 2, of: 3 });
        assert_eq!((outcome.majority, outcome.doubtful), (vec![2, 1], vec![0]));
        let silent = vote(4, &[(0, A), (1, A)]).count();
        assert_eq!(silent.verdict.hash, None);
        assert_eq!((silent.majority, silent.doubtful), (vec![], vec![]));
        let empty = vote(1, &[]).count();
        assert_eq!((empty.verdict.hash, empty.doubtful), (None, vec![]));
    }

    #[test]
    fn without_a_majority_all_voters_are_in_doubt() {
        let tie = vote(2, &[(0, A), (1, B)]).count();
        assert_eq!(tie.verdict, Verdict { seq: 7, hash: None, agreed: 1, of: 2 });
        assert_eq!((tie.majority, tie.doubtful), (vec![], vec![0, 1]));
        // Half of four is not a majority, and neither are two of four if one is silent.
        let halves = vote(4, &[(3, A), (0, B), (1, A), (2, B)]).count();
        assert_eq!((halves.verdict.hash, halves.majority), (None, vec![]));
        assert_eq!(halves.doubtful, [3, 0, 1, 2]);
        let most = vote(4, &[(3, A), (0, B), (1, A)]).count();
        assert_eq!((most.verdict.hash, most.doubtful), (None, vec![3, 0, 1]));
    }

    #[test]
    fn a_view_that_is_left_over_for_a_moment_is_not_a_majority() {
        let verdict = |present, votes: &[(Arrival, Digest)]| {
            let mut vote = Vote::new(7, 0, 0, true, vec![0, 1], present);
            votes.iter().for_each(|(voter, hash)| vote.cast(*voter, *hash));
            vote.gone(1);
            let outcome = vote.count();
            (outcome.verdict.hash, outcome.majority)
        };
        assert_eq!(verdict(2, &[(0, A)]), (None, vec![]));
        assert_eq!(verdict(4, &[(0, A), (1, A)]), (None, vec![]));
        assert_eq!(verdict(3, &[(0, A), (1, A)]), (Some(A), vec![0, 1]));
    }

    #[test]
    fn each_view_that_was_asked_has_one_vote() {
        let mut vote = vote(2, &[(0, A), (0, A), (5, A)]);
        assert!(!vote.is_complete());
        vote.gone(0);
        assert!(!vote.is_complete());
        vote.gone(1);
        assert!(vote.is_complete());
        assert_eq!(vote.count().verdict, Verdict { seq: 7, hash: Some(A), agreed: 1, of: 1 });
    }
}
