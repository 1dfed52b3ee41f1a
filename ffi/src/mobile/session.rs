//! Apps and sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use teatime::{Badge, Config, Handling, ModelId, Payload, Receipt, SubscriptionId};

use super::blobs::Blobs;
use super::event::{of_session, published};
use super::{Event, Result, to_msgpack};
use crate::app::tea_app;
use crate::handle::Held;
use crate::payload::tea_format;
use crate::session::tea_connection;
use crate::shared::SharedSession;
use crate::stats::tea_stats;
use crate::status::{Failure, of_disconnect, tea_status};
use crate::value::append_payload;

/// An app: the models of its sessions.
#[derive(uniffi::Object)]
pub struct App(teatime::App);

impl App {
    pub(super) fn app(&self) -> &teatime::App {
        &self.0
    }
}

#[uniffi::export]
impl App {
    /// The chat that comes with the library.
    #[uniffi::constructor]
    pub fn chat() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(teatime_chat::app())))
    }

    /// The app at an address that an exported function returned. A library with models of its own exports such a
    /// function, see `export_app`. The address is not valid afterwards.
    #[uniffi::constructor]
    pub fn adopt(address: u64) -> Result<Arc<Self>> {
        let not_an_app =
            || Failure::new(tea_status::WrongHandle, "not the address of an app, or already used");
        let address = usize::try_from(address).map_err(|_| not_an_app())?;
        let handle = std::ptr::without_provenance_mut::<tea_app>(address);
        let app = crate::app::App::with(handle, crate::app::App::build)?;
        crate::app::App::free(handle)?;
        Ok(Arc::new(Self(app)))
    }

    /// The app's id.
    pub fn id(&self) -> Result<String> {
        Ok(self.0.id().to_owned())
    }
}

/// What a participant shows of itself.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Presence {
    /// The participant, as hexadecimal text.
    pub view: String,
    /// What it shows.
    pub data: Vec<u8>,
}

/// Which session to join, and how.
#[derive(Clone, uniffi::Record)]
pub struct JoinOptions {
    /// The reflector's address, such as `ws://127.0.0.1:9090` or `wss://example.org`.
    pub reflector: String,
    /// Name of the room, 1 to 128 bytes of UTF-8.
    pub name: String,
    /// The password. With one, everything is encrypted end to end.
    pub password: Option<String>,
    /// The root model's options as JSON; part of the session's identity. `None` stands for nil.
    pub options: Option<String>,
    /// Passed to all models when this view joins and exits, as JSON.
    pub view_data: Option<String>,
    /// Ticks per second that the session's first client asks for: 1 to 60, by default 20.
    pub ticks_per_second: Option<u16>,
    /// Certificates (PEM) to trust in addition to the platform's.
    pub trusted_certificates: Option<String>,
    /// Name and version of the program, for the reflector's log.
    pub agent: String,
    /// The directory for a file of evidence if this client diverges. The file is not encrypted, even if the
    /// session has a password.
    pub evidence_dir: Option<String>,
    /// The directory for a cache of fetched pieces of blobs. With a password they are encrypted.
    pub blob_cache_dir: Option<String>,
    /// The size limit of the cache in bytes, by default 256 MiB.
    pub blob_cache_bytes: Option<u64>,
}

/// Without the password.
impl fmt::Debug for JoinOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinOptions")
            .field("reflector", &self.reflector)
            .field("name", &self.name)
            .field("options", &self.options)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A callback for when a step becomes worthwhile. The library calls it on a background thread; it must only pass
/// the call on.
#[uniffi::export(callback_interface)]
pub trait Waker: Send + Sync {
    /// Called when a step becomes worthwhile.
    fn wake(&self);
}

/// A session that this client has joined or is joining.
#[derive(uniffi::Object)]
pub struct Session {
    shared: SharedSession,
    badge: String,
    pub(super) blobs: Blobs,
}

/// A waker in Swift or Kotlin as a callback.
pub(super) fn callback(waker: Option<Box<dyn Waker>>) -> Option<crate::wake::Callback> {
    let waker = waker?;
    Some(Arc::new(move || waker.wake()))
}

fn json(text: &Option<String>) -> crate::status::Result<Vec<u8>> {
    to_msgpack(text.as_deref().unwrap_or_default().as_bytes(), tea_format::Json)
}

pub(super) fn config(app: &App, options: &JoinOptions) -> crate::status::Result<Config> {
    let encoded = json(&options.options)?;
    let mut config = Config::with_encoded_options(app.0.clone(), &options.name, &encoded)?;
    config.password.clone_from(&options.password);
    if options.view_data.is_some() {
        config.view_data = Some(json(&options.view_data)?);
    }
    config.ticks_per_second = options.ticks_per_second.unwrap_or(config.ticks_per_second);
    config.trusted_certificates =
        options.trusted_certificates.as_ref().map(|pem| pem.clone().into_bytes());
    config.agent.clone_from(&options.agent);
    config.evidence_dir = options.evidence_dir.as_ref().map(Into::into);
    config.check()?;
    Ok(config)
}

fn no_model() -> Failure {
    Failure::new(tea_status::NotJoined, "no model yet: the session has not joined")
}

#[uniffi::export]
impl Session {
    /// Starts to join. The first steps connect, catch up, and lead to a `ViewReady`.
    #[uniffi::constructor]
    pub fn join(app: &App, options: &JoinOptions) -> Result<Arc<Self>> {
        let config = config(app, options)?;
        let blobs = Blobs::new(config.clone(), options);
        let shared = SharedSession::join(config, &options.reflector)?;
        let id = shared.with(|driver| Ok(driver.session_id()))?;
        Ok(Arc::new(Self { shared, badge: Badge::of(&id).to_string(), blobs }))
    }

    /// Sets the waker to call when a step is worthwhile. Calls it once immediately.
    pub fn set_waker(&self, waker: Option<Box<dyn Waker>>) -> Result<()> {
        self.shared.wake.set_callback(callback(waker));
        self.shared.wake.signal();
        Ok(())
    }

    /// Takes in the events that have arrived and simulates them, for about `budget_us` µs at most. Stops at a
    /// `ViewReady` until the caller has pulled it.
    pub fn step(&self, budget_us: u64) -> Result<()> {
        Ok(self.shared.step(Duration::from_micros(budget_us), || ())?)
    }

    /// The time in µs after which a step is worthwhile even if nothing arrives.
    pub fn next_due_us(&self) -> Result<Option<u64>> {
        let due = self.shared.with(|driver| Ok(driver.next_due()))?;
        Ok(due.map(|due| u64::try_from(due.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Pulls at most `most` events, oldest first.
    pub fn poll(&self, format: tea_format, most: u32) -> Result<Vec<Event>> {
        let events = self.shared.with(|driver| {
            let mut events = Vec::new();
            let most = most as usize;
            while events.len() < most
                && let Some(event) = driver.poll_event()
            {
                events.extend(of_session(event));
            }
            for handling in [Handling::Queued, Handling::OncePerFrame] {
                while events.len() < most
                    && let Some(delivery) = driver.poll_delivery(handling)
                {
                    events.push(published(&delivery, format));
                }
            }
            Ok(events)
        })?;
        if events.iter().any(|event| matches!(event, Event::ViewReady)) {
            // The model may go on now, and another thread may be the stepping one.
            self.shared.wake.signal();
        }
        Ok(events)
    }

    /// Sends an event to the models of all participants. Returns a receipt.
    pub fn publish(
        &self,
        scope: &str,
        event: &str,
        payload: &[u8],
        format: tea_format,
    ) -> Result<u64> {
        let payload = to_msgpack(payload, format)?;
        Ok(self.shared.publish(scope, event, &payload)?.0)
    }

    /// Sends an event to the subscriptions of this session object only.
    pub fn publish_to_views(
        &self,
        scope: &str,
        event: &str,
        payload: &[u8],
        format: tea_format,
    ) -> Result<()> {
        let payload = Payload::from_msgpack(&to_msgpack(payload, format)?);
        Ok(self.shared.with(|driver| Ok(driver.publish_to_views(scope, event, payload)?))?)
    }

    /// Shows something of this participant to the others.
    pub fn set_presence(&self, data: &[u8], format: tea_format) -> Result<()> {
        let data = to_msgpack(data, format)?;
        Ok(self.shared.set_presence(&data)?)
    }

    /// Shows nothing of this participant any longer.
    pub fn clear_presence(&self) -> Result<()> {
        Ok(self.shared.clear_presence()?)
    }

    /// What the other participants show of themselves. What this format cannot express is left out.
    pub fn presences(&self, format: tea_format) -> Result<Vec<Presence>> {
        Ok(self.shared.with(|driver| {
            let shown = driver.presences().filter_map(|(view, shown)| {
                let mut data = Vec::new();
                append_payload(&mut data, &Payload::from_msgpack(shown), format).ok()?;
                Some(Presence { view: view.to_string(), data })
            });
            Ok(shown.collect())
        })?)
    }

    /// Whether the model has handled a published event.
    pub fn is_applied(&self, receipt: u64) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.is_applied(Receipt(receipt))))?)
    }

    /// Subscribes to a topic: to every event, or to the newest of each frame.
    pub fn subscribe(&self, scope: &str, event: &str, newest_only: bool) -> Result<u64> {
        let handling = if newest_only { Handling::OncePerFrame } else { Handling::Queued };
        Ok(self.shared.with(|driver| Ok(driver.subscribe(scope, event, handling).0))?)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, subscription: u64) -> Result<()> {
        Ok(self.shared.with(|driver| {
            driver.unsubscribe(SubscriptionId(subscription));
            Ok(())
        })?)
    }

    /// Calls a named query of a model; 1 is the root model. No bytes stand for nil.
    pub fn query(
        &self,
        model: u64,
        name: &str,
        argument: &[u8],
        format: tea_format,
    ) -> Result<Vec<u8>> {
        let argument = to_msgpack(argument, format)?;
        let mut answer = Vec::new();
        self.shared.with(|driver| {
            let asked = driver.query(ModelId(model), name, &argument);
            append_payload(&mut answer, &asked.ok_or_else(no_model)??, format)
        })?;
        Ok(answer)
    }

    /// The model with a well-known name.
    pub fn well_known(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.shared.with(|driver| {
            let model = driver.vm().ok_or_else(no_model)?;
            Ok(model.well_known(name).map(|id| id.0))
        })?)
    }

    /// Asks for a vote of all participants on their state hash.
    pub fn request_vote(&self) -> Result<()> {
        Ok(self.shared.with(|driver| Ok(driver.request_vote()?))?)
    }

    /// The hash of this client's current state, as hexadecimal text.
    pub fn state_hash(&self) -> Result<String> {
        Ok(self.shared.with(|driver| {
            let hash = driver.vm().ok_or_else(no_model)?.hash();
            let hash = hash.map_err(|error| Failure::new(tea_status::Encoding, error))?;
            Ok(hash.to_string())
        })?)
    }

    /// The session time in µs that the simulation has reached.
    pub fn now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.now().as_micros()))?)
    }

    /// The newest session time in µs from the reflector.
    pub fn external_now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.external_now().as_micros()))?)
    }

    /// An estimate of the current session time in µs.
    pub fn extrapolated_now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.extrapolated_now().as_micros()))?)
    }

    /// Identity of the session, as hexadecimal text.
    pub fn session_id(&self) -> Result<String> {
        Ok(self.shared.with(|driver| Ok(driver.session_id().to_string()))?)
    }

    /// Identity of this view, as hexadecimal text.
    pub fn view_id(&self) -> Result<String> {
        Ok(self.shared.with(|driver| Ok(driver.view_id().to_string()))?)
    }

    /// The badge of the session, such as `#a0b1c2/#d3e4f5 tokim`.
    pub fn badge(&self) -> Result<String> {
        Ok(self.badge.clone())
    }

    /// The state of the connection to the reflector.
    pub fn connection(&self) -> Result<tea_connection> {
        Ok(self.shared.with(|driver| Ok(driver.connection_state().into()))?)
    }

    /// Fails if the session has given up, with the reason.
    pub fn check(&self) -> Result<()> {
        Ok(self.shared.with(|driver| match driver.failure() {
            Some(reason) => Err(Failure::new(of_disconnect(reason), reason)),
            None => Ok(()),
        })?)
    }

    /// The progress of the catch-up, from 0 to 1.
    pub fn progress(&self) -> Result<f32> {
        Ok(self.shared.with(|driver| Ok(driver.progress()))?)
    }

    /// Whether the model is up to date with the reflector.
    pub fn is_synced(&self) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.is_synced()))?)
    }

    /// Whether the root model has persisted data that the reflector has not stored yet.
    pub fn has_unpersisted(&self) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.has_unpersisted()))?)
    }

    /// The newest version of the app that is or was in use in this room, if it is newer than this one.
    pub fn newer_version(&self) -> Result<Option<u32>> {
        Ok(self.shared.with(|driver| Ok(driver.newer_version()))?)
    }

    /// The current views as hexadecimal text, in the order of their joins.
    pub fn views(&self) -> Result<Vec<String>> {
        Ok(self.shared.with(|driver| {
            let model = driver.vm().ok_or_else(no_model)?;
            Ok(model.views().map(|view| view.to_string()).collect())
        })?)
    }

    /// 64 random bits of this client, independent of the models' random numbers.
    pub fn random_u64(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.random_u64()))?)
    }

    /// Statistics of the session.
    pub fn stats(&self) -> Result<tea_stats> {
        Ok(self.shared.with(|driver| Ok(tea_stats::of(driver)))?)
    }

    /// The app goes to the background: the other participants see it leave after this time, unless it reconnects before.
    pub fn leave_after(&self, milliseconds: u32) -> Result<()> {
        Ok(self.shared.leave_after(Duration::from_millis(milliseconds.into()))?)
    }

    /// Makes a new connection immediately, when the caller knows that the line is dead.
    pub fn reconnect(&self) -> Result<()> {
        Ok(self.shared.reconnect()?)
    }

    /// Leaves for good. The other participants see it at once.
    pub fn leave(&self) -> Result<()> {
        Ok(self.shared.leave()?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close();
    }
}
