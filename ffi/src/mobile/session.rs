//! Apps and sessions.

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

/// An app: the models that its sessions are made of.
#[derive(uniffi::Object)]
pub struct App(teatime::App);

#[uniffi::export]
impl App {
    /// The chat that comes with the library.
    #[uniffi::constructor]
    pub fn chat() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(teatime_chat::app())))
    }

    /// The app that an exported function returned, as the address that it is: one with models of its
    /// own in Rust has such a function, see `export_app`. The address is used up.
    #[uniffi::constructor]
    pub fn adopt(address: u64) -> Result<Arc<Self>> {
        let no_app = || Failure::new(tea_status::WrongHandle, "this address is no app");
        let address = usize::try_from(address).map_err(|_| no_app())?;
        let handle = std::ptr::without_provenance_mut::<tea_app>(address);
        let app = crate::app::App::with(handle, crate::app::App::build)?;
        crate::app::App::free(handle)?;
        Ok(Arc::new(Self(app)))
    }

    /// Its id.
    pub fn id(&self) -> Result<String> {
        Ok(self.0.id().to_owned())
    }
}

/// Which session to join, and how.
#[derive(Debug, Clone, uniffi::Record)]
pub struct JoinOptions {
    /// Where the reflector listens, such as `ws://127.0.0.1:9090` or `wss://example.org`.
    pub reflector: String,
    /// Name of the room, 1 to 128 bytes of UTF-8.
    pub name: String,
    /// With a password everything is encrypted end to end.
    pub password: Option<String>,
    /// The root model's options as JSON; part of the session's identity. Nothing stands for nil.
    pub options: Option<String>,
    /// Given to all models when this view joins and exits, as JSON.
    pub view_data: Option<String>,
    /// Ticks per second that the session's first client asks for, 1 to 60; 20 if not said.
    pub ticks_per_second: Option<u16>,
    /// Certificates (PEM) that are trusted besides those that the platform trusts.
    pub trusted_certificates: Option<String>,
    /// Name and version of the program, for the reflector's log.
    pub agent: String,
    /// The directory for a file of evidence if this client diverges; plain, also if the session has a
    /// password.
    pub evidence_dir: Option<String>,
    /// The directory for pieces of blobs that were fetched, encrypted if there is a password.
    pub blob_cache_dir: Option<String>,
    /// How many bytes it may have; 256 MiB if not said.
    pub blob_cache_bytes: Option<u64>,
}

/// Is told, on a background thread, that a step has become worthwhile. It must only pass that on.
#[uniffi::export(callback_interface)]
pub trait Waker: Send + Sync {
    /// Called then.
    fn wake(&self);
}

/// A session that has been joined, or is on the way to it.
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

fn config(app: &App, options: &JoinOptions) -> crate::status::Result<Config> {
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
    Failure::new(tea_status::NotJoined, "there is no model: the session is not joined")
}

#[uniffi::export]
impl Session {
    /// Starts to join; the first steps connect, catch up, and bring a `ViewReady`.
    #[uniffi::constructor]
    pub fn join(app: &App, options: &JoinOptions) -> Result<Arc<Self>> {
        let config = config(app, options)?;
        let id = teatime::SessionId(config.session_id().0);
        let blobs = Blobs::new(config.clone(), options);
        let shared = SharedSession::join(config, &options.reflector)?;
        Ok(Arc::new(Self { shared, badge: Badge::of(&id).to_string(), blobs }))
    }

    /// Sets who is told that a step is worthwhile. He is told once at once.
    pub fn set_waker(&self, waker: Option<Box<dyn Waker>>) -> Result<()> {
        self.shared.wake.set_callback(callback(waker));
        self.shared.wake.signal();
        Ok(())
    }

    /// Takes in what has arrived and simulates it, for at most about so many µs. Never goes past a
    /// `ViewReady` that was not pulled.
    pub fn step(&self, budget_us: u64) -> Result<()> {
        Ok(self.shared.step(Duration::from_micros(budget_us), || ())?)
    }

    /// In how many µs a step is worthwhile even if nothing arrives.
    pub fn next_due_us(&self) -> Result<Option<u64>> {
        let due = self.shared.with(|driver| Ok(driver.next_due()))?;
        Ok(due.map(|due| u64::try_from(due.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Pulls what has happened, oldest first, at most so many.
    pub fn poll(&self, format: tea_format, most: u32) -> Result<Vec<Event>> {
        let events = self.shared.with(|driver| {
            let mut events = Vec::new();
            let most = most as usize;
            while events.len() < most
                && let Some(told) = driver.poll_event()
            {
                events.extend(of_session(told));
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
            // The model may go on now, and another thread may be the one that steps.
            self.shared.wake.signal();
        }
        Ok(events)
    }

    /// Sends an event to the models of all participants; gives a receipt.
    pub fn publish(
        &self,
        scope: &str,
        event: &str,
        data: &[u8],
        format: tea_format,
    ) -> Result<u64> {
        let data = to_msgpack(data, format)?;
        Ok(self.shared.publish(scope, event, &data)?.0)
    }

    /// Sends an event to the subscriptions of this session object only.
    pub fn publish_to_views(
        &self,
        scope: &str,
        event: &str,
        data: &[u8],
        format: tea_format,
    ) -> Result<()> {
        let payload = Payload::from_msgpack(&to_msgpack(data, format)?);
        Ok(self.shared.with(|driver| Ok(driver.publish_to_views(scope, event, payload)?))?)
    }

    /// Whether the model has handled a published event.
    pub fn is_applied(&self, receipt: u64) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.client().is_applied(Receipt(receipt))))?)
    }

    /// Listens to a topic, to every event or only to the newest of a frame.
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

    /// Asks a named query of a model, 1 for the root model. Nil is no bytes.
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
            let asked = driver.client().query(ModelId(model), name, &argument);
            append_payload(&mut answer, &asked.ok_or_else(no_model)??, format)
        })?;
        Ok(answer)
    }

    /// The model that is known by a name.
    pub fn well_known(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.shared.with(|driver| {
            let model = driver.client().vm().ok_or_else(no_model)?;
            Ok(model.well_known(name).map(|id| id.0))
        })?)
    }

    /// Asks for a vote of all participants on their state hash.
    pub fn request_vote(&self) -> Result<()> {
        Ok(self.shared.with(|driver| Ok(driver.request_vote()?))?)
    }

    /// The hash of this client's state as it stands, as hexadecimal text.
    pub fn state_hash(&self) -> Result<String> {
        Ok(self.shared.with(|driver| {
            let hash = driver.client().vm().ok_or_else(no_model)?.hash();
            let hash = hash.map_err(|error| Failure::new(tea_status::Encoding, error))?;
            Ok(hash.to_string())
        })?)
    }

    /// The session time in µs up to which the model has been simulated.
    pub fn now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.client().now().as_micros()))?)
    }

    /// The newest session time in µs that the reflector has told.
    pub fn external_now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.client().external_now().as_micros()))?)
    }

    /// An estimate of the session time in µs at this moment.
    pub fn extrapolated_now_us(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.extrapolated_now().as_micros()))?)
    }

    /// Identity of the session, as hexadecimal text.
    pub fn session_id(&self) -> Result<String> {
        Ok(self.shared.with(|driver| Ok(driver.client().session_id().to_string()))?)
    }

    /// Identity of this view, as hexadecimal text.
    pub fn view_id(&self) -> Result<String> {
        Ok(self.shared.with(|driver| Ok(driver.client().view_id().to_string()))?)
    }

    /// The badge of the session, such as `#a0b1c2/#d3e4f5 tokim`.
    pub fn badge(&self) -> Result<String> {
        Ok(self.badge.clone())
    }

    /// How the session stands with its reflector.
    pub fn connection(&self) -> Result<tea_connection> {
        Ok(self.shared.with(|driver| Ok(driver.client().connection_state().into()))?)
    }

    /// Fails with the reason why the session has given up, if it has.
    pub fn check(&self) -> Result<()> {
        Ok(self.shared.with(|driver| match driver.client().failure() {
            Some(reason) => Err(Failure::new(of_disconnect(reason), reason)),
            None => Ok(()),
        })?)
    }

    /// How far the catch-up is, from 0 to 1.
    pub fn progress(&self) -> Result<f32> {
        Ok(self.shared.with(|driver| Ok(driver.client().progress()))?)
    }

    /// Whether the model is up to date with the reflector.
    pub fn synced(&self) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.client().is_synced()))?)
    }

    /// Whether the root model has persisted something that the reflector has not stored yet.
    pub fn has_unpersisted(&self) -> Result<bool> {
        Ok(self.shared.with(|driver| Ok(driver.client().has_unpersisted()))?)
    }

    /// The newest version of the app that is known to be used in this room, if it is newer than this one.
    pub fn newer_version(&self) -> Result<Option<u32>> {
        Ok(self.shared.with(|driver| Ok(driver.client().newer_version()))?)
    }

    /// The views that there are, in the order in which they came, as hexadecimal text.
    pub fn views(&self) -> Result<Vec<String>> {
        Ok(self.shared.with(|driver| {
            let model = driver.client().vm().ok_or_else(no_model)?;
            Ok(model.views().map(|view| view.to_string()).collect())
        })?)
    }

    /// 64 random bits of this client, which no model sees.
    pub fn random_u64(&self) -> Result<u64> {
        Ok(self.shared.with(|driver| Ok(driver.random_u64()))?)
    }

    /// Statistics.
    pub fn stats(&self) -> Result<tea_stats> {
        Ok(self.shared.with(|driver| Ok(tea_stats::of(driver)))?)
    }

    /// Makes a new connection at once, for who knows that the line is dead.
    pub fn reconnect(&self) -> Result<()> {
        Ok(self.shared.reconnect()?)
    }

    /// Leaves for good; the others see it at once.
    pub fn leave(&self) -> Result<()> {
        Ok(self.shared.leave()?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close();
    }
}
