//! Views: what a front end builds from the model and keeps up to date.

use std::any::type_name;
use std::collections::HashMap;
use std::time::Duration as StdDuration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use teatime_session::{Client, Delivery, Handling, PublishError, Receipt, SubscriptionId};
use teatime_vm::{Handle, Model, Payload, Time, ViewId, Vm};

/// A view of a session. It is built once the model has caught up and has processed this client's
/// own join, so it can set itself up completely from what it reads; it never sees the events of
/// that join. When a reconnect was not seamless it is detached and a new one is built.
pub trait View: Sized + 'static {
    /// The session's root model.
    type Model: Model;

    /// Builds the view: read the model, subscribe.
    fn attach(cx: &mut ViewContext<'_, Self>) -> Self;

    /// Called at the end of every frame.
    fn update(&mut self, cx: &mut ViewContext<'_, Self>) {
        let _ = cx;
    }

    /// Called when the view's time is over. Its subscriptions and timers have ended already.
    fn detach(self) {}
}

/// What a view can do: read the model, publish, subscribe, set timers.
///
/// It offers the model by shared reference only. That a view cannot write is checked by the
/// compiler:
///
/// ```compile_fail,E0596
/// # fn acceptance_39_a_view_cannot_write() {}
/// # use teatime::{View, ViewContext};
/// fn write<V: View>(cx: &mut ViewContext<'_, V>) -> &mut V::Model {
///     &mut *cx.model()
/// }
/// ```
pub struct ViewContext<'a, V: View> {
    client: &'a mut Client,
    now: u64,
    scheduled: &'a mut Scheduled<V>,
}

type Handler<V> = Box<dyn FnMut(&mut V, &mut ViewContext<'_, V>, &Payload)>;
type TimerHandler<V> = Box<dyn FnOnce(&mut V, &mut ViewContext<'_, V>)>;

/// What a view has asked to be called for.
struct Scheduled<V: View> {
    handlers: HashMap<SubscriptionId, Option<Handler<V>>>,
    /// Times on the driver's clock in µs, in no order: a view has few.
    timers: Vec<(u64, TimerHandler<V>)>,
}

impl<V: View> Default for Scheduled<V> {
    fn default() -> Self {
        Self { handlers: HashMap::new(), timers: Vec::new() }
    }
}

impl<V: View> ViewContext<'_, V> {
    /// The root model.
    pub fn model(&self) -> &V::Model {
        self.vm().root().expect("the root model of a session is what its view says it is")
    }

    /// Any model, if it exists.
    pub fn get<M: Model>(&self, handle: Handle<M>) -> Option<&M> {
        self.vm().get(handle)
    }

    /// All models.
    pub fn vm(&self) -> &Vm {
        self.client.vm().expect("a view is detached before its model goes")
    }

    /// The id of this view: a key for data, and a scope for events that address one user.
    pub fn view_id(&self) -> ViewId {
        self.client.view_id()
    }

    /// Listens to a topic; `*` matches every scope or event. The payload is decoded into `T`; an
    /// event that does not fit is logged and skipped.
    pub fn subscribe<T: DeserializeOwned + Clone + 'static>(
        &mut self,
        scope: impl AsRef<str>,
        event: &str,
        handling: Handling,
        mut handler: impl FnMut(&mut V, &mut ViewContext<'_, V>, T) + 'static,
    ) -> SubscriptionId {
        let id = self.client.subscribe(scope.as_ref(), event, handling);
        let topic = format!("{}/{event}", scope.as_ref());
        let decode =
            move |view: &mut V, cx: &mut ViewContext<'_, V>, payload: &Payload| match payload
                .get::<T>()
            {
                Ok(value) => handler(view, cx, value),
                Err(error) => {
                    let wanted = type_name::<T>();
                    tracing::warn!(%topic, wanted, %error, "an event does not fit its handler");
                }
            };
        self.scheduled.handlers.insert(id, Some(Box::new(decode)));
        id
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.client.unsubscribe(id);
        self.scheduled.handlers.remove(&id);
    }

    /// Calls the view once after this time, unless it has been detached by then.
    pub fn after(
        &mut self,
        delay: StdDuration,
        handler: impl FnOnce(&mut V, &mut ViewContext<'_, V>) + 'static,
    ) {
        let delay = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.scheduled.timers.push((self.now.saturating_add(delay), Box::new(handler)));
    }

    /// Sends an event to the models of all participants; see [`Client::publish`].
    pub fn publish(
        &mut self,
        scope: impl AsRef<str>,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.client.publish(self.now, scope.as_ref(), event, data)
    }

    /// Sends an event to the views of this client only; see [`Client::publish_to_views`].
    pub fn publish_to_views(
        &mut self,
        scope: impl AsRef<str>,
        event: &str,
        payload: Payload,
    ) -> Result<(), PublishError> {
        self.client.publish_to_views(scope.as_ref(), event, payload)
    }

    /// The session time up to which the model has been simulated.
    pub fn now(&self) -> Time {
        self.client.now()
    }

    /// The newest session time that the reflector has told.
    pub fn external_now(&self) -> Time {
        self.client.external_now()
    }

    /// An estimate of the session time at this moment.
    pub fn extrapolated_now(&self) -> Time {
        self.client.extrapolated_now(self.now)
    }

    /// A random number of this client, which no model sees.
    pub fn random_u64(&mut self) -> u64 {
        self.client.random_u64()
    }
}

/// Keeps a view and calls it.
pub(crate) struct ViewHost<V: View> {
    view: Option<V>,
    scheduled: Scheduled<V>,
}

impl<V: View> Default for ViewHost<V> {
    fn default() -> Self {
        Self { view: None, scheduled: Scheduled::default() }
    }
}

impl<V: View> ViewHost<V> {
    pub(crate) fn get(&self) -> Option<&V> {
        self.view.as_ref()
    }

    pub(crate) fn attach(&mut self, client: &mut Client, now: u64) {
        let mut cx = ViewContext { client, now, scheduled: &mut self.scheduled };
        self.view = Some(V::attach(&mut cx));
    }

    pub(crate) fn detach(&mut self, client: &mut Client) {
        for (id, _) in self.scheduled.handlers.drain() {
            client.unsubscribe(id);
        }
        self.scheduled.timers.clear();
        if let Some(view) = self.view.take() {
            view.detach();
        }
    }

    pub(crate) fn with<R>(
        &mut self,
        client: &mut Client,
        now: u64,
        run: impl FnOnce(&mut V, &mut ViewContext<'_, V>) -> R,
    ) -> Option<R> {
        let view = self.view.as_mut()?;
        Some(run(view, &mut ViewContext { client, now, scheduled: &mut self.scheduled }))
    }

    /// Everything of a frame after the simulation.
    pub(crate) fn frame(&mut self, client: &mut Client, now: u64) {
        self.deliver(client, now, Handling::Queued);
        self.deliver(client, now, Handling::OncePerFrame);
        self.deliver(client, now, Handling::Queued);
        self.run_timers(client, now);
        self.with(client, now, V::update);
    }

    /// Hands over all waiting events of one kind, and those that their handlers add.
    pub(crate) fn deliver(&mut self, client: &mut Client, now: u64, handling: Handling) {
        while self.view.is_some()
            && let Some(delivery) = client.poll_delivery(handling)
        {
            let Delivery { subscription, payload, .. } = delivery;
            let slot = self.scheduled.handlers.get_mut(&subscription);
            let Some(mut handler) = slot.and_then(Option::take) else { continue };
            self.with(client, now, |view, cx| handler(view, cx, &payload));
            // Gone if the handler has ended its own subscription.
            if let Some(slot) = self.scheduled.handlers.get_mut(&subscription) {
                *slot = Some(handler);
            }
        }
    }

    fn run_timers(&mut self, client: &mut Client, now: u64) {
        let mut due: Vec<_> = self.scheduled.timers.extract_if(.., |(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        for (_, handler) in due {
            self.with(client, now, handler);
        }
    }

    /// When the next timer is due, on the driver's clock.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.scheduled.timers.iter().map(|(at, _)| *at).min()
    }
}
