//! A client on a real connection, whose owner pulls what happens.

use std::io;
#[cfg(feature = "recording")]
use std::path::Path;
use std::time::{Duration as StdDuration, Instant};

use serde::Serialize;
use teatime_net::client::{Transport, Waker};
use teatime_net::tls::{BadCertificates, Trust};
use teatime_session::{
    Client, Config, ConfigError, Delivery, Handling, PublishError, Receipt, SessionEvent, Stepped,
    SubscriptionId,
};
use teatime_vm::{Payload, Time};

use crate::evidence;
use crate::link::{LinkError, reflector_address};
#[cfg(feature = "recording")]
use crate::{recorder::Recorder, recording::Recorded};

/// Everything that can go wrong before a session begins to connect. What goes wrong later comes as
/// [`SessionEvent`]s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the reflector is wrong.
    #[error(transparent)]
    Address(#[from] LinkError),
    /// The certificates to trust are none.
    #[error("the certificates to trust: {0}")]
    Certificates(#[from] BadCertificates),
    /// The operating system refused what is needed.
    #[error("the session cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// A session without a view of its own: the owner calls [`step`](Self::step) and then pulls events
/// and deliveries. [`Session`](crate::Session) adds a view to it; bindings to other languages use
/// it as it is. The sockets live on a thread of their own. Dropping it leaves the session.
pub struct Driver {
    client: Client,
    transport: Transport,
    started: Instant,
    #[cfg(feature = "recording")]
    recorder: Option<Recorder>,
    /// Told after the fault that it belongs to. There is one at most: a handler may fail at every tick.
    #[cfg(feature = "recording")]
    kept_fault: Option<SessionEvent>,
    #[cfg(feature = "recording")]
    has_kept_fault: bool,
}

impl Driver {
    /// Starts to join; `reflector` is its address, such as `ws://127.0.0.1:9090`. `waker` is called
    /// from a background thread when stepping has become worthwhile; it must only pass that on to
    /// the thread that steps.
    pub fn join(config: Config, reflector: &str, waker: Waker) -> Result<Self, JoinError> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(io::Error::other)?;
        let address = reflector_address(reflector)?;
        let trust = Trust::new(config.trusted_certificates.as_deref())?;
        let mut client = Client::new(config, entropy)?;
        client.connect();
        let transport = Transport::spawn(&address, trust, waker)?;
        let mut driver = Self {
            client,
            transport,
            started: Instant::now(),
            #[cfg(feature = "recording")]
            recorder: None,
            #[cfg(feature = "recording")]
            kept_fault: None,
            #[cfg(feature = "recording")]
            has_kept_fault: false,
        };
        driver.perform();
        Ok(driver)
    }

    /// Takes in what has arrived and simulates it, for at most about `budget`.
    ///
    /// It never goes past a [`SessionEvent::ViewReady`] that has not been pulled, so whoever pulls
    /// it reads the model as it stood then and misses nothing of what follows.
    pub fn step(&mut self, budget: StdDuration) {
        self.receive();
        self.simulate(Instant::now() + budget);
    }

    pub(crate) fn receive(&mut self) {
        while let Some(input) = self.transport.poll_input() {
            self.client.handle(self.clock(), input);
            self.perform();
        }
    }

    pub(crate) fn simulate(&mut self, deadline: Instant) -> Stepped {
        let now = self.clock();
        let stepped = self.client.step(now, &mut || Instant::now() < deadline);
        self.write_tape();
        self.perform();
        stepped
    }

    pub(crate) fn perform(&mut self) {
        while let Some(action) = self.client.poll_action() {
            self.transport.perform(action);
        }
    }

    /// µs since this was made: the clock of the state machine.
    pub(crate) fn clock(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Writes all that goes into the model from now on into a file, which must not be there; from the
    /// join on if this comes before the first [`step`](Self::step). See [`recording`](crate::recording).
    ///
    /// # Errors
    /// What the operating system says to making the file, and that something is being recorded.
    #[cfg(feature = "recording")]
    pub fn record(&mut self, path: &Path) -> io::Result<()> {
        if self.recorder.is_some() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is being recorded"));
        }
        self.recorder = Some(Recorder::create(path)?);
        self.client.start_tape();
        self.write_tape();
        Ok(())
    }

    /// Ends the recording, and says what there is of it; nothing if there is none.
    ///
    /// # Errors
    /// What the operating system said to writing it. What was written by then can be read.
    #[cfg(feature = "recording")]
    pub fn stop_recording(&mut self) -> io::Result<Recorded> {
        self.write_tape();
        self.client.stop_tape();
        self.recorder.take().map_or_else(|| Ok(Recorded::default()), Recorder::finish)
    }

    /// Why the recording has come to an end by itself, if it has.
    #[cfg(feature = "recording")]
    pub fn recording_error(&self) -> Option<&io::Error> {
        self.recorder.as_ref()?.error()
    }

    fn write_tape(&mut self) {
        #[cfg(feature = "recording")]
        if let Some(recorder) = &mut self.recorder {
            recorder.add(self.client.take_tape(), self.client.now());
            if recorder.is_full() {
                // The next file begins with the state of now.
                self.client.stop_tape();
                self.client.start_tape();
            }
        }
    }

    /// In what time a step is worthwhile even if nothing arrives.
    pub fn next_due(&self) -> Option<StdDuration> {
        let due = self.client.next_wakeup();
        due.map(|at| StdDuration::from_micros(at.saturating_sub(self.clock())))
    }

    /// Waits until something arrives, at most so long.
    pub fn wait(&mut self, at_most: StdDuration) {
        self.transport.wait(at_most);
    }

    /// What has happened to the session, oldest first.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        #[cfg(feature = "recording")]
        if let Some(event) = self.kept_fault.take() {
            return Some(event);
        }
        let mut event = self.client.poll_event()?;
        evidence::keep(&mut event, &self.client);
        #[cfg(feature = "recording")]
        if let SessionEvent::Fault(fault) = &event
            && !self.has_kept_fault
        {
            self.kept_fault = evidence::keep_fault(fault, &self.client);
            self.has_kept_fault = self.kept_fault.is_some();
        }
        Some(event)
    }

    /// The next event for a subscription with this handling.
    pub fn poll_delivery(&mut self, handling: Handling) -> Option<Delivery> {
        self.client.poll_delivery(handling)
    }

    /// Listens to a topic; see [`Client::subscribe`].
    pub fn subscribe(&mut self, scope: &str, event: &str, handling: Handling) -> SubscriptionId {
        self.client.subscribe(scope, event, handling)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.client.unsubscribe(id);
    }

    /// Sends an event to the models of all participants; see [`Client::publish`].
    pub fn publish(
        &mut self,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        let receipt = self.client.publish(self.clock(), scope, event, data);
        self.perform();
        receipt
    }

    /// The same with data that is MessagePack already.
    pub fn publish_encoded(
        &mut self,
        scope: &str,
        event: &str,
        data: &[u8],
    ) -> Result<Receipt, PublishError> {
        let receipt = self.client.publish_encoded(self.clock(), scope, event, data);
        self.perform();
        receipt
    }

    /// Sends an event to the subscriptions of this client only; see [`Client::publish_to_views`].
    pub fn publish_to_views(
        &mut self,
        scope: &str,
        event: &str,
        payload: Payload,
    ) -> Result<(), PublishError> {
        self.client.publish_to_views(scope, event, payload)
    }

    /// Asks for a vote of all participants on their state hash. The answers come as events.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        let requested = self.client.request_vote();
        self.perform();
        requested
    }

    /// Makes a new connection at once; see [`Client::reconnect`].
    pub fn reconnect(&mut self) {
        self.client.reconnect(self.clock());
        self.perform();
    }

    /// Leaves for good; the others see the exit. Does nothing the second time.
    pub fn leave(&mut self) {
        self.write_tape();
        self.client.leave();
        self.perform();
    }

    /// The state machine, to ask what is not offered here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// A random number that has nothing to do with the model's.
    pub fn random_u64(&mut self) -> u64 {
        self.client.random_u64()
    }

    /// For how long the connection has been broken.
    pub fn reconnecting_for(&self) -> Option<StdDuration> {
        let since = self.client.reconnecting_since()?;
        Some(StdDuration::from_micros(self.clock().saturating_sub(since)))
    }

    /// An estimate of the session time at this moment.
    pub fn extrapolated_now(&self) -> Time {
        self.client.extrapolated_now(self.clock())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave();
        // Whoever wants to know how it went stops it himself.
        #[cfg(feature = "recording")]
        let _ = self.stop_recording();
    }
}
