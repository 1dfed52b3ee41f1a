//! A session on a real connection, with a view on the thread that steps it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use teatime_net::client::Waker;
use teatime_session::{
    Config, ConnectionState, DisconnectReason, Handling, PublishError, Receipt, SessionEvent,
    Stepped,
};
use teatime_vm::{TypedTopic, ViewId};

use self::remote::{Calls, MAX_WAITING_CALLS};
use crate::driver::{Driver, JoinError};
use crate::presence;
use crate::view::{View, ViewContext, ViewHost};

#[cfg(feature = "recording")]
mod record;
mod remote;
#[cfg(feature = "stream")]
mod stream;

pub use remote::{Remote, SessionGone};
#[cfg(feature = "stream")]
pub use stream::SessionStream;

/// A session that has joined, or is about to.
///
/// [`run`](Self::run) is a ready-made loop. A program with a loop of its own calls [`step`](Self::step) once per frame, on
/// the thread that owns the session. A step simulates what has arrived and runs the view, so the view reads the model
/// directly and needs no lock. Other threads reach the session through a [`Remote`]. The sockets live on a thread of their
/// own. Dropping the session leaves it.
///
/// # What it offers
/// - **Run**: [`join`](Self::join), [`run`](Self::run), or [`step`](Self::step), [`wait`](Self::wait) and
///   [`next_event`](Self::next_event), and [`leave`](Self::leave).
/// - **Other threads**: [`remote`](Self::remote).
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
    calls: Calls<V>,
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

/// How long one step of [`Session::run`] may simulate before the view is drawn: 30 frames a second while a session catches
/// up.
const RUN_BUDGET: StdDuration = StdDuration::from_millis(33);

/// How long [`Session::run`] waits at most. Whatever happens ends the wait, so this has no effect on speed.
const RUN_PAUSE: StdDuration = StdDuration::from_secs(60);

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
        let calls = Calls::new();
        let driver = Driver::join(config, reflector, calls.waker(waker))?;
        let view = ViewHost::new(args);
        Ok(Self { driver, view, events: VecDeque::new(), missed: 0, calls })
    }

    /// Runs the session until it is over: steps, waits for what comes next, and hands each event to `on_event`. Returns
    /// after [`leave`](Self::leave), which `on_event`, the view's host or a [`Remote`] calls.
    ///
    /// ```no_run
    /// # fn example<V: teatime::View<Args = ()>>(config: teatime::Config) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut session = teatime::Session::<V>::join(config, "ws://127.0.0.1:9090")?;
    /// session.run(|_session, event| {
    ///     if let Some(notice) = event.notice() {
    ///         eprintln!("{notice}");
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The session has failed, and to try again would end the same way. The reason displays as a sentence for users.
    pub fn run(
        &mut self,
        mut on_event: impl FnMut(&mut Self, SessionEvent),
    ) -> Result<(), DisconnectReason> {
        loop {
            self.step(RUN_BUDGET);
            while let Some(event) = self.poll_event() {
                on_event(self, event);
            }
            match self.connection_state() {
                ConnectionState::Left => return Ok(()),
                ConnectionState::Failed => {
                    return self.failure().cloned().map_or(Ok(()), Err);
                }
                _ => self.wait(RUN_PAUSE),
            }
        }
    }

    /// Reaches this session from other threads.
    pub fn remote(&self) -> Remote<V> {
        self.calls.remote()
    }

    /// Runs one frame:
    /// 1. runs the calls of [remotes](Remote);
    /// 2. takes in what has arrived and simulates it, for about `budget` of real time at most;
    /// 3. delivers queued events to the view in order, then those once per frame, then the events that these
    ///    handlers queued;
    /// 4. runs the timers that are due, then [`View::update`].
    pub fn step(&mut self, budget: StdDuration) {
        // No more than may wait, so that a thread which calls without end does not stop the session.
        for _ in 0..MAX_WAITING_CALLS {
            let Some(call) = self.calls.poll() else { break };
            call(self);
        }
        let deadline = self.driver.receive(budget);
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

    /// Waits until a step has work to do, for `at_most` of real time. A call of a [`Remote`] is work too.
    pub fn wait(&mut self, at_most: StdDuration) {
        let pause = self.next_due().map_or(at_most, |due| at_most.min(due));
        self.calls.wait(pause);
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
            // An app that does not pull it must not lose others for it.
            if matches!(event, SessionEvent::PresencesChanged)
                && self
                    .events
                    .iter()
                    .any(|waiting| matches!(waiting, SessionEvent::PresencesChanged))
            {
                continue;
            }
            if self.events.len() == MAX_WAITING_EVENTS {
                self.events.pop_front();
                self.missed += 1;
            }
            self.events.push_back(event);
        }
    }

    /// The app goes to the background, where the system may freeze it: the others see this participant exit after `pause`,
    /// an hour at most by default, whether the app still runs then or not. The message leaves on another thread, within
    /// milliseconds. When the app is back it must call [`reconnect`](Self::reconnect), even if the connection still
    /// stands; see [`Client::leave_after`](crate::Client::leave_after).
    pub fn leave_after(&mut self, pause: StdDuration) {
        self.driver.leave_after(pause);
        let now = self.driver.clock();
        self.take_events(now);
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

    /// The view, while there is one: from [`SessionEvent::ViewReady`] to [`SessionEvent::ViewLost`].
    pub fn view(&self) -> Option<&V> {
        self.view.get()
    }

    /// Runs `run` with the view and its context, for input that comes from outside, such as a click. `None` without a view:
    /// `run` was not called then.
    pub fn with_view<R>(
        &mut self,
        run: impl FnOnce(&mut V, &mut ViewContext<'_, V>) -> R,
    ) -> Option<R> {
        let now = self.driver.clock();
        let result = self.view.with(self.driver.client_mut(), now, run);
        self.driver.perform();
        result
    }

    /// Sends an event to the models of all participants, this one's included; see
    /// [`Client::publish`](crate::Client::publish). `scope` and `event` together name what the models have subscribed to.
    /// `data` is any value that serde can write; `&()` for an event without data. Returns before any model has handled it.
    ///
    /// # Errors
    /// Nothing was sent: the event has more than 64 KiB, 1,024 events or 1 MiB wait already, or the session has not joined
    /// yet, or is over.
    pub fn publish(
        &mut self,
        scope: &str,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.driver.publish(scope, event, data)
    }

    /// Like [`publish`](Self::publish), to a topic that carries values of this type.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_topic<T: Serialize>(
        &mut self,
        topic: &TypedTopic<T>,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.publish(topic.scope(), topic.event(), data)
    }

    /// Shows something of this participant to the others, such as a cursor, or that its user types: see
    /// [`Client::set_presence`](crate::Client::set_presence). The newest counts. No model sees it, and it is gone with the
    /// participant. May be called for every movement, and before the session is joined.
    ///
    /// # Errors
    /// The data has more than 1 KiB, or the session is over. What was shown before is still shown then.
    pub fn set_presence(&mut self, data: &(impl Serialize + ?Sized)) -> Result<(), PublishError> {
        self.driver.set_presence(data)
    }

    /// Shows nothing of this participant from now on.
    ///
    /// # Errors
    /// [`PublishError::Over`] after the end.
    pub fn clear_presence(&mut self) -> Result<(), PublishError> {
        self.driver.clear_presence()
    }

    /// What the other participants show of themselves, now. What is not a `T` is left out. When something has changed there
    /// is a [`SessionEvent::PresencesChanged`].
    pub fn presences<T: DeserializeOwned + Clone + 'static>(&self) -> BTreeMap<ViewId, T> {
        presence::decoded(&self.driver)
    }

    /// Asks all participants to vote on their state hash; see [`Driver::request_vote`].
    ///
    /// # Errors
    /// [`PublishError::NotJoined`] without a connection, [`PublishError::Over`] after the end.
    pub fn request_vote(&mut self) -> Result<(), PublishError> {
        self.driver.request_vote()
    }

    /// The root model as it stands after the newest step. `None` before the first catch-up, while the session loads another
    /// state, and after leaving.
    pub fn model(&self) -> Option<&V::Model> {
        self.vm()?.root::<V::Model>()
    }
}

impl<V: View> Drop for Session<V> {
    fn drop(&mut self) {
        self.leave();
    }
}
