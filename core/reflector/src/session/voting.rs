//! The votes of a session.

use std::collections::VecDeque;

use teatime_wire::{Digest, Hold, ServerMessage, Verdict, VoteRequest};

use super::dispute::{Ended, Wanted};
use super::flow::Reason;
use super::{Session, Turn};
use crate::config::Config;
use crate::upload::Upload;
use crate::view::Arrival;
use crate::view::View;
use crate::vote::Vote;

/// Number of votes whose verdicts late votes are compared with. A client that was away for longer answers the newer ones as
/// well.
const RECENT_VOTES: usize = 8;

/// The votes of a session, and the upload that follows from one.
#[derive(Debug)]
pub(super) struct Ballot {
    vote: Option<Vote>,
    /// The newest votes that have ended, the oldest first.
    ended: VecDeque<Ended>,
    /// The snapshot of the newest of them.
    pub(super) wanted: Option<Wanted>,
    pub(super) upload: Option<Upload>,
    /// Since when clients have confirmed states that contradict the majority.
    disputed_since: Option<u64>,
    /// Clients ask for a vote.
    asked: Asked,
    /// Before this time, a vote without a majority costs the voters nothing.
    next_check: u64,
    /// No vote because of the log before this time.
    next_own_vote: u64,
    /// No vote that clients ask for before this time.
    next_asked_vote: u64,
    /// On the clock of the session: when the next vote is due because of its age.
    next_regular_vote: u64,
}

/// Whether a client has asked for a vote that has not begun yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

impl Ballot {
    pub(super) fn new(next_regular_vote: u64) -> Self {
        Self {
            vote: None,
            ended: VecDeque::new(),
            wanted: None,
            upload: None,
            disputed_since: None,
            asked: Asked::No,
            next_check: 0,
            next_own_vote: 0,
            next_asked_vote: 0,
            next_regular_vote,
        }
    }

    /// Neither a vote nor an upload is under way.
    pub(super) fn is_free(&self) -> bool {
        self.vote.is_none() && self.wanted.is_none() && self.upload.is_none()
    }

    /// The session has a snapshot of this time, on its own clock.
    pub(super) fn snapshot_was_at(&mut self, time: u64, config: &Config) {
        self.next_regular_vote = time.saturating_add(config.snapshot_after_time);
    }

    /// The log has room again: the next vote because of it may be soon.
    pub(super) fn may_vote_from(&mut self, now: u64) {
        self.next_own_vote = now;
    }

    pub(super) fn no_own_vote_before(&mut self, time: u64) {
        self.next_own_vote = self.next_own_vote.max(time);
    }

    /// This vote, if it is one of the newest that have ended.
    pub(super) fn ended(&mut self, seq: u64) -> Option<&mut Ended> {
        self.ended.iter_mut().find(|ended| ended.verdict().seq == seq)
    }

    /// A vote in which the majority had to answer by now.
    pub(super) fn unanswered(&self, now: u64) -> Option<u64> {
        let is_due = |ended: &&Ended| ended.answers_by().is_some_and(|by| now >= by);
        self.ended.iter().find(is_due).map(|ended| ended.verdict().seq)
    }

    fn remember(&mut self, ended: Ended) {
        if self.ended.len() == RECENT_VOTES {
            self.ended.pop_front();
        }
        self.ended.push_back(ended);
    }

    /// A client has confirmed a state that contradicts a majority, or another client.
    pub(super) fn is_disputed(&mut self, now: u64) {
        self.disputed_since.get_or_insert(now);
    }

    /// Whether all voters may be asked to check their states: rarely, so that a liar does not keep them busy.
    pub(super) fn may_check(&mut self, turn: &Turn<'_>) -> bool {
        let may = turn.now >= self.next_check;
        if may {
            self.next_check = turn.now + turn.config.vote_retry;
        }
        may
    }

    /// A view is gone, or begins again.
    pub(super) fn gone(&mut self, arrival: Arrival) {
        if let Some(vote) = &mut self.vote {
            vote.gone(arrival);
        }
        if let Some(wanted) = &mut self.wanted {
            wanted.unchecked.retain(|unchecked| *unchecked != arrival);
        }
        self.ended.iter_mut().for_each(|ended| ended.gone(arrival));
    }

    /// All clients have left.
    pub(super) fn rest(&mut self) {
        (self.vote, self.wanted, self.upload) = (None, None, None);
        self.ended.clear();
        self.disputed_since = None;
        self.asked = Asked::No;
    }

    pub(super) fn next_timeout(&self) -> Option<u64> {
        let is_asked = self.asked == Asked::Yes && self.vote.is_none();
        let answers = self.ended.iter().filter_map(Ended::answers_by).min();
        let times = [
            answers,
            self.vote.as_ref().map(Vote::deadline),
            self.wanted.as_ref().map(|wanted| wanted.deadline),
            self.upload.as_ref().map(Upload::deadline),
            is_asked.then_some(self.next_asked_vote),
        ];
        times.into_iter().flatten().min()
    }
}

impl Session {
    #[cold]
    pub(super) fn log_has_grown(&mut self, turn: &mut Turn<'_>) {
        self.limit_history(turn.config);
        let is_full = self.log.bytes() >= self.log_limit(turn.config);
        if is_full && !self.flow.is_held_by(Reason::LogFull) {
            self.flow.hold(Reason::LogFull);
            self.views.all_held();
            tracing::warn!(session = %self.id, "the log is full: senders are held back");
            self.tell_hold(turn, Hold::Pause);
        }
        if self.ballot.is_free() && turn.now >= self.ballot.next_own_vote {
            self.ballot.next_own_vote = turn.now + self.pause_between_votes(turn.config);
            self.begin_vote(turn, true);
        }
    }

    /// Begins and ends what is due.
    pub(super) fn votes_are_due(&mut self, turn: &mut Turn<'_>) {
        self.conclude_vote(turn);
        self.take_wanted(turn);
        self.answers_are_due(turn);
        self.hold_asked_vote(turn);
        self.hold_regular_vote(turn);
        if self.ballot.upload.as_ref().is_some_and(|upload| turn.now >= upload.deadline()) {
            self.give_up_uploader(turn);
        }
    }

    /// A session that has gone on for long needs a new snapshot.
    fn hold_regular_vote(&mut self, turn: &mut Turn<'_>) {
        let told = self.time.told();
        if told >= self.ballot.next_regular_vote && self.ballot.is_free() {
            self.ballot.snapshot_was_at(told, turn.config);
            self.begin_vote(turn, true);
        }
    }

    /// A client asks for a vote. It begins at once, or when the one before is over and the least interval has passed.
    pub(crate) fn request_vote(&mut self, turn: &mut Turn<'_>) {
        self.ballot.asked = Asked::Yes;
        self.hold_asked_vote(turn);
    }

    fn hold_asked_vote(&mut self, turn: &mut Turn<'_>) {
        // First, because it is rarely due, and clients that ask again and again must not keep it off.
        self.hold_persist_vote(turn);
        let ballot = &mut self.ballot;
        let is_due = ballot.vote.is_none() && turn.now >= ballot.next_asked_vote;
        if ballot.asked == Asked::Yes && is_due {
            let needs_room = self.flow.is_held_by(Reason::LogFull);
            let held = needs_room.then(|| self.pause_between_votes(turn.config));
            self.ballot.next_asked_vote = turn.now + held.unwrap_or(turn.config.vote_interval);
            // The client may be the first, and not announced yet.
            let has_begun = self.begin_vote(turn, needs_room);
            self.ballot.asked = if has_begun { Asked::No } else { Asked::Yes };
        }
    }

    /// Requests for votes go to the log, too.
    fn pause_between_votes(&self, config: &Config) -> u64 {
        config.vote_retry * if self.is_brimful(config) { 12 } else { 1 }
    }

    /// Asks all views to vote. Returns whether any could be asked.
    pub(super) fn begin_vote(&mut self, turn: &mut Turn<'_>, for_snapshot: bool) -> bool {
        let views = |wanted: fn(&View) -> bool| -> Vec<_> {
            let views = self.views.iter().filter(|(_, view)| wanted(view));
            views.map(|(arrival, _)| arrival).collect()
        };
        let (mut asked, mut present) =
            (views(|view| view.counts() && view.is_connected()), views(View::counts).len());
        if asked.is_empty() {
            // A view that votes again counts again.
            asked = views(|view| view.is_announced() && view.is_connected());
            present = self.views.announced();
        }
        if asked.is_empty() {
            return false;
        }
        let (seq, time) = self.next_position(turn.now);
        let deadline = turn.now + turn.config.vote_timeout;
        // In place before the request is ordered: a full log must not ask for another one.
        self.ballot.vote = Some(Vote::new(seq, time, deadline, for_snapshot, asked, present));
        self.order(turn, &ServerMessage::VoteRequest(VoteRequest { seq, time }));
        true
    }

    pub(crate) fn cast(&mut self, turn: &mut Turn<'_>, voter: Arrival, seq: u64, hash: Digest) {
        let Some(view) = self.views.get_mut(voter) else { return };
        if view.has_answered(seq) {
            return;
        }
        if let Some(vote) = self.ballot.vote.as_mut().filter(|vote| vote.seq() == seq) {
            vote.cast(voter, hash);
            view.mark_voted(seq);
            self.conclude_vote(turn);
        } else if let Some(ended) = self.ballot.ended(seq) {
            view.mark_voted(seq);
            ended.add(voter, hash);
            let verdict = ended.verdict();
            self.answer_late_vote(turn, voter, verdict, hash);
        }
    }

    /// A vote came after the verdict. The client counts in the next vote, and learns now if it was wrong.
    fn answer_late_vote(
        &mut self,
        turn: &mut Turn<'_>,
        voter: Arrival,
        verdict: Verdict,
        hash: Digest,
    ) {
        if verdict.hash.is_none_or(|right| right == hash) {
            return;
        }
        // It may have read the verdict before it reached the vote.
        if let Some(connection) = self.views.get(voter).and_then(View::connection) {
            self.send_to(turn, connection, &ServerMessage::Verdict(verdict));
        }
        self.tell_diverged(turn, verdict.seq, &[voter]);
    }

    /// A view is gone: the vote goes on without it, and another one may have to upload.
    pub(super) fn gone_from_ballot(&mut self, turn: &mut Turn<'_>, arrival: Arrival) {
        self.ballot.gone(arrival);
        self.take_wanted(turn);
        if self.ballot.upload.as_ref().is_some_and(|upload| upload.from() == arrival) {
            self.give_up_uploader(turn);
        }
    }

    pub(super) fn conclude_vote(&mut self, turn: &mut Turn<'_>) {
        let Some(vote) = self.ballot.vote.take_if(|vote| vote.is_over(turn.now)) else { return };
        for arrival in vote.silent() {
            if let Some(view) = self.views.get_mut(arrival) {
                view.mark_missed();
            }
        }
        let mut outcome = vote.count();
        // The fastest first, but views that have failed before come last.
        let failed = |arrival: &Arrival| self.views.get(*arrival).map_or(0, View::failed);
        outcome.majority.sort_by_key(failed);
        let (verdict, seq) = (outcome.verdict, vote.seq());
        tracing::debug!(session = %self.id, ?verdict, "a vote ended");
        self.ballot.remember(Ended::new(verdict, vote.votes()));
        self.broadcast(turn, ServerMessage::Verdict(verdict).encode().into());
        if outcome.doubtful.is_empty() && verdict.hash.is_some() {
            self.ballot.disputed_since = None;
        }
        if verdict.hash.is_none() {
            if !outcome.doubtful.is_empty() && self.ballot.may_check(turn) {
                self.tell_diverged(turn, seq, &outcome.doubtful);
            }
            return;
        }
        self.tell_diverged(turn, seq, &outcome.doubtful);
        let is_free = self.ballot.upload.is_none() && self.ballot.wanted.is_none();
        if vote.is_for_snapshot() && is_free {
            self.ballot.wanted = Some(Wanted {
                verdict,
                time: vote.time(),
                majority: outcome.majority,
                unchecked: if self.needs_snapshot(turn) { Vec::new() } else { outcome.doubtful },
                deadline: turn.now + turn.config.vote_timeout,
            });
            self.take_wanted(turn);
        }
    }

    /// Whether the session takes the snapshot of a majority although others contradict: otherwise a single client could
    /// keep the log full, and what was persisted from being stored.
    fn needs_snapshot(&self, turn: &Turn<'_>) -> bool {
        let limit = turn.config.dispute_limit;
        let is_long = |since: u64| turn.now.saturating_sub(since) >= limit;
        self.flow.is_held_by(Reason::LogFull) || self.ballot.disputed_since.is_some_and(is_long)
    }

    /// Tells views that their state may be wrong.
    pub(super) fn tell_diverged(&mut self, turn: &mut Turn<'_>, seq: u64, views: &[Arrival]) {
        for arrival in views {
            if let Some(connection) = self.views.get(*arrival).and_then(View::connection) {
                tracing::warn!(session = %self.id, seq, "a client may have diverged");
                self.send_to(turn, connection, &ServerMessage::Diverged(seq));
            }
        }
    }
}
