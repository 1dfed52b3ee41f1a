//! The client of one session: its state, and what its owner can ask.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use teatime_base::{Binding, Seal, SessionId};
use teatime_blobs::Space;
use teatime_vm::{Fault, ModelId, Payload, Published, QueryError, Time, ViewId, Vm};
use teatime_wire::{ClientMessage, Room, SendLimits, ViewSecret};

use crate::backlog::Backlog;
use crate::backoff::Backoff;
use crate::clock::{Clock, Pulse, RoundTrips};
use crate::config::{Config, ConfigError};
use crate::event::{Action, ConnectionState, DisconnectReason, SessionEvent};
use crate::healing::Doubt;
use crate::loading::Loading;
use crate::outbox::Outbox;
use crate::persisting::Persisting;
use crate::subscriptions::{Delivery, Handling, SubscriptionId, Subscriptions};
use crate::tape::Tape;
use crate::voting::Voting;

/// The client of one session as a state machine: input and time go in by
/// [`handle`](Self::handle), [`step`](Self::step) simulates, and what the driver must do comes out
/// of [`poll_action`](Self::poll_action). All times are µs of the driver's own monotonic clock,
/// unless they are [`Time`], the session's.
pub struct Client {
    pub(crate) config: Config,
    pub(crate) session_id: SessionId,
    pub(crate) secret: ViewSecret,
    pub(crate) view_id: ViewId,
    pub(crate) seal: Seal,
    pub(crate) room: Room,
    /// The room's blobs.
    pub(crate) space: Space,
    pub(crate) rng: ChaCha12Rng,

    pub(crate) phase: Phase,
    pub(crate) reported: ConnectionState,
    pub(crate) reconnecting_since: Option<u64>,
    pub(crate) failure: Option<DisconnectReason>,
    pub(crate) last_heard: u64,
    /// Counts the connections that were made.
    pub(crate) attempt: u64,

    pub(crate) vm: Option<Vm>,
    /// Which timeline `vm` belongs to.
    pub(crate) timeline: Option<u64>,
    pub(crate) backlog: Backlog,
    /// The log up to here was old when this connection was made.
    pub(crate) history_until: u64,
    /// Where the log ended when the model was loaded: it has taken part in no vote before.
    pub(crate) loaded_at: u64,
    /// Where the catch-up began, for its progress.
    pub(crate) history_from: u64,
    /// The view may be built once a join of this view has been simulated.
    pub(crate) own_join_seen: bool,
    pub(crate) view_ready: bool,
    /// The owner has yet to take [`SessionEvent::ViewReady`].
    pub(crate) view_unbuilt: bool,
    pub(crate) synced: bool,
    /// The last step did not get to the end of what there was to simulate.
    pub(crate) unfinished: bool,
    /// A turn failed and could not be undone: the model may not be what others have.
    pub(crate) not_undone: bool,
    pub(crate) held: bool,
    pub(crate) limits: SendLimits,

    pub(crate) outbox: Outbox,
    /// The counter of this view's newest send that the model has handled.
    pub(crate) applied: u64,
    pub(crate) voting: Voting,
    pub(crate) persisting: Persisting,
    /// The state that was left behind, while it is not known what the right one was.
    pub(crate) doubt: Option<Doubt>,
    /// Not before this time does a vote without a majority make this client join anew.
    pub(crate) may_reload_from: u64,
    pub(crate) clock: Clock,
    pub(crate) pulse: Pulse,
    pub(crate) backoff: Backoff,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) published: Vec<Published>,
    /// What goes into the model, if somebody records it.
    pub(crate) tape: Option<Tape>,

    pub(crate) actions: VecDeque<Action>,
    pub(crate) events: VecDeque<SessionEvent>,
}

/// Where the connection stands.
pub(crate) enum Phase {
    /// Nothing was asked for yet.
    Idle,
    /// The driver was asked to connect, from this time on.
    Connecting { from: u64 },
    /// The join is on its way; the welcome must come before this time.
    Joining { until: u64 },
    /// The snapshot arrives.
    Loading(Loading),
    /// Ordered messages arrive.
    Running,
    /// Left or failed: nothing will happen any more.
    Over,
}

/// A send that the reflector will order: see [`Client::is_applied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub u64);

/// Why a publish did not happen. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Larger than an event may be.
    #[error("the event has {size} bytes, {most} are allowed")]
    TooLarge {
        /// Bytes of the event, encryption included.
        size: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// Too much is waiting, to be sent or to be pulled: publish less, or later.
    #[error("too many events are waiting")]
    TooFast,
    /// The session has not been joined yet.
    #[error("the session has not been joined yet")]
    NotJoined,
    /// The session was left, or has failed.
    #[error("the session is over")]
    Over,
    /// The payload cannot be expressed in MessagePack.
    #[error("the payload cannot be encoded: {0}")]
    Encoding(String),
}

impl PublishError {
    /// The name that programs switch on, the same in every language.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::TooFast => "TOO_FAST",
            Self::NotJoined => "NOT_JOINED",
            Self::Over => "OVER",
            Self::Encoding(_) => "ENCODING",
        }
    }
}

impl Client {
    /// A client that has yet to [`connect`](Self::connect). `entropy` must be 32 bytes that nobody
    /// can guess: the view's identity and all nonces come from them. With a password this derives
    /// the keys, which takes some 30 ms.
    pub fn new(config: Config, entropy: [u8; 32]) -> Result<Self, ConfigError> {
        config.check()?;
        let session_id = config.session_id();
        let mut rng = ChaCha12Rng::from_seed(entropy);
        let mut secret = ViewSecret([0; 32]);
        rng.fill_bytes(&mut secret.0);
        let keys = config.room_keys();
        Ok(Self {
            seal: Seal::new(session_id, &keys),
            room: config.room(&keys),
            space: Space::of(&keys),
            config,
            session_id,
            view_id: secret.view_id(),
            secret,
            rng,
            phase: Phase::Idle,
            reported: ConnectionState::Connecting,
            reconnecting_since: None,
            failure: None,
            last_heard: 0,
            attempt: 0,
            vm: None,
            timeline: None,
            backlog: Backlog::default(),
            history_until: 0,
            loaded_at: 0,
            history_from: 0,
            own_join_seen: false,
            view_ready: false,
            view_unbuilt: false,
            synced: false,
            unfinished: false,
            not_undone: false,
            held: false,
            limits: SendLimits { max_payload: 0, per_second: 1, burst: 1, max_snapshot: 0 },
            outbox: Outbox::default(),
            applied: 0,
            voting: Voting::default(),
            persisting: Persisting::default(),
            doubt: None,
            may_reload_from: 0,
            clock: Clock::default(),
            pulse: Pulse::default(),
            backoff: Backoff::default(),
            subscriptions: Subscriptions::default(),
            published: Vec::new(),
            tape: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// What the driver must do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What the owner should know next.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front();
        if matches!(event, Some(SessionEvent::ViewReady)) {
            self.view_unbuilt = false;
        }
        event
    }

    /// The next event for a subscription with this handling. Immediate ones are to be taken after
    /// every [`step`](Self::step), queued ones and then those once per frame at the end of a frame.
    pub fn poll_delivery(&mut self, handling: Handling) -> Option<Delivery> {
        self.subscriptions.poll(handling)
    }

    /// Identity of the session.
    pub fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// Identity of this view.
    pub fn view_id(&self) -> ViewId {
        self.view_id
    }

    /// What the session was joined with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the client stands with its reflector.
    pub fn connection_state(&self) -> ConnectionState {
        match (&self.phase, &self.failure) {
            (Phase::Over, Some(_)) => ConnectionState::Failed,
            (Phase::Over, None) => ConnectionState::Left,
            (Phase::Running, _) if self.view_ready => ConnectionState::Live,
            (Phase::Running | Phase::Loading(_), _) => ConnectionState::CatchingUp,
            _ if self.timeline.is_some() => ConnectionState::Reconnecting,
            _ => ConnectionState::Connecting,
        }
    }

    /// Since when the connection is broken, on the driver's clock.
    pub fn reconnecting_since(&self) -> Option<u64> {
        self.reconnecting_since
    }

    /// Why the client has given up, if it has.
    pub fn failure(&self) -> Option<&DisconnectReason> {
        self.failure.as_ref()
    }

    /// How far the catch-up is, from 0 to 1.
    pub fn progress(&self) -> f32 {
        let (done, of) = match &self.phase {
            Phase::Loading(loading) => return loading.progress() / 2.0,
            Phase::Running => {
                let at = self.vm.as_ref().map_or(0, Vm::seq).min(self.history_until);
                (at.saturating_sub(self.history_from), self.history_until - self.history_from)
            }
            _ => return if self.view_ready { 1.0 } else { 0.0 },
        };
        if of == 0 { 1.0 } else { 0.5 + done as f32 / of as f32 / 2.0 }
    }

    /// Whether the model is up to date with the reflector.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Round trips to the reflector.
    pub fn round_trips(&self) -> RoundTrips {
        self.pulse.round_trips()
    }

    /// The model, to read it. There is none before the first catch-up and after leaving.
    pub fn vm(&self) -> Option<&Vm> {
        self.vm.as_ref()
    }

    /// Runs a read-only query of a model.
    pub fn query(
        &self,
        model: ModelId,
        name: &str,
        args: &[u8],
    ) -> Option<Result<Payload, QueryError>> {
        self.vm.as_ref().map(|vm| vm.query(model, name, args))
    }

    /// The session time up to which the model has been simulated.
    pub fn now(&self) -> Time {
        self.vm.as_ref().map_or(Time::ZERO, Vm::time)
    }

    /// The newest session time that the reflector has told.
    pub fn external_now(&self) -> Time {
        Time::from_micros(self.clock.external())
    }

    /// An estimate of the session time at this moment.
    pub fn extrapolated_now(&self, now: u64) -> Time {
        if matches!(self.phase, Phase::Running) {
            Time::from_micros(self.clock.extrapolated(now))
        } else {
            self.external_now()
        }
    }

    /// Sends an event to the models of all participants, this one's included: it comes back with
    /// its place in the order, and no model changes before. While the connection is broken it is
    /// kept and sent later.
    pub fn publish(
        &mut self,
        now: u64,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        let data =
            rmp_serde::to_vec(data).map_err(|error| PublishError::Encoding(error.to_string()))?;
        self.publish_encoded(now, scope, event, &data)
    }

    /// The same with a payload that is MessagePack already.
    pub fn publish_encoded(
        &mut self,
        now: u64,
        scope: &str,
        event: &str,
        data: &[u8],
    ) -> Result<Receipt, PublishError> {
        match self.phase {
            Phase::Over => return Err(PublishError::Over),
            _ if self.timeline.is_none() => return Err(PublishError::NotJoined),
            _ => {}
        }
        let most = self.limits.max_payload as usize;
        let too_large = |size| Err(PublishError::TooLarge { size, most });
        let at_least = scope.len() + event.len() + data.len() + self.seal.overhead();
        if at_least > most {
            return too_large(at_least);
        }
        let plain = rmp_serde::to_vec(&(scope, event, serde_bytes::Bytes::new(data)))
            .expect("strings and bytes can be expressed in MessagePack");
        let size = plain.len() + self.seal.overhead();
        if size > most {
            return too_large(size);
        }
        if !self.outbox.has_room_for(size) {
            return Err(PublishError::TooFast);
        }
        let counter = self.outbox.next_counter();
        let sealed = self.seal.seal(Binding::Event(self.view_id, counter), &plain);
        self.outbox.push(sealed);
        self.flush_outbox(now);
        Ok(Receipt(counter))
    }

    /// Whether the model has handled this send: it has come back and been simulated.
    pub fn is_applied(&self, receipt: Receipt) -> bool {
        receipt.0 <= self.applied
    }

    /// Sends an event to the views of this client only; it never leaves the process. Fails if too many wait
    /// for them already.
    pub fn publish_to_views(
        &mut self,
        scope: &str,
        event: &str,
        payload: Payload,
    ) -> Result<(), PublishError> {
        if self.is_full() {
            return Err(PublishError::TooFast);
        }
        let event = Published { scope: Arc::from(scope), event: Arc::from(event), payload };
        self.subscriptions.route(&event);
        Ok(())
    }

    /// Listens to what models and this client's views publish; `*` matches every scope or event.
    pub fn subscribe(&mut self, scope: &str, event: &str, handling: Handling) -> SubscriptionId {
        let topic = (Arc::from(scope), Arc::from(event));
        let (id, first) = self.subscriptions.add(topic, handling);
        if first && let Some(vm) = &mut self.vm {
            vm.watch(scope, event);
        }
        id
    }

    /// Ends a subscription; what waits for it is dropped.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some((scope, event)) = self.subscriptions.remove(id)
            && let Some(vm) = &mut self.vm
        {
            vm.unwatch(&scope, &event);
        }
    }

    /// Asks for a vote of all participants on their state hash.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        match self.phase {
            Phase::Running => {
                // One that comes after it answers however many requests.
                if !std::mem::replace(&mut self.voting.asked, true) {
                    self.send(&ClientMessage::RequestVote);
                }
                Ok(())
            }
            Phase::Over => Err(PublishError::Over),
            _ => Err(PublishError::NotJoined),
        }
    }

    /// A random number that has nothing to do with the model's.
    pub fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    pub(crate) fn send(&mut self, message: &ClientMessage<'_>) {
        self.actions.push_back(Action::Send(message.encode()));
    }

    /// Tells the owner something that happens while the model stands still, too. If as much waits as may it
    /// takes the place of what was told of its kind before.
    pub(crate) fn tell(&mut self, event: SessionEvent) {
        if self.is_full() {
            let kind = std::mem::discriminant(&event);
            self.events.retain(|waiting| std::mem::discriminant(waiting) != kind);
        }
        self.events.push_back(event);
    }

    pub(crate) fn report_faults(&mut self, faults: Vec<Fault>) {
        self.events.extend(faults.into_iter().map(SessionEvent::Fault));
    }
}
