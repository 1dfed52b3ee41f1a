//! Votes, and what this client does when its state may be wrong: it finds out, saves the evidence, and loads the
//! right state.
//!
//! 1. A majority is believed. A client that it outvoted saves its state for the evidence, and joins from scratch.
//! 2. Without a majority no state is believed, not even the client's own. Every voter replays the log from the
//!    newest state that was believed. Does it come to the state that it voted for, it was right: it goes on, and its
//!    views notice nothing. Does it come to another, it was wrong.
//! 3. A client without the recording that a replay needs loads the log from the reflector.

use std::sync::Arc;

use teatime_vm::{Fault, FaultKind, StateHash, Time, Vm};
use teatime_wire::{ClientMessage, Digest, Verdict, Vote};

use super::Client;
use super::ballot::Ballot;
use super::healing::{Doubt, Ground, Replay};
use super::voting::Finding;
use crate::envelope::{Contents, HandedIn};
use crate::event::{Action, DisconnectReason, SessionEvent};
use crate::limits::SNAPSHOT_PARTS_PER_STEP;

impl Client {
    /// Votes on the state as it stands now, right after the vote was simulated.
    pub(super) fn cast_vote(&mut self, seq: u64, time: u64) {
        let Some(vm) = self.model.vm_mut() else { return };
        let state = match vm.checkpoint() {
            Ok(state) => state,
            Err(error) => {
                // There is nothing to vote for. It is the same on every other client.
                let kind = FaultKind::Encoding(error.to_string());
                let (time, seq) = (vm.time(), vm.seq());
                let handler = String::new();
                let fault = Fault { time, seq, model: None, handler, sender: None, kind };
                self.outgoing.report_faults([fault]);
                return;
            }
        };
        let persisted = vm.persisted().cloned();
        let hash = StateHash::of(&state);
        let contents = Contents {
            seq,
            state: &state,
            hash,
            persisted: persisted.as_ref(),
            app_version: self.identity.config().app.version(),
        };
        let handed_in = HandedIn::new(&contents, &mut self.seal, self.identity.space());
        let ballot = Ballot::new(seq, time, hash, state, handed_in);
        let vote = Vote { seq, hash: ballot.vote() };
        self.voting.cast(ballot);
        let time = Time::from_micros(time);
        self.outgoing.report(SessionEvent::State { seq, time, hash });
        self.outgoing.send(&ClientMessage::Vote(vote));
        let news = self.persisting.vote(seq, persisted);
        self.tell_if(news);
    }

    pub(super) fn hear_verdict(
        &mut self,
        now: u64,
        verdict: Verdict,
    ) -> Result<(), DisconnectReason> {
        let Verdict { seq, mut hash, agreed, of } = verdict;
        match self.voting.hear_verdict(&verdict) {
            Finding::Unconcerned | Finding::Undecided => {}
            Finding::Outvoted => self.persisting.forget_votes(),
            Finding::Confirmed { hash: own, state } => {
                // The wire has the hash of the envelope. The owner knows the state by its own hash.
                hash = Some(Digest(own.0));
                if let Some(vm) = self.model.vm_mut() {
                    vm.believe(seq, state);
                }
            }
        }
        self.tell(SessionEvent::Verdict { seq, hash, agreed, of });
        if self.voting.take_doubt(seq) { self.hear_diverged(now, seq) } else { Ok(()) }
    }

    /// Sends some of the snapshot that the reflector has asked for.
    pub(super) fn continue_upload(&mut self) {
        for _ in 0..SNAPSHOT_PARTS_PER_STEP {
            let Some(message) = self.voting.next_part() else { return };
            self.outgoing.act(Action::Send(message));
        }
    }

    /// The reflector reports that the state of this vote may be wrong. Fails if the model must be loaded.
    pub(super) fn hear_diverged(&mut self, now: u64, seq: u64) -> Result<(), DisconnectReason> {
        if self.voting.is_ahead_of_verdict(seq) {
            return Ok(());
        }
        if self.history.is_before_loading(seq) {
            // That state was replaced since.
            return Ok(());
        }
        let (ballot, ground) = match self.voting.take_outvoted() {
            Some(ballot) => (ballot, Ground::Outvoted),
            None => match self.voting.take_undecided(seq) {
                Some(ballot) => (ballot, Ground::Undecided),
                None => {
                    // The client has forgotten that vote, so there is no evidence.
                    self.forget_model();
                    return Err(DisconnectReason::Diverged);
                }
            },
        };
        let until = (Time::from_micros(ballot.time()), ballot.seq());
        let config = self.identity.config();
        let recording = self.model.vm().and_then(|vm| vm.recording(&config.options, until));
        let replay =
            recording.as_ref().and_then(|recording| Replay::run(recording, &config.app, &ballot));
        let end = replay.as_ref().map(|replay| replay.end().clone());
        if ground == Ground::Undecided {
            if end.as_ref() == Some(ballot.state()) {
                if let Some(vm) = self.model.vm_mut() {
                    vm.believe(ballot.seq(), ballot.state().clone());
                }
                return Ok(());
            }
            if end.is_none() && !self.healing.begin_reload(now) {
                return Ok(());
            }
        }
        self.resolve_doubt(None);
        self.healing.doubt(Doubt { ballot, ground, recording, replay });
        if ground == Ground::Undecided && end.is_some() {
            self.resolve_doubt(end);
        }
        self.forget_model();
        Err(DisconnectReason::Diverged)
    }

    /// The model has come once more to the position of a vote whose state is doubted, from a state that is
    /// believed.
    pub(super) fn compare_with_doubted(&mut self, seq: u64) {
        if self.healing.doubted() == Some(seq) {
            let snapshot = self.model.vm().and_then(|vm: &Vm| vm.snapshot().ok());
            self.resolve_doubt(snapshot.map(Arc::from));
        }
    }

    /// The right state of the doubted vote is known, or will never be.
    pub(super) fn resolve_doubt(&mut self, right: Option<Arc<[u8]>>) {
        if let Some(divergence) = self.healing.resolve(right, &self.identity) {
            self.outgoing.report(SessionEvent::Diverged(Box::new(divergence)));
        }
    }
}
