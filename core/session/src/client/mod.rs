//! The client of one session. This file has what its owner calls; the parts that it is made of have files of their
//! own, and are changed by their own methods only.

mod agreement;
mod backlog;
mod backoff;
mod ballot;
mod clock;
mod connection;
mod healing;
mod history;
mod identity;
mod input;
mod lifecycle;
mod loading;
mod model;
mod outbox;
mod outgoing;
mod persisting;
mod presences;
#[cfg(feature = "recording")]
mod recording;
mod step;
mod subscriptions;
#[cfg(feature = "recording")]
mod tape;
#[cfg(not(feature = "recording"))]
#[path = "no_tape.rs"]
mod tape;
mod unheard;
mod view;
mod voting;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use teatime_base::{RoomKeys, Seal, SecretKey, SessionId};
use teatime_vm::recording::Recording;
use teatime_vm::{ModelId, Payload, Published, QueryError, Source, Time, ViewId, Vm};
use teatime_wire::{Chain, ClientMessage, SnapshotInfo};
use zeroize::Zeroizing;

use self::backlog::Backlog;
use self::clock::{Clock, Pulse};
use self::connection::{Connection, Phase};
use self::healing::Healing;
use self::history::History;
use self::identity::Identity;
use self::model::Model;
use self::outbox::Outbox;
use self::outgoing::Outgoing;
use self::persisting::Persisting;
use self::presences::Presences;
use self::subscriptions::Subscriptions;
use self::tape::Tape;
use self::unheard::Unheard;
use self::view::OwnView;
use self::voting::Voting;
use crate::alarm::AlarmKind;
use crate::claim::MAX_CLAIM;
use crate::config::{Config, ConfigError};
use crate::content::is_one_value;
use crate::delivery::{Delivery, Handling, SubscriptionId};
use crate::event::{Action, ConnectionState, DisconnectReason, RoundTrips, SessionEvent, Stepped};
use crate::limits::MAX_PRESENCE;
use crate::publish::{PublishError, Receipt};
use crate::transcript::Transcript;

/// The client of one session as a state machine. Input and time go in by [`handle`](Self::handle),
/// [`step`](Self::step) simulates, and what the driver must do comes out of [`poll_action`](Self::poll_action). All
/// times are µs of the driver's own monotonic clock, unless they are [`Time`], the session's.
///
/// All methods with `&self` only ask: they need no clock, do no I/O, and may be called at any moment.
pub struct Client {
    identity: Identity,
    seal: Seal,
    rng: ChaCha12Rng,
    connection: Connection,
    history: History,
    /// The snapshot that could not be used last, and its timeline.
    refused: Option<(u64, SnapshotInfo)>,
    model: Model,
    view: OwnView,
    backlog: Backlog,
    outbox: Outbox,
    transcript: Transcript,
    /// What the owner has been alarmed of.
    alarms: BTreeSet<(AlarmKind, Option<ViewId>)>,
    unheard: Unheard,
    voting: Voting,
    healing: Healing,
    persisting: Persisting,
    presences: Presences,
    /// The reflector has announced the exit of this client's view over the connection that stands.
    is_expelled: bool,
    /// The owner knows that another room of the name is in use.
    is_password_doubted: bool,
    clock: Clock,
    pulse: Pulse,
    subscriptions: Subscriptions,
    tape: Tape,
    outgoing: Outgoing,
    last_step: Stepped,
}

impl Client {
    /// A client that does nothing before [`connect`](Self::connect). `entropy` must be 32 bytes that no other
    /// party can guess: the identity of the view and all nonces come from them. With a password this derives
    /// the keys, which takes some 30 ms.
    ///
    /// # Errors
    /// If a value in the configuration exceeds its limit.
    pub fn new(config: Config, entropy: [u8; 32]) -> Result<Self, ConfigError> {
        config.check()?;
        let keys = config.room_keys();
        Self::with_keys(config, &keys, entropy)
    }

    /// Like [`new`](Self::new), with the keys of the room, which the caller has made before: for programs that run
    /// many clients of one room.
    ///
    /// # Errors
    /// If a value in the configuration exceeds its limit.
    #[doc(hidden)]
    pub fn with_keys(
        config: Config,
        keys: &RoomKeys,
        entropy: [u8; 32],
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let mut rng = ChaCha12Rng::from_seed(entropy);
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let session_id = config.session_in(keys);
        Ok(Self {
            seal: Seal::new(session_id, keys),
            identity: Identity::new(config, keys, SecretKey::of_view(&secret)),
            rng,
            connection: Connection::new(),
            history: History::default(),
            refused: None,
            model: Model::default(),
            view: OwnView::default(),
            backlog: Backlog::default(),
            outbox: Outbox::default(),
            transcript: Transcript::new(Chain::start(session_id, None), keys.has_password()),
            alarms: BTreeSet::new(),
            unheard: Unheard::default(),
            voting: Voting::default(),
            healing: Healing::default(),
            persisting: Persisting::default(),
            presences: Presences::default(),
            is_expelled: false,
            is_password_doubted: false,
            clock: Clock::default(),
            pulse: Pulse::default(),
            subscriptions: Subscriptions::default(),
            tape: Tape::default(),
            outgoing: Outgoing::default(),
            last_step: Stepped::Done,
        })
    }

    /// What the driver must do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outgoing.poll_action()
    }

    /// What the owner should know next.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        let event = self.outgoing.poll_event();
        match event {
            Some(SessionEvent::ViewReady) => self.view.build(),
            Some(SessionEvent::PresencesChanged) => self.presences.mark_polled(),
            _ => {}
        }
        event
    }

    /// The next event for a subscription with this handling. Poll immediate ones after every
    /// [`step`](Self::step), queued ones and then those once per frame at the end of a frame.
    pub fn poll_delivery(&mut self, handling: Handling) -> Option<Delivery> {
        self.subscriptions.poll(handling)
    }

    /// Identity of the session.
    pub fn session_id(&self) -> SessionId {
        self.identity.session_id()
    }

    /// Identity of this view.
    pub fn view_id(&self) -> ViewId {
        self.identity.view_id()
    }

    /// What the session was joined with.
    pub fn config(&self) -> &Config {
        self.identity.config()
    }

    /// The state of the connection to the reflector.
    pub fn connection_state(&self) -> ConnectionState {
        self.connection.state(self.view.is_ready())
    }

    /// Since when the connection is broken, in µs of the driver's clock.
    pub fn reconnecting_since(&self) -> Option<u64> {
        self.connection.broken_since()
    }

    /// Why the client has given up, if it has.
    pub fn failure(&self) -> Option<&DisconnectReason> {
        self.connection.failure()
    }

    /// How far the catch-up is, from 0 to 1.
    pub fn progress(&self) -> f32 {
        match self.connection.phase() {
            Phase::Loading(loading) => loading.progress() / 2.0,
            Phase::Running => 0.5 + self.history.progress(self.model.seq()) / 2.0,
            _ if self.view.is_ready() => 1.0,
            _ => 0.0,
        }
    }

    /// Whether the model is up to date with the reflector.
    pub fn is_synced(&self) -> bool {
        self.clock.is_synced()
    }

    /// Round trips to the reflector.
    pub fn round_trips(&self) -> RoundTrips {
        self.pulse.round_trips()
    }

    /// The model, to read it. `None` before the first catch-up, and after leaving.
    pub fn vm(&self) -> Option<&Vm> {
        self.model.vm()
    }

    /// Runs a read-only query of a model. `None` without a model, before the first catch-up and after leaving.
    pub fn query(
        &self,
        model: ModelId,
        name: &str,
        args: &[u8],
    ) -> Option<Result<Payload, QueryError>> {
        self.model.vm().map(|vm| vm.query(model, name, args))
    }

    /// The session time up to which the model has been simulated.
    pub fn now(&self) -> Time {
        self.model.time()
    }

    /// The chain over all ordered messages that have arrived: equal on all participants that have received the same.
    pub fn chain(&self) -> Chain {
        self.transcript.newest().1
    }

    /// The newest session time that the reflector has sent.
    pub fn external_now(&self) -> Time {
        Time::from_micros(self.clock.external())
    }

    /// An estimate of the session time at `now`, a time of the driver's clock.
    pub fn extrapolated_now(&self, now: u64) -> Time {
        if self.connection.is_running() {
            Time::from_micros(self.clock.extrapolated(now))
        } else {
            self.external_now()
        }
    }

    /// Whether the model has persisted data that the reflector has not stored yet. The client asks for that by
    /// itself, and [`SessionEvent::Persisted`] reports when it is done. A client that leaves before loses nothing
    /// in this session, but a later version of the app does not find the data.
    pub fn has_unpersisted(&self) -> bool {
        self.model.persisted().is_some_and(|data| !self.persisting.is_stored(data))
    }

    /// The newest version of the app that is used in this room, or was, if it is newer than this one.
    pub fn newer_version(&self) -> Option<u32> {
        self.persisting.newer_version()
    }

    /// The newest state that other participants have confirmed, and all events since: for a report of what goes
    /// wrong here. It is plain, even if the session has a password. `None` before the session has been joined, or
    /// if the events were too many.
    pub fn recording(&self) -> Option<Recording> {
        let vm = self.model.vm()?;
        vm.recording(&self.config().options, (vm.time(), vm.seq()))
    }

    /// Whether the model has handled this send: the send has come back, and was simulated.
    pub fn is_applied(&self, receipt: Receipt) -> bool {
        self.outbox.is_applied(receipt.0)
    }

    /// Sends an event to the models of all participants, this one's included. It comes back with its place in
    /// the order, and no model changes before. While the connection is broken the event waits, and is sent later.
    ///
    /// An event of a topic to which no model subscribes is sent too, and does nothing. For the first event of each such
    /// topic the client logs a warning, because it is usually a typing mistake.
    ///
    /// # Errors
    /// If the event is too large, too many wait, or there is no session to send it to. Nothing was sent then.
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

    /// As [`publish`](Self::publish), with a payload that is MessagePack already.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_encoded(
        &mut self,
        now: u64,
        scope: &str,
        event: &str,
        data: &[u8],
    ) -> Result<Receipt, PublishError> {
        if self.connection.is_over() {
            return Err(PublishError::Over);
        }
        if self.connection.timeline().is_none() {
            return Err(PublishError::NotJoined);
        }
        let most = self.outbox.max_payload();
        let too_large = |size| Err(PublishError::TooLarge { size, most });
        let overhead = if self.seal.has_password() { self.seal.overhead() + MAX_CLAIM } else { 0 };
        let at_least = scope.len() + event.len() + data.len() + overhead;
        if at_least > most {
            return too_large(at_least);
        }
        let plain = rmp_serde::to_vec(&(scope, event, serde_bytes::Bytes::new(data)))
            .expect("strings and bytes can be expressed in MessagePack");
        let size = plain.len() + overhead;
        if size > most {
            return too_large(size);
        }
        if !self.outbox.has_room_for(size) {
            return Err(PublishError::TooFast);
        }
        self.unheard.check(self.model.vm(), scope, event);
        let counter = self.outbox.next_counter();
        self.outbox.push(plain);
        self.flush_outbox(now);
        Ok(Receipt(counter))
    }

    /// Shows something of this participant to the others: a cursor, a selection, that its user types. The newest counts, until
    /// this participant exits. No model sees it, nothing of it is stored, and it has no place in the order. At most some 30 a
    /// second are sent; what is replaced before is not. With a password it is encrypted. It is shown again after each
    /// reconnection, and can be set before the session is joined.
    ///
    /// `data` is any value that serde can write, at most 1 KiB of MessagePack.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`], [`PublishError::Encoding`], and [`PublishError::Over`] after the end. What was shown before
    /// is still shown then.
    pub fn set_presence(
        &mut self,
        now: u64,
        data: &(impl Serialize + ?Sized),
    ) -> Result<(), PublishError> {
        // With the names of fields: programs in other languages read it too.
        let data = rmp_serde::to_vec_named(data);
        let data = data.map_err(|error| PublishError::Encoding(error.to_string()))?;
        self.set_presence_encoded(now, &data)
    }

    /// As [`set_presence`](Self::set_presence), with data that is MessagePack already: exactly one value.
    ///
    /// # Errors
    /// As [`set_presence`](Self::set_presence).
    pub fn set_presence_encoded(&mut self, now: u64, data: &[u8]) -> Result<(), PublishError> {
        let (size, most) = (data.len(), MAX_PRESENCE);
        if size > most {
            return Err(PublishError::TooLarge { size, most });
        }
        if !is_one_value(data) {
            return Err(PublishError::Encoding("expected one value of MessagePack".to_owned()));
        }
        self.show(now, data)
    }

    /// Shows nothing of this participant from now on.
    ///
    /// # Errors
    /// [`PublishError::Over`] after the end.
    pub fn clear_presence(&mut self, now: u64) -> Result<(), PublishError> {
        self.show(now, &[])
    }

    fn show(&mut self, now: u64, data: &[u8]) -> Result<(), PublishError> {
        if self.connection.is_over() {
            return Err(PublishError::Over);
        }
        self.presences.set_own(data.to_vec());
        self.flush_presence(now);
        Ok(())
    }

    /// What the other participants show of themselves, as they have set it, in the order of their ids.
    pub fn presences(&self) -> impl Iterator<Item = (ViewId, &[u8])> {
        let views = self.model.vm().filter(|_| !self.presences.is_empty());
        let views = views.into_iter().flat_map(Vm::views).filter(|view| *view != self.view_id());
        views.filter_map(|view| {
            let attempt = self.transcript.attempt_of(view);
            self.presences.of(view, attempt).map(|data| (view, data))
        })
    }

    /// Sends an event to the views of this client only. It never leaves the process.
    ///
    /// # Errors
    /// If too many events wait for the views already.
    pub fn publish_to_views(
        &mut self,
        scope: &str,
        event: &str,
        payload: Payload,
    ) -> Result<(), PublishError> {
        if self.is_full() {
            return Err(PublishError::TooFast);
        }
        let source = Source::View(self.view_id());
        let event = Published { scope: Arc::from(scope), event: Arc::from(event), source, payload };
        self.subscriptions.route(&event);
        Ok(())
    }

    /// Listens to what models and this client's views publish. `*` matches every scope, or every event.
    pub fn subscribe(&mut self, scope: &str, event: &str, handling: Handling) -> SubscriptionId {
        let topic = (Arc::from(scope), Arc::from(event));
        let (id, is_first) = self.subscriptions.add(topic, handling);
        if is_first && let Some(vm) = self.model.vm_mut() {
            vm.watch(scope, event);
        }
        id
    }

    /// Ends a subscription, and drops what waits for it.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some((scope, event)) = self.subscriptions.remove(id)
            && let Some(vm) = self.model.vm_mut()
        {
            vm.unwatch(&scope, &event);
        }
    }

    /// Asks for a vote of all participants on their state hash.
    ///
    /// # Errors
    /// If there is no session to vote in.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        match self.connection.phase() {
            Phase::Running => {
                if self.voting.request() {
                    self.outgoing.send(&ClientMessage::RequestVote);
                }
                Ok(())
            }
            Phase::Over(_) => Err(PublishError::Over),
            _ => Err(PublishError::NotJoined),
        }
    }

    /// A random number that has nothing to do with the model's.
    pub fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.session_id())
            .field("view", &self.view_id())
            .field("state", &self.connection_state())
            .field("seq", &self.model.seq())
            .field("time", &self.now())
            .finish_non_exhaustive()
    }
}
