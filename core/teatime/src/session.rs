//! A session on a real connection, with a view on the thread that steps it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};
#[cfg(feature = "recording")]
use std::{io, path::Path};

use serde::Serialize;
use teatime_net::client::Waker;
use teatime_session::{
    Client, Config, ConnectionState, DisconnectReason, Handling, PublishError, Receipt, RoundTrips,
    SessionEvent, Stepped,
};
use teatime_vm::{SessionId, Time, ViewId, Vm};

use crate::driver::{Driver, JoinError};
#[cfg(feature = "recording")]
use crate::recording::Recorded;
use crate::recording::Recording;
use crate::view::{View, ViewContext, ViewHost};

/// A session that has been joined, or is on the way to it.
///
/// Call [`step`](Self::step) often, on whatever thread owns the session: it simulates what has
/// arrived and runs the view, so the view may read the model directly and needs no lock. The
/// sockets live on a thread of their own. Dropping the session leaves it.
pub struct Session<V: View> {
    driver: Driver,
    view: ViewHost<V>,
    events: VecDeque<SessionEvent>,
    missed: u64,
}

/// Most events that wait for an app to pull them: it may well not be interested in any.
const MAX_WAITING_EVENTS: usize = 1024;

impl<V: View> Session<V> {
    /// Starts to join; `reflector` is its address, such as `ws://127.0.0.1:9090`. Returns at once:
    /// the first [`step`](Self::step)s connect, catch up and build the view.
    pub fn join(config: Config, reflector: &str) -> Result<Self, JoinError> {
        Self::join_with_waker(config, reflector, Arc::new(|| {}))
    }

    /// The same; `waker` is called from a background thread when stepping has become worthwhile.
    /// It must only pass that on to the thread that steps.
    pub fn join_with_waker(
        config: Config,
        reflector: &str,
        waker: Waker,
    ) -> Result<Self, JoinError> {
        let driver = Driver::join(config, reflector, waker)?;
        Ok(Self { driver, view: ViewHost::default(), events: VecDeque::new(), missed: 0 })
    }

    /// One frame: takes in what has arrived, simulates it for at most about `budget`, and then runs
    /// the view: queued events in order, then those once per frame, then what these queued, then
    /// timers that are due, then [`View::update`].
    pub fn step(&mut self, budget: StdDuration) {
        let deadline = Instant::now() + budget;
        self.driver.receive();
        loop {
            let stepped = self.driver.simulate(deadline);
            let now = self.driver.clock();
            self.take_events(now);
            self.view.deliver(self.driver.client_mut(), now, Handling::Immediate);
            self.driver.perform();
            if stepped != Stepped::Attention {
                break;
            }
        }
        let now = self.driver.clock();
        self.view.frame(self.driver.client_mut(), now);
        self.driver.perform();
    }

    /// In what time a step is worthwhile even if nothing arrives.
    pub fn next_due(&self) -> Option<StdDuration> {
        let timer = self.view.next_timer();
        let timer =
            timer.map(|at| StdDuration::from_micros(at.saturating_sub(self.driver.clock())));
        self.driver.next_due().into_iter().chain(timer).min()
    }

    /// Waits until a step is worthwhile, at most so long.
    pub fn wait(&mut self, at_most: StdDuration) {
        let pause = self.next_due().map_or(at_most, |due| at_most.min(due));
        self.driver.wait(pause);
    }

    /// Steps and waits until there is something to tell, at most so long.
    pub fn next_event(&mut self, at_most: StdDuration) -> Option<SessionEvent> {
        let deadline = Instant::now() + at_most;
        loop {
            self.step(StdDuration::from_millis(200));
            if let Some(event) = self.poll_event() {
                return Some(event);
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return None;
            }
            self.wait(rest);
        }
    }

    /// What has happened to the session, oldest first. The newest 1024 wait to be pulled;
    /// [`missed_events`](Self::missed_events) tells whether there were more.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// How many events were dropped because 1024 newer ones were not pulled either.
    pub fn missed_events(&self) -> u64 {
        self.missed
    }

    fn take_events(&mut self, now: u64) {
        while let Some(event) = self.driver.poll_event() {
            match event {
                SessionEvent::ViewReady => self.view.attach(self.driver.client_mut(), now),
                SessionEvent::ViewLost => self.view.detach(self.driver.client_mut()),
                _ => {}
            }
            if self.events.len() == MAX_WAITING_EVENTS {
                self.events.pop_front();
                self.missed += 1;
            }
            self.events.push_back(event);
        }
    }

    /// Makes a new connection at once; see [`Client::reconnect`](teatime_session::Client::reconnect).
    pub fn reconnect(&mut self) {
        self.driver.reconnect();
        let now = self.driver.clock();
        self.take_events(now);
    }

    /// Leaves for good: the view is detached, the others see the exit. Does nothing the second
    /// time.
    pub fn leave(&mut self) {
        self.driver.leave();
        let now = self.driver.clock();
        self.take_events(now);
    }

    /// The view, while there is one.
    pub fn view(&self) -> Option<&V> {
        self.view.get()
    }

    /// Runs something with the view and what a view can do; none while there is no view.
    pub fn with_view<R>(
        &mut self,
        run: impl FnOnce(&mut V, &mut ViewContext<'_, V>) -> R,
    ) -> Option<R> {
        let now = self.driver.clock();
        let result = self.view.with(self.driver.client_mut(), now, run);
        self.driver.perform();
        result
    }

    /// Sends an event to the models of all participants; see [`Client::publish`].
    pub fn publish(
        &mut self,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.driver.publish(scope, event, data)
    }

    /// Asks for a vote of all participants on their state hash. The answers come as events.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        self.driver.request_vote()
    }

    /// Writes all that goes into the model from now on into a file, which must not be there; from the
    /// join on if this comes before the first [`step`](Self::step). See [`recording`](crate::recording).
    ///
    /// # Errors
    /// What the operating system says to making the file, and that something is being recorded.
    #[cfg(feature = "recording")]
    pub fn record(&mut self, path: &Path) -> io::Result<()> {
        self.driver.record(path)
    }

    /// Ends the recording, and says what there is of it; nothing if there is none.
    ///
    /// # Errors
    /// What the operating system said to writing it. What was written by then can be read.
    #[cfg(feature = "recording")]
    pub fn stop_recording(&mut self) -> io::Result<Recorded> {
        self.driver.stop_recording()
    }

    /// Why the recording has come to an end by itself, if it has.
    #[cfg(feature = "recording")]
    pub fn recording_error(&self) -> Option<&io::Error> {
        self.driver.recording_error()
    }

    /// What has led to where the model stands, for a report of what goes wrong; see
    /// [`Client::recording`](teatime_session::Client::recording).
    pub fn recording(&self) -> Option<Recording> {
        self.driver.client().recording()
    }

    /// The root model, while there is one.
    pub fn model(&self) -> Option<&V::Model> {
        self.vm()?.root::<V::Model>()
    }

    /// The whole model, to read any part of it.
    pub fn vm(&self) -> Option<&Vm> {
        self.driver.client().vm()
    }

    /// The state machine behind this session, to ask what is not offered here.
    pub fn client(&self) -> &Client {
        self.driver.client()
    }

    /// Identity of the session.
    pub fn id(&self) -> SessionId {
        self.driver.client().session_id()
    }

    /// Identity of this view.
    pub fn view_id(&self) -> ViewId {
        self.driver.client().view_id()
    }

    /// How the session stands with its reflector.
    pub fn connection_state(&self) -> ConnectionState {
        self.driver.client().connection_state()
    }

    /// For how long the connection has been broken.
    pub fn reconnecting_for(&self) -> Option<StdDuration> {
        self.driver.reconnecting_for()
    }

    /// Why the session has failed, if it has.
    pub fn failure(&self) -> Option<&DisconnectReason> {
        self.driver.client().failure()
    }

    /// How far the catch-up is, from 0 to 1.
    pub fn progress(&self) -> f32 {
        self.driver.client().progress()
    }

    /// Whether the model is up to date with the reflector.
    pub fn synced(&self) -> bool {
        self.driver.client().is_synced()
    }

    /// Round trips to the reflector.
    pub fn round_trips(&self) -> RoundTrips {
        self.driver.client().round_trips()
    }

    /// The session time up to which the model has been simulated.
    pub fn now(&self) -> Time {
        self.driver.client().now()
    }

    /// The newest session time that the reflector has told.
    pub fn external_now(&self) -> Time {
        self.driver.client().external_now()
    }

    /// An estimate of the session time at this moment.
    pub fn extrapolated_now(&self) -> Time {
        self.driver.extrapolated_now()
    }
}

impl<V: View> Drop for Session<V> {
    fn drop(&mut self) {
        self.leave();
    }
}
