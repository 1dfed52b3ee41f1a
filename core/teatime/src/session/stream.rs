//! A session as a stream of events, for async programs.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_timer::Delay;
use teatime_session::{ConnectionState, SessionEvent};

use super::{RUN_BUDGET, Session};
use crate::view::View;

/// A session as a [`Stream`] of its events. Made by [`Session::into_stream`].
///
/// Polling it runs the session, on any executor. It dereferences to its [`Session`], so between two events the program
/// reads the model and publishes.
///
/// The stream ends after [`Session::leave`], and when the session has failed:
/// [`Client::failure`](crate::Client::failure) has the reason then.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use teatime::{Config, Session, SessionEvent, View};
///
/// async fn run<V: View<Args = ()>>(config: Config) -> Result<(), Box<dyn std::error::Error>> {
///     let mut session = Session::<V>::join(config, "ws://127.0.0.1:9090")?.into_stream();
///     while let Some(event) = session.next().await {
///         if let SessionEvent::ViewReady = event {
///             session.publish("counter", "add", &1u64)?;
///         }
///     }
///     session.failure().cloned().map_or(Ok(()), |why| Err(why.into()))
/// }
/// ```
pub struct SessionStream<V: View> {
    session: Session<V>,
    /// Ends the wait for what is due even if nothing arrives.
    timer: Delay,
}

impl<V: View> Session<V> {
    /// Makes a stream of the session's events, which runs the session while an executor polls it.
    pub fn into_stream(self) -> SessionStream<V> {
        SessionStream { session: self, timer: Delay::new(RUN_BUDGET) }
    }
}

impl<V: View> fmt::Debug for SessionStream<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStream").field("session", &self.session).finish_non_exhaustive()
    }
}

impl<V: View> Deref for SessionStream<V> {
    type Target = Session<V>;

    fn deref(&self) -> &Session<V> {
        &self.session
    }
}

impl<V: View> DerefMut for SessionStream<V> {
    fn deref_mut(&mut self) -> &mut Session<V> {
        &mut self.session
    }
}

/// A view never becomes pinned: only the timer is polled.
impl<V: View> Unpin for SessionStream<V> {}

impl<V: View> Stream for SessionStream<V> {
    type Item = SessionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let this = &mut *self;
        // Before the step, so that what arrives meanwhile wakes the task.
        this.session.calls.wake(cx.waker());
        if this.session.events.is_empty() {
            this.session.step(RUN_BUDGET);
        }
        if let Some(event) = this.session.poll_event() {
            return Poll::Ready(Some(event));
        }
        if matches!(
            this.session.connection_state(),
            ConnectionState::Left | ConnectionState::Failed
        ) {
            return Poll::Ready(None);
        }
        if let Some(due) = this.session.next_due() {
            this.timer.reset(due);
            if Pin::new(&mut this.timer).poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}
