//! Votes, and what this client does when its state may be wrong: it finds out, saves the evidence, and loads the
//! right state.
//!
//! 1. If all agree, the state is believed. A client that was contradicted, by a majority or where there is none, replays
//!    the log from the newest state that it believes.
//! 2. Does it come to the state that it voted for, it was right: it goes on, confirms that, and its views notice nothing.
//!    If another state is confirmed as well, the two programs differ, and all owners hear that.
//! 3. Does it come to another state, it was wrong: it saves its state for the evidence, and joins from scratch. A client
//!    without the recording that a replay needs does the same.

use std::sync::Arc;

use teatime_vm::{Fault, FaultKind, StateHash, Time, Vm};
use teatime_wire::{ClientMessage, Digest, Disagreement, Verdict, Vote};

use super::Client;
use super::ballot::Ballot;
use super::healing::{Doubt, Ground, Replay};
use super::voting::Finding;
use crate::envelope::{Contents, HandedIn};
use crate::event::{Action, DisconnectReason, SessionEvent, Side};
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
        // If others had contradicted the state before this one, this client would have heard it by now.
        self.believe_newest();
        let contents = Contents {
            seq,
            state: &state,
            hash,
            transcript: self.transcript.store(seq),
            persisted: persisted.as_ref(),
            app_version: self.identity.config().app.version(),
        };
        let handed_in = HandedIn::new(&contents, &mut self.seal, self.identity.space());
        let ballot = Ballot::new(seq, time, hash, state, handed_in);
        let vote = Vote { seq, hash: ballot.vote() };
        self.voting.cast(ballot);
        let time = Time::from_micros(time);
        self.outgoing.report(SessionEvent::State { seq, time, hash });
        // A model that falls behind comes to it when the connection has broken. On the next one the vote is history.
        if !self.connection.is_running() {
            return;
        }
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
        self.healing.hear_verdict(agreed == of);
        match self.voting.hear_verdict(&verdict) {
            Finding::Unconcerned | Finding::Undecided => {}
            Finding::Outvoted => self.persisting.forget_votes(),
            Finding::Confirmed { hash: own } => {
                // The wire has the hash of the envelope. The owner knows the state by its own hash.
                hash = Some(Digest(own.0));
                if agreed == of {
                    self.believe_newest();
                }
            }
        }
        self.tell(SessionEvent::Verdict { seq, hash, agreed, of });
        if self.voting.take_doubt(seq) { self.hear_diverged(now, seq) } else { Ok(()) }
    }

    /// Believes what a majority has confirmed in the newest vote. The recording for a replay begins there.
    fn believe_newest(&mut self) {
        if let (Some(ballot), Some(vm)) = (self.voting.confirmed(), self.model.vm_mut()) {
            vm.believe(ballot.seq(), ballot.state().clone());
        }
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
        if self.history.is_before_loading(seq) || self.voting.has_newer(seq) {
            // That state was replaced since, or a newer vote decides.
            return Ok(());
        }
        let (ballot, ground) = match self.voting.take_outvoted() {
            Some(ballot) => (ballot, Ground::Outvoted),
            None => match self.voting.take_ended(seq) {
                Some((ballot, true)) => (ballot, Ground::Contradicted),
                Some((ballot, false)) => (ballot, Ground::Undecided),
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
        if end.as_ref() == Some(ballot.state()) {
            if let Some(vm) = self.model.vm_mut() {
                vm.believe(ballot.seq(), ballot.state().clone());
            }
            self.outgoing.send(&ClientMessage::Confirm(ballot.seq()));
            self.healing.confirm(Doubt { ballot, ground, recording, replay });
            return Ok(());
        }
        let stays = match ground {
            Ground::Outvoted => false,
            Ground::Undecided => !self.healing.begin_reload(now),
            Ground::Contradicted => true,
        };
        if end.is_none() && stays {
            return Ok(());
        }
        self.resolve_doubt(None);
        self.healing.doubt(Doubt { ballot, ground, recording, replay });
        if end.is_some() {
            self.resolve_doubt(end);
        }
        self.forget_model();
        Err(DisconnectReason::Diverged)
    }

    /// Other programs compute something else.
    pub(super) fn hear_disagreement(&mut self, disagreement: &Disagreement<'_>) {
        let Disagreement { seq, sides } = disagreement;
        let sides = sides.iter().map(|side| {
            let builds = side.agents.iter().map(|agent| plain(agent)).collect();
            (side.hash, Side { builds, participants: side.clients, is_own: false })
        });
        let own = self.voting.ballot(*seq);
        let found = self.healing.disagree(*seq, sides.collect(), own, &self.identity);
        if let Some(found) = found {
            self.tell(SessionEvent::Disagreement(Box::new(found)));
        }
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

/// What another program says of itself, which may be anything: visible ASCII only.
fn plain(agent: &str) -> String {
    let visible = |letter: char| if matches!(letter, ' '..='~') { letter } else { '?' };
    agent.chars().map(visible).collect()
}
