//! A session on a real connection, with a view on the thread that steps it.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use serde::Serialize;
use teatime_net::client::Waker;
use teatime_session::{Config, Handling, PublishError, Receipt, SessionEvent, Stepped};

use crate::driver::{Driver, JoinError};
use crate::view::{View, ViewContext, ViewHost};

#[cfg(feature = "recording")]
mod record;

/// A session that has joined, or is about to.
///
/// Call [`step`](Self::step) often, on the thread that owns the session. A step simulates what has arrived and
/// runs the view, so the view reads the model directly and needs no lock. The sockets live on a thread of their
/// own. Dropping the session leaves it.
///
/// # What it offers
/// - **Run**: [`join`](Self::join), [`step`](Self::step), [`wait`](Self::wait), [`next_event`](Self::next_event),
///   [`leave`](Self::leave).
/// - **View**: [`view`](Self::view), [`with_view`](Self::with_view).
/// - **Ask**: a session dereferences to its [`Driver`], and that to its [`Client`](crate::Client). So
///   `session.vm()`, `session.now()`, `session.connection_state()`, `session.session_id()` and all other
///   questions are methods of [`Client`](crate::Client).
/// - **Publish**: [`publish`](Self::publish). Subscriptions belong to the view: see [`ViewContext::subscribe`].
///
/// All [`std::time::Duration`]s here are real time.
pub struct Session<V: View> {
    driver: Driver,
    view: ViewHost<V>,
    events: VecDeque<SessionEvent>,
    missed: u64,
}

impl<V: View> fmt::Debug for Session<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("driver", &self.driver)
            .field("has_view", &self.view.get().is_some())
            .field("waiting_events", &self.events.len())
            .finish_non_exhaustive()
    }
}

impl<V: View> Deref for Session<V> {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

/// The number of events that wait for the app to pull them. An app need not pull any.
const MAX_WAITING_EVENTS: usize = 1024;

impl<V: View> Session<V> {
    /// Starts to join through the reflector at this address, such as `ws://127.0.0.1:9090`. Returns at once: the
    /// first [`step`](Self::step)s connect, catch up and build the view.
    ///
    /// # Errors
    /// The configuration, the address or the certificates are not valid, or the operating system refused a
    /// thread or random numbers.
    pub fn join(config: Config, reflector: &str) -> Result<Self, JoinError>
    where
        V::Args: Default,
    {
        Self::join_with(config, reflector, V::Args::default())
    }

    /// Like [`join`](Self::join), with a value of the app's own, which [`View::attach`] receives each time that
    /// a view is built.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn join_with(config: Config, reflector: &str, args: V::Args) -> Result<Self, JoinError> {
        Self::join_with_waker(config, reflector, args, Arc::new(|| {}))
    }

    /// Like [`join_with`](Self::join_with). A background thread calls `waker` when there is something to step
    /// through. The waker must do no more than notify the thread that steps.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn join_with_waker(
        config: Config,
        reflector: &str,
        args: V::Args,
        waker: Waker,
    ) -> Result<Self, JoinError> {
        let driver = Driver::join(config, reflector, waker)?;
        Ok(Self { driver, view: ViewHost::new(args), events: VecDeque::new(), missed: 0 })
    }

    /// Runs one frame:
    /// 1. takes in what has arrived and simulates it, for about `budget` of real time at most;
    /// 2. delivers queued events to the view in order, then those once per frame, then the events that these
    ///    handlers queued;
    /// 3. runs the timers that are due, then [`View::update`].
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

    /// The real time after which the next step has work to do even if nothing arrives. `None`: not before
    /// something arrives.
    pub fn next_due(&self) -> Option<StdDuration> {
        let timer = self.view.next_timer();
        let timer =
            timer.map(|at| StdDuration::from_micros(at.saturating_sub(self.driver.clock())));
        self.driver.next_due().into_iter().chain(timer).min()
    }

    /// Waits until a step has work to do, for `at_most` of real time.
    pub fn wait(&mut self, at_most: StdDuration) {
        let pause = self.next_due().map_or(at_most, |due| at_most.min(due));
        self.driver.wait(pause);
    }

    /// Steps and waits until there is an event, for `at_most` of real time.
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

    /// The oldest event that the app has not pulled yet. The newest 1024 events wait;
    /// [`missed_events`](Self::missed_events) counts those that were dropped.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// The number of events that were dropped because 1024 newer ones were waiting.
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

    /// Drops the connection and makes a new one now; see [`Client::reconnect`](crate::Client::reconnect).
    pub fn reconnect(&mut self) {
        self.driver.reconnect();
        let now = self.driver.clock();
        self.take_events(now);
    }

    /// Leaves for good: detaches the view, and the other participants see the exit. Does nothing the second
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

    /// Runs `run` with the view and its context. `None` without a view.
    pub fn with_view<R>(
        &mut self,
        run: impl FnOnce(&mut V, &mut ViewContext<'_, V>) -> R,
    ) -> Option<R> {
        let now = self.driver.clock();
        let result = self.view.with(self.driver.client_mut(), now, run);
        self.driver.perform();
        result
    }

    /// Sends an event to the models of all participants; see [`Client::publish`](crate::Client::publish).
    pub fn publish(
        &mut self,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.driver.publish(scope, event, data)
    }

    /// Asks all participants to vote on their state hash; see [`Driver::request_vote`].
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        self.driver.request_vote()
    }

    /// The root model, while there is one.
    pub fn model(&self) -> Option<&V::Model> {
        self.vm()?.root::<V::Model>()
    }
}

impl<V: View> Drop for Session<V> {
    fn drop(&mut self) {
        self.leave();
    }
}
