//! What a client does when its state may be wrong: it finds out, keeps the evidence, and loads the
//! right one.
//!
//! A majority is believed: who voted against it keeps its state for the evidence and joins anew. Without
//! a majority nobody is believed, not even oneself: everybody plays the log from the newest state that
//! was believed, and who comes to the state it voted for was right. It goes on, and its views notice
//! nothing. Who comes to another was wrong. Who did not keep the log gets it from the reflector.

use std::path::PathBuf;
use std::sync::Arc;

use teatime_vm::recording::{Head, Recording};
use teatime_vm::{StateHash, Time, Vm};

use crate::client::Client;
use crate::event::{DisconnectReason, SessionEvent};
use crate::evidence::Evidence;
use crate::limits::{MAX_REPLAY_BYTES, RELOAD_PAUSE};
use crate::voting::Cast;

/// This client's state was not the right one. It has been replaced.
#[derive(Clone)]
pub struct Divergence {
    /// Sequence number of the vote that found it.
    pub seq: u64,
    /// Session time of the vote.
    pub time: Time,
    /// Hash of this client's state at it.
    pub hash: StateHash,
    /// Hash of the right state at it, if it is known.
    pub right: Option<StateHash>,
    /// The content of a file of [`Evidence`]; plain, also if the session has a password.
    pub evidence: Arc<[u8]>,
    /// Where the driver has put that file, or why it could not. Nothing if it was not asked to.
    pub file: Option<Result<PathBuf, String>>,
}

impl std::fmt::Debug for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Divergence {{ seq: {}, hash: {}, file: {:?} }}", self.seq, self.hash, self.file)
    }
}

/// What is kept of a state that may be wrong until the right one is known.
pub(crate) struct Doubt {
    cast: Cast,
    /// A majority has said that it is wrong.
    accused: bool,
    recording: Option<Recording>,
    replayed: Vec<(u64, StateHash)>,
}

impl Doubt {
    pub(crate) fn seq(&self) -> u64 {
        self.cast.seq
    }
}

impl Client {
    /// The reflector says that the state of this vote may be wrong.
    pub(crate) fn hear_diverged(&mut self, now: u64, seq: u64) -> Result<(), DisconnectReason> {
        // Or of a state that was replaced since.
        if self.voting.is_early(seq) || seq <= self.loaded_at {
            return Ok(());
        }
        let accused = self.voting.accused.take();
        let is_accused = accused.is_some();
        let Some(cast) = accused.or_else(|| self.voting.undecided(seq)) else {
            // It is of a vote of which this client knows nothing any more, so there is no evidence.
            self.forget_model();
            return Err(DisconnectReason::Diverged);
        };
        let until = (Time::from_micros(cast.time), cast.seq);
        let vm = self.vm.as_ref();
        let recording = vm.and_then(|vm| vm.recording(&self.config.options, until));
        let played = recording.as_ref().and_then(|recording| self.play(recording, &cast));
        let (replayed, at_end) = match played {
            Some((replayed, at_end)) => (replayed, Some(at_end)),
            None => (Vec::new(), None),
        };
        let was_right = !is_accused && at_end.as_ref().is_some_and(|end| *end == cast.snapshot);
        if was_right {
            if let Some(vm) = &mut self.vm {
                vm.believe(cast.seq, cast.snapshot);
            }
            return Ok(());
        }
        if !is_accused && at_end.is_none() {
            if now < self.may_reload_from {
                return Ok(());
            }
            self.may_reload_from = now + RELOAD_PAUSE;
        }
        self.resolve_doubt(None);
        self.doubt = Some(Doubt { cast, accused: is_accused, recording, replayed });
        if !is_accused && at_end.is_some() {
            self.resolve_doubt(at_end);
        }
        self.forget_model();
        Err(DisconnectReason::Diverged)
    }

    /// Plays once more what led to a vote: the hashes on the way, as many as that may cost, and the
    /// snapshot at its end.
    fn play(&self, recording: &Recording, cast: &Cast) -> Option<Played> {
        let mut player = recording.player(&self.config.app).ok()?;
        let number = recording.inputs.len();
        let every = 1 + (number * cast.snapshot.len() / MAX_REPLAY_BYTES) as u64;
        let mut replayed = Vec::new();
        let mut at_end: Arc<[u8]> = Arc::default();
        while player.step().ok()?.is_some() {
            let seq = player.vm().seq();
            if (cast.seq - seq).is_multiple_of(every) {
                let snapshot = player.vm().snapshot().ok()?;
                replayed.push((seq, StateHash::of(&snapshot)));
                at_end = snapshot.into();
            }
        }
        Some((replayed, at_end))
    }

    /// The model has reached the position of a vote once more, from a state that is believed.
    pub(crate) fn look_at_doubt(&mut self, seq: u64) {
        if self.doubt.as_ref().is_some_and(|doubt| doubt.seq() == seq) {
            let snapshot = self.vm.as_ref().and_then(|vm: &Vm| vm.snapshot().ok());
            self.resolve_doubt(snapshot.map(Arc::from));
        }
    }

    /// The right state of a vote is known, or will not be: tells the owner, unless it was this
    /// client's.
    pub(crate) fn resolve_doubt(&mut self, right: Option<Arc<[u8]>>) {
        let Some(doubt) = self.doubt.take() else { return };
        let Doubt { cast, accused, recording, replayed } = doubt;
        let right = right.filter(|right| *right != cast.snapshot);
        if right.is_none() && !accused {
            return;
        }
        let right_hash = right.as_deref().map(StateHash::of);
        let evidence = Evidence {
            head: Head::new(&self.config.app, self.session_id(), &self.config.options),
            agent: self.config.agent.clone(),
            view: self.view_id,
            seq: cast.seq,
            time: Time::from_micros(cast.time),
            agreed: cast.agreed,
            of: cast.of,
            own: Some(cast.snapshot),
            right,
            recording,
            replayed,
        };
        self.events.push_back(SessionEvent::Diverged(Box::new(Divergence {
            seq: cast.seq,
            time: evidence.time,
            hash: cast.hash,
            right: right_hash,
            evidence: evidence.encode().into(),
            file: None,
        })));
    }
}

/// Hashes after events, and a snapshot.
type Played = (Vec<(u64, StateHash)>, Arc<[u8]>);
