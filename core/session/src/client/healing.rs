//! What this client knows of a state of its own that may be wrong, until the right one is known.

use std::sync::Arc;

use teatime_vm::recording::Recording;
use teatime_vm::{App, StateHash, Time};

use super::ballot::{Ballot, Count};
use super::identity::Identity;
use crate::event::Divergence;
use crate::forensics::evidence::Evidence;
use crate::limits::{MAX_REPLAY_BYTES, RELOAD_PAUSE};

#[derive(Default)]
pub(super) struct Healing {
    doubt: Option<Doubt>,
    /// Before this time no vote without a majority makes this client load its model again.
    may_reload_from: u64,
}

/// A state of this client that may be wrong.
pub(super) struct Doubt {
    pub(super) ballot: Ballot,
    pub(super) ground: Ground,
    /// What led to it, if it was short enough to be recorded.
    pub(super) recording: Option<Recording>,
    /// What this client came to when it replayed that.
    pub(super) replay: Option<Replay>,
}

/// Why a state is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// A majority has another state: this one is wrong.
    Outvoted,
    /// There was no majority: this one may be right.
    Undecided,
}

/// What a replay came to.
pub(super) struct Replay {
    /// Hashes after some of the events.
    hashes: Vec<(u64, StateHash)>,
    /// The state at the end.
    end: Arc<[u8]>,
}

impl Replay {
    /// Plays again what led to a vote. The hashes on the way are as many as [`MAX_REPLAY_BYTES`] allows. `None` if
    /// it cannot be played.
    pub(super) fn run(recording: &Recording, app: &App, ballot: &Ballot) -> Option<Self> {
        let mut player = recording.player(app).ok()?;
        let number = recording.inputs.len();
        let every = 1 + (number * ballot.state().len() / MAX_REPLAY_BYTES) as u64;
        let mut replay = Self { hashes: Vec::new(), end: Arc::default() };
        while player.step().ok()?.is_some() {
            let seq = player.vm().seq();
            if (ballot.seq() - seq).is_multiple_of(every) {
                let snapshot = player.vm().snapshot().ok()?;
                replay.hashes.push((seq, StateHash::of(&snapshot)));
                replay.end = snapshot.into();
            }
        }
        Some(replay)
    }

    pub(super) fn end(&self) -> &Arc<[u8]> {
        &self.end
    }
}

impl Healing {
    /// Whether this client may load its model because a vote had no majority. Counts as a load if so.
    pub(super) fn begin_reload(&mut self, now: u64) -> bool {
        let is_due = now >= self.may_reload_from;
        if is_due {
            self.may_reload_from = now + RELOAD_PAUSE;
        }
        is_due
    }

    pub(super) fn doubt(&mut self, doubt: Doubt) {
        self.doubt = Some(doubt);
    }

    /// Position of the vote whose state is doubted.
    pub(super) fn doubted(&self) -> Option<u64> {
        self.doubt.as_ref().map(|doubt| doubt.ballot.seq())
    }

    /// The right state is known, or will never be. Returns what to tell the owner: nothing if this client's state
    /// was right, or nothing shows that it was wrong.
    pub(super) fn resolve(
        &mut self,
        right: Option<Arc<[u8]>>,
        identity: &Identity,
    ) -> Option<Divergence> {
        let Doubt { ballot, ground, recording, replay } = self.doubt.take()?;
        let right = right.filter(|right| right != ballot.state());
        if right.is_none() && ground == Ground::Undecided {
            return None;
        }
        let (agreed, of) = match ballot.count() {
            Count::Known { agreed, of } => (agreed, of),
            Count::Pending => (0, 0),
        };
        let (seq, time, hash) = (ballot.seq(), Time::from_micros(ballot.time()), ballot.hash());
        let right_hash = right.as_deref().map(StateHash::of);
        let evidence = Evidence {
            head: identity.head(),
            agent: identity.config().agent.clone(),
            view: identity.view_id(),
            seq,
            time,
            agreed,
            of,
            own: Some(ballot.state().clone()),
            right,
            recording,
            replayed: replay.map(|replay| replay.hashes).unwrap_or_default(),
        };
        let evidence = evidence.encode().into();
        Some(Divergence { seq, time, hash, right: right_hash, evidence, file: None })
    }
}
