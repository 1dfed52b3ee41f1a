//! Views: what a front end builds from the model and keeps up to date.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration as StdDuration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use teatime_session::{Client, Delivery, Handling, PublishError, Receipt, SubscriptionId};
use teatime_vm::{Handle, Model, Payload, Time, Topic, TypedTopic, ViewId, Vm};

use crate::presence;

/// A view of a session: what a front end shows of the model. All its methods run on the thread that steps the session, so a
/// view need not be `Send`.
///
/// The session builds the view when the model has caught up and has processed this client's own join. So the
/// view sets itself up from what it reads, and never sees the events of that join. After a reconnect that
/// was not seamless, the session detaches the view and builds a new one.
///
/// ```
/// # use std::sync::mpsc::Sender;
/// # use teatime::{Cx, Handling, View, ViewContext, handlers, model};
/// # #[model]
/// # struct Counter { count: u64 }
/// # #[handlers]
/// # impl Counter { fn init(_: &mut Cx<Self>, _: &()) -> Self { Self { count: 0 } } }
/// struct CounterView;
///
/// impl View for CounterView {
///     type Model = Counter;
///     /// Where the window hears of changes. `Session::join_with` hands it in.
///     type Args = Sender<u64>;
///
///     fn attach(cx: &mut ViewContext<'_, Self>, window: &mut Self::Args) -> Self {
///         let _ = window.send(cx.model().count);
///         let window = window.clone();
///         cx.subscribe("counter", "changed", Handling::OncePerFrame, move |_, _, count| {
///             let _ = window.send(count);
///         });
///         Self
///     }
/// }
/// ```
pub trait View: Sized + 'static {
    /// The session's root model.
    type Model: Model;

    /// The app's own value that [`attach`](Self::attach) receives: a channel, a window, options of the view.
    /// `()` if it needs none. The session owns it.
    type Args: 'static;

    /// Builds the view: reads the model, subscribes. `args` is the value that the session was joined with. It
    /// stays with the session, because a later view needs it again.
    fn attach(cx: &mut ViewContext<'_, Self>, args: &mut Self::Args) -> Self;

    /// Runs at the end of every frame.
    fn update(&mut self, cx: &mut ViewContext<'_, Self>) {
        let _ = cx;
    }

    /// Runs when the session has lost its model, or was left. The view's subscriptions and timers have ended
    /// already.
    fn detach(self) {}
}

/// The context of a view: it reads the model, publishes, subscribes and sets timers.
///
/// A view gets the model by shared reference only. The compiler checks that it cannot write:
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
    topic: Option<&'a Topic>,
    scheduled: &'a mut Scheduled<V>,
}

impl<V: View> fmt::Debug for ViewContext<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewContext")
            .field("view", &self.client.view_id())
            .field("handlers", &self.scheduled.handlers.len())
            .field("timers", &self.scheduled.timers.len())
            .finish_non_exhaustive()
    }
}

type Handler<V> = Box<dyn FnMut(&mut V, &mut ViewContext<'_, V>, &Payload)>;
type TimerHandler<V> = Box<dyn FnOnce(&mut V, &mut ViewContext<'_, V>)>;

/// The handlers and timers that a view has registered.
struct Scheduled<V: View> {
    handlers: HashMap<SubscriptionId, Option<Handler<V>>>,
    /// Times on the driver's clock in µs, unordered: a view has few.
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
        self.vm().root().expect("a session's root model is the Model of its view")
    }

    /// The model behind a handle, if it exists.
    pub fn get<M: Model>(&self, handle: Handle<M>) -> Option<&M> {
        self.vm().get(handle)
    }

    /// All models.
    pub fn vm(&self) -> &Vm {
        self.client.vm().expect("a view is detached before its model goes")
    }

    /// The id of this view. Models use it as a key, and as the scope of events for one participant.
    pub fn view_id(&self) -> ViewId {
        self.client.view_id()
    }

    /// The topic of the event that the running handler hears, and who published it. It is never a pattern, so a
    /// handler that subscribed with `*` learns here what it hears. `None` outside of such handlers.
    pub fn topic(&self) -> Option<&Topic> {
        self.topic
    }

    /// Subscribes to a topic; `*` matches every scope or event. Each payload is decoded into `T`. An event whose
    /// payload is not a `T` is logged and skipped.
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

    /// Like [`subscribe`](Self::subscribe). The handler takes what the topic carries.
    pub fn subscribe_topic<T: DeserializeOwned + Clone + 'static>(
        &mut self,
        topic: &TypedTopic<T>,
        handling: Handling,
        handler: impl FnMut(&mut V, &mut ViewContext<'_, V>, T) + 'static,
    ) -> SubscriptionId {
        self.subscribe(topic.scope(), topic.event(), handling, handler)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.client.unsubscribe(id);
        self.scheduled.handlers.remove(&id);
    }

    /// Calls `handler` once after this real time, unless the view is detached before. Participants do not share
    /// this timer: a model's timers run in session time, see [`Cx::every`](crate::Cx::every).
    pub fn after(
        &mut self,
        delay: StdDuration,
        handler: impl FnOnce(&mut V, &mut ViewContext<'_, V>) + 'static,
    ) {
        let delay = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.scheduled.timers.push((self.now.saturating_add(delay), Box::new(handler)));
    }

    /// Sends an event to the models of all participants; see [`Session::publish`](crate::Session::publish).
    ///
    /// # Errors
    /// As [`Session::publish`](crate::Session::publish). Nothing was sent then.
    pub fn publish(
        &mut self,
        scope: impl AsRef<str>,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Receipt, PublishError> {
        self.client.publish(self.now, scope.as_ref(), event, data)
    }

    /// Like [`publish`](Self::publish), to a topic that carries values of this type.
    ///
    /// # Errors
    /// As [`Session::publish`](crate::Session::publish). Nothing was sent then.
    pub fn publish_topic<T: Serialize>(
        &mut self,
        topic: &TypedTopic<T>,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.publish(topic.scope(), topic.event(), data)
    }

    /// Shows something of this participant to the others; see [`Session::set_presence`](crate::Session::set_presence).
    ///
    /// # Errors
    /// As [`Session::set_presence`](crate::Session::set_presence).
    pub fn set_presence(&mut self, data: &(impl Serialize + ?Sized)) -> Result<(), PublishError> {
        self.client.set_presence(self.now, data)
    }

    /// Shows nothing of this participant from now on.
    ///
    /// # Errors
    /// [`PublishError::Over`] after the end.
    pub fn clear_presence(&mut self) -> Result<(), PublishError> {
        self.client.clear_presence(self.now)
    }

    /// What the other participants show of themselves, now; see [`Session::presences`](crate::Session::presences).
    pub fn presences<T: DeserializeOwned + Clone + 'static>(&self) -> BTreeMap<ViewId, T> {
        presence::decoded(self.client)
    }

    /// Sends an event to the views of this client only; see [`Client::publish_to_views`](crate::Client::publish_to_views).
    ///
    /// # Errors
    /// [`PublishError::TooFast`] if too many events wait for the views already.
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

    /// The newest session time that the reflector has sent.
    pub fn external_now(&self) -> Time {
        self.client.external_now()
    }

    /// An estimate of the session time now.
    pub fn extrapolated_now(&self) -> Time {
        self.client.extrapolated_now(self.now)
    }

    /// A random number of this client. It is not part of the replicated random stream.
    pub fn random_u64(&mut self) -> u64 {
        self.client.random_u64()
    }
}

/// Owns a view and calls it.
pub(crate) struct ViewHost<V: View> {
    view: Option<V>,
    args: V::Args,
    scheduled: Scheduled<V>,
}

impl<V: View> ViewHost<V> {
    pub(crate) fn new(args: V::Args) -> Self {
        Self { view: None, args, scheduled: Scheduled::default() }
    }

    pub(crate) fn get(&self) -> Option<&V> {
        self.view.as_ref()
    }

    pub(crate) fn attach(&mut self, client: &mut Client, now: u64) {
        let mut cx = ViewContext { client, now, topic: None, scheduled: &mut self.scheduled };
        self.view = Some(V::attach(&mut cx, &mut self.args));
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
        self.with_topic(client, now, None, run)
    }

    fn with_topic<R>(
        &mut self,
        client: &mut Client,
        now: u64,
        topic: Option<&Topic>,
        run: impl FnOnce(&mut V, &mut ViewContext<'_, V>) -> R,
    ) -> Option<R> {
        let view = self.view.as_mut()?;
        Some(run(view, &mut ViewContext { client, now, topic, scheduled: &mut self.scheduled }))
    }

    /// Runs the part of a frame that follows the simulation.
    pub(crate) fn frame(&mut self, client: &mut Client, now: u64) {
        self.deliver(client, now, Handling::Queued);
        self.deliver(client, now, Handling::OncePerFrame);
        self.deliver(client, now, Handling::Queued);
        self.run_timers(client, now);
        self.with(client, now, V::update);
    }

    /// Delivers all waiting events with this handling, and those that their handlers add.
    pub(crate) fn deliver(&mut self, client: &mut Client, now: u64, handling: Handling) {
        while self.view.is_some()
            && let Some(delivery) = client.poll_delivery(handling)
        {
            let Delivery { subscription, scope, event, source, payload } = delivery;
            let topic = Topic { scope, event, source };
            let slot = self.scheduled.handlers.get_mut(&subscription);
            let Some(mut handler) = slot.and_then(Option::take) else { continue };
            let run = |view: &mut V, cx: &mut ViewContext<'_, V>| handler(view, cx, &payload);
            self.with_topic(client, now, Some(&topic), run);
            // The slot is gone if the handler has ended its own subscription.
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
