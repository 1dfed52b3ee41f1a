//! A client on a real connection, whose owner pulls what happens.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::time::{Duration as StdDuration, Instant};

use serde::Serialize;
use teatime_net::client::{Transport, Waker};
use teatime_net::tls::{CertificateError, Trust};
use teatime_session::{
    Client, Config, ConfigError, Delivery, Handling, PublishError, Receipt, SessionEvent, Stepped,
    SubscriptionId,
};
use teatime_vm::{Payload, Time, TypedTopic};

use self::tape::Tape;
use crate::address::reflector_address;
use crate::clock;
use crate::evidence;
use crate::link::LinkError;

#[cfg(feature = "recording")]
mod tape;
#[cfg(not(feature = "recording"))]
#[path = "driver/no_tape.rs"]
mod tape;

/// Why a session could not start to join. What goes wrong later arrives as [`SessionEvent`]s.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the reflector is not valid.
    #[error(transparent)]
    Address(#[from] LinkError),
    /// The certificates to trust cannot be used.
    #[error("the certificates to trust cannot be used: {0}")]
    Certificates(#[from] CertificateError),
    /// The operating system refused a thread, a socket or random numbers.
    #[error("cannot start the session: {0}")]
    Io(#[from] io::Error),
}

/// A session without a view of its own. The owner calls [`step`](Self::step) and then pulls events and
/// deliveries. [`Session`](crate::Session) adds a view; bindings to other languages use a driver directly.
///
/// A driver dereferences to its [`Client`], which answers questions: [`vm`](Client::vm),
/// [`connection_state`](Client::connection_state), [`now`](Client::now) and others. Commands, such as
/// [`publish`](Self::publish), are methods of the driver. The sockets live on a thread of their own.
/// Dropping the driver leaves the session.
///
/// All [`std::time::Duration`]s here are real time. Session time, which all participants share, is
/// [`teatime::Time`](crate::Time) and [`teatime::Duration`](crate::Duration).
pub struct Driver {
    client: Client,
    transport: Transport,
    /// On [`clock`].
    started: StdDuration,
    /// The last step has not taken in all that had arrived.
    has_more: bool,
    tape: Tape,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("session", &self.client.session_id())
            .field("view", &self.client.view_id())
            .field("connection", &self.client.connection_state())
            .finish_non_exhaustive()
    }
}

impl Deref for Driver {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Driver {
    /// Starts to join through the reflector at this address, such as `ws://127.0.0.1:9090`. Returns at
    /// once. A background thread calls `waker` when there is something to step through. The waker must do no
    /// more than notify the thread that steps.
    ///
    /// # Errors
    /// The configuration, the address or the certificates are not valid, or the operating system refused a
    /// thread or random numbers.
    pub fn join(config: Config, reflector: &str, waker: Waker) -> Result<Self, JoinError> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(io::Error::other)?;
        let address = reflector_address(reflector)?;
        let trust = Trust::new(config.trusted_certificates.as_deref())?;
        let mut client = Client::new(config, entropy)?;
        client.connect();
        let transport = Transport::spawn(&address, trust, waker)?;
        let (started, tape) = (clock::now(), Tape::default());
        let mut driver = Self { client, transport, started, has_more: false, tape };
        driver.perform();
        Ok(driver)
    }

    /// Takes in what has arrived and simulates it, for about `budget` of real time at most.
    ///
    /// A step stops at a [`SessionEvent::ViewReady`] until the owner has pulled it. So the owner reads the
    /// model as it stood then and misses none of the events that follow.
    pub fn step(&mut self, budget: StdDuration) {
        let deadline = self.receive(budget);
        self.simulate(deadline);
    }

    /// Takes in what has arrived, for about half of the budget: after a long absence to decrypt all of it takes longer. Returns
    /// when the budget ends.
    pub(crate) fn receive(&mut self, budget: StdDuration) -> Instant {
        let start = Instant::now();
        self.has_more = false;
        while !self.has_more
            && let Some(input) = self.transport.poll_input()
        {
            self.client.handle(self.clock(), input);
            self.perform();
            self.has_more = start.elapsed() >= budget / 2;
        }
        start + budget
    }

    pub(crate) fn simulate(&mut self, deadline: Instant) -> Stepped {
        let now = self.clock();
        let stepped = self.client.step(now, &mut || Instant::now() < deadline);
        self.tape.write(&mut self.client);
        self.perform();
        stepped
    }

    pub(crate) fn perform(&mut self) {
        while let Some(action) = self.client.poll_action() {
            self.transport.perform(action);
        }
    }

    /// The clock of the state machine: µs of real time since the driver was made.
    pub(crate) fn clock(&self) -> u64 {
        let passed = clock::now().saturating_sub(self.started);
        u64::try_from(passed.as_micros()).unwrap_or(u64::MAX)
    }

    /// The real time after which the next step has work to do even if nothing arrives. `None`: not before
    /// something arrives.
    pub fn next_due(&self) -> Option<StdDuration> {
        if self.has_more {
            return Some(StdDuration::ZERO);
        }
        let due = self.client.next_wakeup();
        due.map(|at| StdDuration::from_micros(at.saturating_sub(self.clock())))
    }

    /// Waits until something arrives, for `at_most` of real time.
    pub fn wait(&mut self, at_most: StdDuration) {
        self.transport.wait(if self.has_more { StdDuration::ZERO } else { at_most });
    }

    /// The oldest event of the session that the owner has not pulled yet.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        if let Some(event) = self.tape.take_event() {
            return Some(event);
        }
        let mut event = self.client.poll_event()?;
        evidence::save(&mut event, &self.client);
        self.tape.record_fault(&event, &self.client);
        Some(event)
    }

    /// The next published event for a subscription with this handling.
    pub fn poll_delivery(&mut self, handling: Handling) -> Option<Delivery> {
        self.client.poll_delivery(handling)
    }

    /// Subscribes to a topic; see [`Client::subscribe`].
    pub fn subscribe(&mut self, scope: &str, event: &str, handling: Handling) -> SubscriptionId {
        self.client.subscribe(scope, event, handling)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.client.unsubscribe(id);
    }

    /// Sends an event to the models of all participants; see [`Client::publish`].
    ///
    /// # Errors
    /// As [`Client::publish`]. Nothing was sent then.
    pub fn publish(
        &mut self,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.command(|client, now| client.publish(now, scope, event, data))
    }

    /// Like [`publish`](Self::publish), to a topic that carries values of this type.
    ///
    /// # Errors
    /// As [`Client::publish`]. Nothing was sent then.
    pub fn publish_topic<T: Serialize>(
        &mut self,
        topic: &TypedTopic<T>,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.publish(topic.scope(), topic.event(), data)
    }

    /// Like [`publish`](Self::publish), with a payload that is MessagePack already: exactly one value.
    ///
    /// # Errors
    /// As [`Client::publish`]. Nothing was sent then.
    pub fn publish_encoded(
        &mut self,
        scope: &str,
        event: &str,
        payload: &[u8],
    ) -> Result<Receipt, PublishError> {
        self.command(|client, now| client.publish_encoded(now, scope, event, payload))
    }

    /// Sends an event to the subscriptions of this client only; see [`Client::publish_to_views`]. It never leaves the
    /// process.
    ///
    /// # Errors
    /// [`PublishError::TooFast`] if too many events wait to be polled.
    pub fn publish_to_views(
        &mut self,
        scope: &str,
        event: &str,
        payload: Payload,
    ) -> Result<(), PublishError> {
        self.client.publish_to_views(scope, event, payload)
    }

    /// Shows something of this participant to the others; see [`Client::set_presence`].
    ///
    /// # Errors
    /// As [`Client::set_presence`].
    pub fn set_presence(&mut self, data: &(impl Serialize + ?Sized)) -> Result<(), PublishError> {
        self.command(|client, now| client.set_presence(now, data))
    }

    /// Like [`set_presence`](Self::set_presence), with data that is MessagePack already; see
    /// [`Client::set_presence_encoded`].
    ///
    /// # Errors
    /// As [`Client::set_presence`].
    pub fn set_presence_encoded(&mut self, data: &[u8]) -> Result<(), PublishError> {
        self.command(|client, now| client.set_presence_encoded(now, data))
    }

    /// Shows nothing of this participant from now on.
    ///
    /// # Errors
    /// [`PublishError::Over`] after the end.
    pub fn clear_presence(&mut self) -> Result<(), PublishError> {
        self.command(|client, now| client.clear_presence(now))
    }

    /// Asks all participants to vote on their state hash. The answers arrive as [`SessionEvent::State`] and
    /// [`SessionEvent::Verdict`].
    ///
    /// # Errors
    /// [`PublishError::NotJoined`] without a connection, [`PublishError::Over`] after the end.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        self.command(|client, _| client.request_vote())
    }

    /// The app goes to the background; see [`Client::leave_after`].
    pub fn leave_after(&mut self, pause: StdDuration) {
        let pause = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.command(|client, now| client.leave_after(now, pause));
    }

    /// Drops the connection and makes a new one now; see [`Client::reconnect`].
    pub fn reconnect(&mut self) {
        self.command(|client, now| client.reconnect(now));
    }

    /// Leaves for good; the other participants see the exit. Does nothing the second time.
    pub fn leave(&mut self) {
        self.tape.write(&mut self.client);
        self.command(|client, _| client.leave());
    }

    /// Runs a command on the state machine, and performs the actions that follow from it.
    fn command<R>(&mut self, run: impl FnOnce(&mut Client, u64) -> R) -> R {
        let now = self.clock();
        let result = run(&mut self.client, now);
        self.perform();
        result
    }

    pub(crate) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// A random number of this client. It is not part of the replicated random stream.
    pub fn random_u64(&mut self) -> u64 {
        self.client.random_u64()
    }

    /// How long the connection has been broken, in real time. `None` while it is not.
    pub fn reconnecting_for(&self) -> Option<StdDuration> {
        let since = self.client.reconnecting_since()?;
        Some(StdDuration::from_micros(self.clock().saturating_sub(since)))
    }

    /// An estimate of the session time now.
    pub fn extrapolated_now(&self) -> Time {
        self.client.extrapolated_now(self.clock())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave();
        self.tape.close(&mut self.client);
    }
}
