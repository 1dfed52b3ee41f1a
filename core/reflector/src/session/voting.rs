//! The votes of a session, and the snapshots that follow from them.

use teatime_wire::{
    CloseReason, Digest, Envelope, Hold, Holding, NotPersisted, ServerMessage, SnapshotPart,
    VoteRequest,
};

use super::{Refusal, Session, Turn, is_brimful};
use crate::Output;
use crate::config::Config;
use crate::journal::Checkpoint;
use crate::upload::{Added, Upload};
use crate::views::{Arrival, View};
use crate::vote::Vote;

/// So many times the pause between votes for what is persisted is doubled if they come to nothing: who cannot be
/// saved costs a vote every twenty seconds, and who can again does not wait for longer than that.
const PATIENCE: u32 = 2;

impl Session {
    #[cold]
    pub(super) fn log_has_grown(&mut self, turn: &mut Turn<'_>) {
        if !self.held && self.log.bytes() >= turn.config.log_limit_bytes {
            self.held = true;
            self.views.all_held();
            tracing::warn!(session = %self.id, "the log is full: senders are held back");
            self.broadcast(turn, ServerMessage::Hold(Hold::Pause).encode().into());
        }
        if self.vote.is_none() && self.upload.is_none() && turn.now >= self.next_own_vote {
            self.next_own_vote = turn.now + self.pause_between_votes(turn.config);
            self.begin_vote(turn, true);
        }
    }

    /// A session that has gone on for long needs a new snapshot.
    pub(super) fn hold_regular_vote(&mut self, turn: &mut Turn<'_>) {
        if self.told >= self.next_regular_vote && self.vote.is_none() && self.upload.is_none() {
            self.next_regular_vote = self.told.saturating_add(turn.config.snapshot_after_time);
            self.begin_vote(turn, true);
        }
    }

    /// A client asks for a vote. Held at once, or when the one before is over and the least
    /// interval has passed.
    pub(crate) fn request_vote(&mut self, turn: &mut Turn<'_>) {
        self.vote_asked = true;
        self.hold_asked_vote(turn);
    }

    pub(super) fn hold_asked_vote(&mut self, turn: &mut Turn<'_>) {
        // First, for it is rarely due, and whoever asks again and again must not keep it off.
        self.hold_persist_vote(turn);
        if self.vote_asked && self.vote.is_none() && turn.now >= self.next_asked_vote {
            self.vote_asked = false;
            let held = self.held.then(|| self.pause_between_votes(turn.config));
            self.next_asked_vote = turn.now + held.unwrap_or(turn.config.vote_interval);
            // Who asks may be the first, and not announced yet.
            self.vote_asked = !self.begin_vote(turn, self.held);
        }
    }

    /// A client says that what is persisted is another than at the newest snapshot. A vote that leads to
    /// one is held at once, or when the interval since the last such vote has passed.
    pub(crate) fn persist(&mut self, turn: &mut Turn<'_>) {
        self.persist_wanted = true;
        self.hold_persist_vote(turn);
    }

    pub(super) fn hold_persist_vote(&mut self, turn: &mut Turn<'_>) {
        if self.persist_vote_at().is_some_and(|at| turn.now >= at) {
            // It stays wanted until there is a snapshot.
            self.begin_vote(turn, true);
            let pause = self.persist_pause(turn.config);
            self.next_persist = turn.now + (pause << self.persist_failures.min(PATIENCE));
            self.persist_failures += 1;
        }
    }

    /// When a vote is to be held because of what is persisted.
    pub(super) fn persist_vote_at(&self) -> Option<u64> {
        let is_free = self.vote.is_none() && self.upload.is_none();
        (self.persist_wanted && is_free).then_some(self.next_persist)
    }

    /// Time between such votes: for every byte of a snapshot a µs more.
    fn persist_pause(&self, config: &Config) -> u64 {
        config.persist_interval + self.log.snapshot().map_or(0, |(info, _)| info.size)
    }

    /// What was persisted at the vote with this number is kept.
    pub(crate) fn persisted(&mut self, turn: &mut Turn<'_>, seq: u64) {
        self.keep_failed = false;
        self.broadcast(turn, ServerMessage::Persisted(seq).encode().into());
    }

    /// What was persisted at the vote with this number is not kept.
    pub(crate) fn tell_not_persisted(
        &mut self,
        turn: &mut Turn<'_>,
        seq: u64,
        failure: Option<&str>,
    ) {
        let message = ServerMessage::NotPersisted(NotPersisted { seq, failure });
        self.broadcast(turn, message.encode().into());
    }

    /// What was persisted could not be kept: it is tried again.
    pub(crate) fn not_persisted(&mut self, turn: &Turn<'_>) {
        (self.persist_wanted, self.keep_failed) = (true, true);
        self.persist_failures = self.persist_failures.max(1) + 1;
        let pause = self.persist_pause(turn.config) << self.persist_failures.min(PATIENCE);
        self.next_persist = self.next_persist.max(turn.now + pause);
    }

    /// Requests for votes go to the log, too.
    fn pause_between_votes(&self, config: &Config) -> u64 {
        config.vote_retry * if is_brimful(&self.log, config) { 12 } else { 1 }
    }

    /// Asks everybody to vote; false if there is nobody.
    fn begin_vote(&mut self, turn: &mut Turn<'_>, for_snapshot: bool) -> bool {
        let who = |wanted: fn(&View) -> bool| -> Vec<_> {
            let views = self.views.iter().filter(|(_, view)| wanted(view));
            views.map(|(arrival, _)| arrival).collect()
        };
        let (mut asked, mut present) =
            (who(|view| view.counts() && view.connection.is_some()), who(View::counts).len());
        if asked.is_empty() {
            // Whoever votes again counts again.
            asked = who(|view| view.announced && view.connection.is_some());
            present = self.views.announced();
        }
        if asked.is_empty() {
            return false;
        }
        let (seq, time) = self.next_position(turn.now);
        let deadline = turn.now + turn.config.vote_timeout;
        // In place before the request is ordered: a full log must not ask for another one.
        self.vote = Some(Vote::new(seq, time, deadline, for_snapshot, asked, present));
        self.order(turn, &ServerMessage::VoteRequest(VoteRequest { seq, time }));
        true
    }

    pub(crate) fn cast(&mut self, turn: &mut Turn<'_>, voter: Arrival, seq: u64, hash: Digest) {
        if let Some(vote) = self.vote.as_mut().filter(|vote| vote.seq == seq) {
            vote.cast(voter, hash);
            if let Some(view) = self.views.get_mut(voter) {
                view.missed = 0;
            }
            self.conclude_vote(turn);
        }
    }

    pub(super) fn conclude_vote(&mut self, turn: &mut Turn<'_>) {
        let over = |vote: &mut Vote| vote.is_complete() || turn.now >= vote.deadline;
        let Some(vote) = self.vote.take_if(over) else { return };
        for arrival in vote.silent() {
            if let Some(view) = self.views.get_mut(arrival) {
                view.missed = view.missed.saturating_add(1);
            }
        }
        let mut outcome = vote.count();
        // The fastest first, but rather somebody who has not failed before.
        let failed = |arrival: &Arrival| self.views.get(*arrival).map_or(0, |view| view.failed);
        outcome.majority.sort_by_key(failed);
        let (verdict, seq) = (outcome.verdict, vote.seq);
        tracing::debug!(session = %self.id, ?verdict, "a vote ended");
        self.broadcast(turn, ServerMessage::Verdict(verdict).encode().into());
        let heals = !outcome.doubtful.is_empty() && turn.now >= self.next_healing;
        if heals {
            // A liar must not keep everybody busy.
            self.next_healing = turn.now + turn.config.vote_retry;
        }
        let Some(hash) = verdict.hash else {
            if heals {
                self.tell_diverged(turn, seq, &outcome.doubtful);
            }
            return;
        };
        if self.upload.is_none() && (vote.for_snapshot || heals) {
            let deadline = turn.now + turn.config.upload_timeout;
            self.upload = Upload::new(seq, vote.time, hash, outcome.majority, deadline);
            // Those who come back find the majority's state, not one that led to another before.
            self.diverged = Some((seq, outcome.doubtful));
            self.ask_for_upload(turn);
        } else {
            self.tell_diverged(turn, seq, &outcome.doubtful);
        }
    }

    /// Tells those whose state may be wrong.
    fn tell_diverged(&mut self, turn: &mut Turn<'_>, seq: u64, who: &[Arrival]) {
        for arrival in who {
            if let Some(connection) = self.views.get_mut(*arrival).and_then(|v| v.connection) {
                tracing::warn!(session = %self.id, seq, "a client may have diverged");
                let frame = ServerMessage::Diverged(seq).encode().into();
                turn.out.push_back(Output::Send { connection, frame });
            }
        }
    }

    /// There is a snapshot, or there will be none.
    fn upload_is_over(&mut self, turn: &mut Turn<'_>) {
        if let Some((seq, who)) = self.diverged.take() {
            self.tell_diverged(turn, seq, &who);
        }
    }

    /// Asks whoever is next for the snapshot; skips those who are gone.
    fn ask_for_upload(&mut self, turn: &mut Turn<'_>) {
        while let Some(upload) = self.upload.take() {
            let seq = upload.seq;
            let view = self.views.get_mut(upload.from);
            match view.and_then(|view| Some((view.connection?, view))) {
                Some((connection, view)) => {
                    view.asked_for = Some(seq);
                    let frame = ServerMessage::SnapshotWanted(seq).encode().into();
                    turn.out.push_back(Output::Send { connection, frame });
                    self.upload = Some(upload);
                    return;
                }
                None => self.upload = upload.next(turn.now + turn.config.upload_timeout),
            }
        }
        self.next_own_vote = self.next_own_vote.max(turn.now + turn.config.vote_retry);
        self.upload_is_over(turn);
    }

    pub(super) fn give_up_uploader(&mut self, turn: &mut Turn<'_>) {
        if let Some(upload) = self.upload.take() {
            if let Some(view) = self.views.get_mut(upload.from) {
                view.failed = view.failed.saturating_add(1);
            }
            tracing::debug!(session = %self.id, "an upload of a snapshot came to nothing");
            self.upload = upload.next(turn.now + turn.config.upload_timeout);
            self.ask_for_upload(turn);
        }
    }

    /// Takes a part of the snapshot from whoever was asked for it.
    pub(crate) fn snapshot_part(
        &mut self,
        turn: &mut Turn<'_>,
        from: Arrival,
        part: &SnapshotPart<'_>,
    ) -> Result<(), Refusal> {
        let asked = self.views.get_mut(from).and_then(|view| view.asked_for) == Some(part.seq);
        let expected = |upload: &&mut Upload| upload.from == from && upload.seq == part.seq;
        let Some(upload) = self.upload.as_mut().filter(expected) else {
            // What somebody sends on who was too slow is merely of no use any more.
            let refusal = (CloseReason::OutOfOrder, "a snapshot that nobody asked for".into());
            return if asked { Ok(()) } else { Err(refusal) };
        };
        let Config { upload_timeout, send_limits, .. } = turn.config;
        match upload.add(part, send_limits.max_snapshot, turn.now, *upload_timeout) {
            Added::More => Ok(()),
            Added::Complete => {
                self.accept_snapshot(turn);
                Ok(())
            }
            Added::Wrong => {
                self.give_up_uploader(turn);
                let detail = "a snapshot that does not fit, or is not what was voted for".into();
                Err((CloseReason::OutOfOrder, detail))
            }
        }
    }

    fn accept_snapshot(&mut self, turn: &mut Turn<'_>) {
        let Some((info, parts)) = self.upload.take().map(Upload::finish) else { return };
        tracing::info!(session = %self.id, seq = info.seq, bytes = info.size, "a new snapshot");
        let envelope = Envelope::open(&parts).ok().map(|(_, envelope)| envelope);
        let info_time = info.time;
        let roots = self.own_roots(envelope.as_ref());
        turn.out.extend(roots.map(|roots| self.holds(Holding::Snapshot(roots))));
        (self.begun_with, self.is_used) = (None, true);
        if let Some(part) = envelope.and_then(|envelope| envelope.persisted) {
            self.to_keep = Some(self.kept(info.seq, part));
            (self.persist_wanted, self.persist_failures) = (false, 0);
        }
        self.log.replace_by(info, &parts);
        let time = self.told.max(self.stored.time());
        let (newest, views) = (self.log.newest(), &self.views);
        turn.journal.checkpoint(self.key, self.id, || {
            let parts = parts.into_iter().map(serde_bytes::ByteBuf::from).collect();
            let mut checkpoint = Checkpoint::new(info, parts, newest, time);
            (checkpoint.views, checkpoint.departed) = views.store();
            checkpoint
        });
        self.next_own_vote = turn.now;
        self.next_regular_vote = info_time.saturating_add(turn.config.snapshot_after_time);
        if self.held && self.log.bytes() < turn.config.log_limit_bytes {
            self.held = false;
            self.broadcast(turn, ServerMessage::Hold(Hold::Resume).encode().into());
        }
        self.upload_is_over(turn);
    }

    /// What is told of it to whoever keeps the blobs of its room.
    pub(crate) fn holds(&self, holding: Holding) -> Output {
        Output::References { session: self.id, room: self.room.id, holding }
    }

    /// To which blobs of its room a snapshot refers. `None` if its envelope is of another room.
    pub(super) fn own_roots(&self, envelope: Option<&Envelope>) -> Option<Vec<Digest>> {
        let Some(Envelope { space, roots, .. }) = envelope else { return Some(Vec::new()) };
        (*space == self.room.id).then(|| roots.clone())
    }
}
