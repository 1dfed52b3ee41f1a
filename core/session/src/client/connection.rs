//! The connection to the reflector: its phases, its attempts, and what the owner has heard of it.

use teatime_wire::{Resume, SnapshotInfo};

use super::backoff::Backoff;
use super::loading::Loading;
use crate::event::{ConnectionState, DisconnectReason};
use crate::limits::{JOIN_TIMEOUT, SILENCE};

/// The phases of a connection. All times are µs of the driver's clock.
///
/// ```text
/// Idle → Connecting → Joining → Loading → Running
///            ↑           │         │         │       every phase but Idle may lead to Over
///            └───────────┴─────────┴─────────┘
/// ```
pub(super) enum Phase {
    /// The owner has not asked for a connection yet.
    Idle,
    /// The driver was asked to connect, from this time on.
    Connecting { from: u64 },
    /// The join is on its way. The welcome must come before this time.
    Joining { until: u64 },
    /// The snapshot arrives.
    Loading(Loading),
    /// Ordered messages arrive.
    Running,
    /// Left, or failed for this reason: nothing happens after it.
    Over(Option<DisconnectReason>),
}

pub(super) struct Connection {
    phase: Phase,
    /// What the owner has heard last.
    reported: ConnectionState,
    broken_since: Option<u64>,
    last_heard: u64,
    /// Counts the joins.
    attempt: u64,
    /// Of the newest welcome.
    timeline: Option<u64>,
    backoff: Backoff,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            reported: ConnectionState::Connecting,
            broken_since: None,
            last_heard: 0,
            attempt: 0,
            timeline: None,
            backoff: Backoff::default(),
        }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Whether a join has been sent on a connection that still counts.
    pub(super) fn has_joined(&self) -> bool {
        matches!(self.phase, Phase::Joining { .. } | Phase::Loading(_) | Phase::Running)
    }

    /// Asks for the first connection. Returns the pause before it in µs; `None` if it was asked for before.
    pub(super) fn begin(&mut self, random: u32) -> Option<u64> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.phase = Phase::Connecting { from: 0 };
        Some(self.backoff.pause(random))
    }

    /// Asks for another connection. Returns the pause before it in µs.
    pub(super) fn retry(&mut self, now: u64, random: u32) -> u64 {
        self.broken_since.get_or_insert(now);
        let after = self.backoff.pause(random);
        self.phase = Phase::Connecting { from: now + after };
        after
    }

    /// The next attempt is made without a pause.
    pub(super) fn forget_pauses(&mut self) {
        self.backoff.reset();
    }

    /// Cuts the pause short that the driver waits for. False if it does not wait for one.
    pub(super) fn skip_pause(&mut self, now: u64) -> bool {
        let waits = matches!(self.phase, Phase::Connecting { from } if from > now);
        if waits {
            self.phase = Phase::Connecting { from: now };
            self.backoff.reset();
        }
        waits
    }

    /// Counts a join that is sent now.
    pub(super) fn join(&mut self, now: u64) -> u64 {
        self.attempt += 1;
        self.phase = Phase::Joining { until: now + JOIN_TIMEOUT };
        self.attempt
    }

    /// The reflector has let this client in.
    pub(super) fn welcome(&mut self, timeline: u64) {
        self.backoff.reset();
        self.timeline = Some(timeline);
    }

    /// # Errors
    /// If what is announced has an impossible size.
    pub(super) fn load(
        &mut self,
        info: SnapshotInfo,
        persisted_by: Option<u32>,
    ) -> Result<(), DisconnectReason> {
        let loading = Loading::new(info, persisted_by).map_err(DisconnectReason::Protocol)?;
        self.phase = Phase::Loading(loading);
        Ok(())
    }

    /// Adds a piece of what is loaded. Returns all of it with the last piece.
    ///
    /// # Errors
    /// If the piece does not fit, or nothing is loaded.
    pub(super) fn add_piece(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, DisconnectReason> {
        let Phase::Loading(loading) = &mut self.phase else { return Ok(None) };
        loading.add(piece).map_err(DisconnectReason::Protocol)
    }

    pub(super) fn run(&mut self) {
        self.phase = Phase::Running;
    }

    pub(super) fn end(&mut self, reason: Option<DisconnectReason>) {
        self.phase = Phase::Over(reason);
    }

    pub(super) fn hear(&mut self, now: u64) {
        self.last_heard = now;
    }

    /// When the connection counts as dead unless something arrives before. `None` without a connection.
    pub(super) fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Idle | Phase::Connecting { .. } | Phase::Over(_) => None,
            Phase::Joining { until } => Some(*until),
            Phase::Loading(_) | Phase::Running => Some(self.last_heard + SILENCE),
        }
    }

    /// The timeline of the newest welcome. `None` before the first.
    pub(super) fn timeline(&self) -> Option<u64> {
        self.timeline
    }

    /// What a client asks for whose model has everything up to this number.
    pub(super) fn resume_at(&self, seq: u64) -> Option<Resume> {
        self.timeline.map(|timeline| Resume { timeline, seq })
    }

    /// Since when it is broken, on the driver's clock.
    pub(super) fn broken_since(&self) -> Option<u64> {
        self.broken_since
    }

    pub(super) fn failure(&self) -> Option<&DisconnectReason> {
        match &self.phase {
            Phase::Over(reason) => reason.as_ref(),
            _ => None,
        }
    }

    pub(super) fn state(&self, is_view_ready: bool) -> ConnectionState {
        match &self.phase {
            Phase::Over(Some(_)) => ConnectionState::Failed,
            Phase::Over(None) => ConnectionState::Left,
            Phase::Running if is_view_ready => ConnectionState::Live,
            Phase::Running | Phase::Loading(_) => ConnectionState::CatchingUp,
            _ if self.timeline.is_some() => ConnectionState::Reconnecting,
            _ => ConnectionState::Connecting,
        }
    }

    /// The state, if the owner has not heard it last.
    pub(super) fn take_change(&mut self, is_view_ready: bool) -> Option<ConnectionState> {
        let state = self.state(is_view_ready);
        if state == ConnectionState::Live {
            self.broken_since = None;
        }
        (std::mem::replace(&mut self.reported, state) != state).then_some(state)
    }
}
