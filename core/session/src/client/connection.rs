//! The connection to the reflector: its phases, its attempts, and what the owner has heard of it.

use teatime_wire::{Chain, Challenge, ChannelBinding, CloseReason, Greeting, Resume, SnapshotInfo};

use super::backoff::Backoff;
use super::loading::Loading;
use crate::event::{ConnectionState, DisconnectReason};
use crate::limits::{JOIN_TIMEOUT, SILENCE};

/// The phases of a connection. All times are µs of the driver's clock.
///
/// ```text
/// Idle → Connecting → Greeting → Joining → Loading → Running
///            ↑            │          │         │         │       every phase but Idle may lead to Over
///            └────────────┴──────────┴─────────┴─────────┘
/// ```
pub(super) enum Phase {
    /// The owner has not asked for a connection yet.
    Idle,
    /// The driver was asked to connect, from this time on.
    Connecting { from: u64 },
    /// The connection stands. The hello of the reflector must come before this time.
    Greeting { until: u64, channel: Option<ChannelBinding> },
    /// The join is on its way. The welcome must come before this time.
    Joining { until: u64 },
    /// The snapshot arrives.
    Loading(Loading),
    /// Ordered messages arrive.
    Running,
    /// The connection is gone, and no other is made before the owner asks for one: the app is in the background.
    Parked,
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
    /// The app is in the background: a connection that breaks stays broken.
    is_in_background: bool,
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
            is_in_background: false,
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

    /// Whether there is a connection that counts.
    pub(super) fn stands(&self) -> bool {
        self.has_joined() || matches!(self.phase, Phase::Greeting { .. })
    }

    /// Asks for the first connection. Returns the pause before it in µs; `None` if it was asked for before.
    pub(super) fn begin(&mut self, random: u32) -> Option<u64> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.phase = Phase::Connecting { from: 0 };
        Some(self.backoff.pause(random))
    }

    /// From now on a connection that breaks stays broken. Returns whether an attempt under way is to be given up.
    pub(super) fn enter_background(&mut self, now: u64) -> bool {
        self.is_in_background = true;
        let is_connecting = matches!(self.phase, Phase::Connecting { .. } | Phase::Greeting { .. });
        if is_connecting {
            self.broken_since.get_or_insert(now);
            self.phase = Phase::Parked;
        }
        is_connecting
    }

    /// The app is there again. Returns whether a connection must be asked for.
    pub(super) fn leave_background(&mut self, now: u64) -> bool {
        self.is_in_background = false;
        let was_parked = matches!(self.phase, Phase::Parked);
        if was_parked {
            self.phase = Phase::Connecting { from: now };
            self.backoff.reset();
        }
        was_parked
    }

    /// Asks for another connection. Returns the pause before it in µs; `None` if the app is in the background.
    pub(super) fn retry(&mut self, now: u64, random: u32) -> Option<u64> {
        self.broken_since.get_or_insert(now);
        if self.is_in_background {
            self.phase = Phase::Parked;
            return None;
        }
        let after = self.backoff.pause(random);
        self.phase = Phase::Connecting { from: now + after };
        Some(after)
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

    /// The driver has made the connection, with this binding if it is over TLS.
    pub(super) fn greet(&mut self, now: u64, channel: Option<ChannelBinding>) {
        self.phase = Phase::Greeting { until: now + JOIN_TIMEOUT, channel };
    }

    /// What the join over this connection must be signed for.
    ///
    /// # Errors
    /// If the reflector expects TLS from end to end, and the connection has none.
    pub(super) fn challenge(&self, greeting: Greeting) -> Result<Challenge, DisconnectReason> {
        let Greeting { nonce, binds_channel } = greeting;
        let own = match self.phase {
            Phase::Greeting { channel, .. } => channel,
            _ => None,
        };
        if binds_channel && own.is_none() {
            let detail =
                "the reflector expects a TLS connection of its own: use its wss:// address";
            return Err(DisconnectReason::Closed(CloseReason::BadProof, detail.into()));
        }
        // A reflector behind a proxy that ends TLS cannot know what this client sees.
        Ok(Challenge { nonce, channel: own.filter(|_| binds_channel) })
    }

    /// Counts a join that is sent now.
    pub(super) fn join(&mut self, now: u64) -> u64 {
        self.attempt += 1;
        self.phase = Phase::Joining { until: now + JOIN_TIMEOUT };
        self.attempt
    }

    /// How many joins were sent.
    pub(super) fn attempt(&self) -> u64 {
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
            Phase::Idle | Phase::Connecting { .. } | Phase::Parked | Phase::Over(_) => None,
            Phase::Greeting { until, .. } | Phase::Joining { until } => Some(*until),
            Phase::Loading(_) | Phase::Running => Some(self.last_heard + SILENCE),
        }
    }

    /// The timeline of the newest welcome. `None` before the first.
    pub(super) fn timeline(&self) -> Option<u64> {
        self.timeline
    }

    /// What a client asks for whose model has everything up to this position.
    pub(super) fn resume_at(&self, (seq, chain): (u64, Chain)) -> Option<Resume> {
        self.timeline.map(|timeline| Resume { timeline, seq, chain: chain.value() })
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
