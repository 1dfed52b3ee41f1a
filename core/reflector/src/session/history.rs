//! The history that a snapshot has replaced: when it is retained, and when the session goes back to it.

use teatime_wire::{CloseReason, Digest, Holding};

use super::{Refusal, Session, Turn};
use crate::config::Config;
use crate::gate::Gated;
use crate::outbox::{Outbox, Purpose};
use crate::storage::Request;
use crate::view::Arrival;

/// Whether the newest snapshot is known to be of use. A single vote does not prove that: a stranger who was alone for a moment may
/// have cast it.
#[derive(Debug, Default)]
pub(super) enum Trust {
    /// A client has loaded it, or several have agreed about it without contradiction, or there is none.
    #[default]
    Proven,
    Unproven {
        /// Views with a lower number were there when it came, so they may have voted for it.
        newcomers_from: Arrival,
        /// The blobs to which it refers, if it is of this room. Until it is proven, the session may go back to a state that
        /// refers to others.
        roots: Option<Vec<Digest>>,
        /// When it came, on the driver's clock.
        since: u64,
    },
}

impl Session {
    /// A snapshot has come that no client has loaded yet.
    pub(super) fn distrust(&mut self, since: u64, roots: Option<Vec<Digest>>) {
        self.trust = Trust::Unproven { newcomers_from: self.views.next_arrival(), roots, since };
    }

    /// A client has restored the snapshot that it was given, and has simulated the log after it.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>, arrival: Arrival, seq: u64) {
        let Trust::Unproven { newcomers_from, .. } = &self.trust else { return };
        let is_newcomer = arrival >= *newcomers_from;
        let was_given = self.views.get(arrival).is_some_and(|view| view.was_given(seq));
        let is_newest = self.log.snapshot().is_some_and(|(info, _)| info.seq == seq);
        if is_newcomer && was_given && is_newest {
            self.prove(turn, seq);
        }
    }

    /// The newest snapshot is of use: what it has replaced goes.
    pub(super) fn prove(&mut self, turn: &mut Turn<'_>, seq: u64) {
        let Trust::Unproven { roots, since, .. } = &mut self.trust else { return };
        if let Some(roots) = roots.take() {
            // What is older than it may still be needed for what happened since.
            let age = turn.now.saturating_sub(*since) / 1_000_000 + 1;
            turn.out.push(self.holds(Holding::Snapshot(roots, age)));
        }
        self.trust = Trust::Proven;
        self.log.forget_previous();
        let (session, retain) = (self.id, turn.config.history_time / 1_000_000);
        self.ask_about_history(turn.out, Request::Proven { session, seq, retain });
    }

    /// A client cannot restore the snapshot that it was given. If no other client has loaded it, the session goes back to
    /// what it has replaced, and this client is closed: it finds that when it joins again.
    pub(crate) fn unusable(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival,
        seq: u64,
    ) -> Result<(), Refusal> {
        self.limit_history(turn.config);
        let was_given = self.views.get(arrival).is_some_and(|view| view.was_given(seq));
        let is_newest = self.log.snapshot().is_some_and(|(info, _)| info.seq == seq);
        let Some(to) = self.log.previous().filter(|_| was_given && is_newest) else {
            tracing::warn!(session = %self.id, seq, "a client cannot load the snapshot");
            return Ok(());
        };
        tracing::warn!(session = %self.id, seq, to, "a snapshot is of no use: going back");
        self.log.go_back();
        self.trust = Trust::Proven;
        self.ask_about_history(turn.out, Request::GoBack { session: self.id, to });
        // A snapshot for the longer log may be due at once.
        self.ballot.may_vote_from(turn.now);
        Err((CloseReason::GoingAway, "the session goes back to an older snapshot".into()))
    }

    /// Drops a history that has become too large.
    pub(super) fn limit_history(&mut self, config: &Config) {
        self.log.limit_previous(most_history(config));
    }

    /// Drops what the newest snapshot has replaced, and returns how much memory that took.
    pub(crate) fn drop_history(&mut self) -> u64 {
        let before = self.log.memory();
        self.log.forget_previous();
        before - self.log.memory()
    }

    /// Takes effect after the checkpoints before.
    fn ask_about_history(&mut self, out: &mut Outbox, request: Request) {
        if !out.has_storage() {
            return;
        }
        if self.gate.is_open() {
            out.ask(request, Purpose::History(self.id));
        } else {
            self.gate.push(Gated::History(request));
        }
    }
}

/// How many bytes the log and its history may have.
pub(super) fn most_history(config: &Config) -> u64 {
    config.history_limit_bytes.min(config.log_limit_bytes)
}
