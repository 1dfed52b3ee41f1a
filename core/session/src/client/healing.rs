//! What this client knows of a state of its own that others contradict, until it is known which one is right.

use std::sync::Arc;

use teatime_vm::recording::Recording;
use teatime_vm::{App, StateHash, Time};
use teatime_wire::Digest;

use super::ballot::{Ballot, Count};
use super::identity::Identity;
use crate::event::{Disagreement, Divergence, Side};
use crate::forensics::evidence::Evidence;
use crate::limits::{MAX_REPLAY_BYTES, RELOAD_PAUSE};

#[derive(Default)]
pub(super) struct Healing {
    doubt: Option<Doubt>,
    /// The newest state that this client has confirmed, until the reflector answers, or another vote ends.
    confirmed: Option<Doubt>,
    /// The owner knows that two programs disagree, and all have not agreed since.
    disagrees: bool,
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
    /// A majority has another state.
    Outvoted,
    /// There was no majority: this one may be right.
    Undecided,
    /// A majority has this state, and another client says that the log leads to another.
    Contradicted,
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

    /// The client's own state is right, by its replay.
    pub(super) fn confirm(&mut self, doubt: Doubt) {
        self.confirmed = Some(doubt);
    }

    /// A vote has ended.
    pub(super) fn hear_verdict(&mut self, is_unanimous: bool) {
        self.confirmed = None;
        if is_unanimous {
            self.disagrees = false;
        }
    }

    /// Programs disagree about the state at this vote. Returns what to tell the owner, unless it knows. `own` is what this
    /// client voted for, if it still knows that and was not asked to check it.
    pub(super) fn disagree(
        &mut self,
        seq: u64,
        sides: Vec<(Digest, Side)>,
        own: Option<&Ballot>,
        identity: &Identity,
    ) -> Option<Disagreement> {
        if std::mem::replace(&mut self.disagrees, true) {
            return None;
        }
        let confirmed = self.confirmed.take_if(|confirmed| confirmed.ballot.seq() == seq);
        let ballot = confirmed.as_ref().map(|confirmed| &confirmed.ballot).or(own);
        let vote = ballot.map(Ballot::vote);
        let sides: Vec<_> = sides
            .into_iter()
            .map(|(hash, side)| Side { is_own: Some(hash) == vote, ..side })
            .collect();
        let evidence = ballot.map(|ballot| {
            let (recording, replay) = match &confirmed {
                Some(Doubt { recording, replay, .. }) => (recording.clone(), replay.as_ref()),
                None => (None, None),
            };
            let replayed = replay.map(|replay| replay.hashes.clone()).unwrap_or_default();
            let sides = sides.clone();
            evidence_of(ballot, identity, Found { right: None, sides, recording, replayed })
        });
        Some(Disagreement { seq, sides, evidence, file: None })
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
        let is_same = right.as_ref() == Some(ballot.state());
        if is_same || right.is_none() && ground != Ground::Outvoted {
            return None;
        }
        let (seq, time, hash) = (ballot.seq(), Time::from_micros(ballot.time()), ballot.hash());
        let right_hash = right.as_deref().map(StateHash::of);
        let replayed = replay.map(|replay| replay.hashes).unwrap_or_default();
        let found = Found { right, sides: Vec::new(), recording, replayed };
        let evidence = evidence_of(&ballot, identity, found);
        Some(Divergence { seq, time, hash, right: right_hash, evidence, file: None })
    }
}

/// What a client knows of a state besides that state.
struct Found {
    right: Option<Arc<[u8]>>,
    sides: Vec<Side>,
    recording: Option<Recording>,
    replayed: Vec<(u64, StateHash)>,
}

/// A file of evidence about what this client voted for.
fn evidence_of(ballot: &Ballot, identity: &Identity, found: Found) -> Arc<[u8]> {
    let (agreed, of) = match ballot.count() {
        Count::Known { agreed, of } => (agreed, of),
        Count::Pending => (0, 0),
    };
    let Found { right, sides, recording, replayed } = found;
    let evidence = Evidence {
        head: identity.head(),
        agent: identity.agent().to_owned(),
        view: identity.view_id(),
        seq: ballot.seq(),
        time: Time::from_micros(ballot.time()),
        agreed,
        of,
        own: Some(ballot.state().clone()),
        right,
        sides,
        recording,
        replayed,
    };
    evidence.encode().into()
}
