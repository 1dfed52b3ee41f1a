//! Replicated computation for native apps.
//!
//! Every participant of a session runs the same deterministic *model*. A small server, the *reflector*, gives all events
//! one order and one time. So all models compute the same state, and the app needs no server code of its own.
//!
//! # A program in three steps
//!
//! 1. **A model**: a struct and its handlers, by [`model`](macro@model) and [`handlers`]. A handler changes the state, and
//!    reaches everything else through its [`Cx`].
//! 2. **A view**: an implementation of [`View`]. It reads the model, listens to its events, and publishes events.
//! 3. **A session**: a [`Config`] says which one, [`Session::join`] joins it, and [`Session::run`] runs it.
//!
//! ```no_run
//! use teatime::{
//!     App, Config, Cx, Handling, Session, SessionEvent, View, ViewContext, handlers, local_reflector,
//!     model,
//! };
//!
//! // 1. The model, the same for all participants.
//! #[model(id = "counter", version = 1)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[handlers]
//! impl Counter {
//!     fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
//!         cx.subscribe("counter", "add", Self::add);
//!         Self { count: 0 }
//!     }
//!
//!     fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
//!         self.count += number;
//!         cx.publish("counter", "changed", self.count);
//!     }
//! }
//!
//! // 2. The view of this program.
//! struct CounterView;
//!
//! impl View for CounterView {
//!     type Model = Counter;
//!     type Args = ();
//!
//!     fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
//!         println!("{} so far", cx.model().count);
//!         cx.subscribe("counter", "changed", Handling::Queued, |_: &mut Self, _, count: u64| {
//!             println!("now {count}");
//!         });
//!         Self
//!     }
//! }
//!
//! // 3. The session.
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let app = App::builder::<Counter>("org.example.counter").build()?;
//!     let config = Config::new(app, "lobby", &())?;
//!     // The reflector of this machine: found, or hosted by this program.
//!     let reflector = local_reflector()?;
//!     let mut session = Session::<CounterView>::join(config, reflector.url())?;
//!     session.run(|session, event| {
//!         if let Some(notice) = event.notice() {
//!             eprintln!("{notice}");
//!         }
//!         if let SessionEvent::ViewReady = event
//!             && let Err(why) = session.publish("counter", "add", &1u64)
//!         {
//!             eprintln!("{why}");
//!         }
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! The folder `examples` of this crate has whole programs, and the guide in the folder `docs` of the repository explains
//! them.
//!
//! # What is where
//!
//! | for | see |
//! |---|---|
//! | what a handler can do | [`Cx`]: subscribe, publish, schedule, create models, draw random numbers |
//! | the state | [`OrderedMap`], [`OrderedSet`], [`Handle`], [`Time`], [`math`] |
//! | what a view can do | [`ViewContext`] |
//! | the loop, and other threads | [`Session::run`], [`Session::step`], [`Remote`]; [`Driver`] without a view |
//! | what happens to a session | [`SessionEvent`], [`ConnectionState`], [`DisconnectReason`] |
//! | who is here | [`VIEW_JOIN`], [`VIEW_EXIT`], [`ViewInfo`], [`Config::view_data`](Config#structfield.view_data) |
//! | data that outlives a version of the app | [`persisted`] |
//! | links, QR codes, the looks of a session | [`JoinLink`], [`QrCode`], [`Badge`] |
//! | a reflector in this program | [`local_reflector`], [`server`] |
//! | large files | [`blobs`] |
//! | tests | [`testing`] |
//! | recordings, divergence | [`recording`], [`evidence`] |
//! | models made at run time | [`ForeignModel`] |
//!
//! # Two kinds of time
//! *Session time* is the same for all participants: [`Time`] and [`Duration`], whole microseconds. Models use nothing else.
//! *Real time* is how long a program waits or works: [`std::time::Duration`], in [`Session`], [`Driver`], [`ViewContext`],
//! [`server`] and [`blobs`]. No function takes one for the other.
//!
//! # Threads
//! A session belongs to one thread, and runs there only while a method of it runs. Its sockets have a thread of their own.
//! Other threads reach it through a [`Remote`]. Models may be moved between threads, and views need not be.
//!
//! # Errors
//! Functions fail with an enum to switch on, which displays as a sentence for users. [`DisconnectReason`] and
//! [`PublishError`] have a `code()` too, whose text is the same in every language. A handler that panics is a [`Fault`]: its
//! turn is undone for all participants alike, and the session goes on. Nothing that arrives from outside panics.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `blobs` | large files beside a session: [`blobs`] | yes |
//! | `recording` | recordings of sessions: `Session::record` | yes |
//! | `tls` | `wss://` in clients, certificates in servers | yes |
//! | `stream` | a session as a `Stream` of events, for async programs: `SessionStream` | no |
//! | `storage` | servers whose sessions outlive them: `server::SharedStorage` | no |
//! | `testing` | a simulator for models: `testing::Simulation`; for `dev-dependencies` | no |

mod address;
mod badge;
#[cfg(feature = "blobs")]
pub mod blobs;
mod clock;
mod driver;
pub mod evidence;
mod link;
mod local;
mod presence;
mod private;
mod qr;
#[cfg(feature = "recording")]
mod recorder;
pub mod recording;
mod session;
pub mod testing;
mod view;

pub use address::reflector_address;
pub use badge::Badge;
pub use driver::{Driver, JoinError};
pub use link::{JoinLink, LinkError};
pub use local::{
    DEFAULT_PORT, LocalReflector, Lookup, local_reflector, local_reflector_at,
    look_up_local_reflector,
};
pub use qr::QrCode;
#[cfg(feature = "stream")]
pub use session::SessionStream;
pub use session::{Remote, Session, SessionGone};
pub use teatime_net::client::Waker;
pub use teatime_net::probe;
pub use teatime_net::server;
pub use teatime_net::tls::CertificateError;
pub use teatime_wire::CloseReason;
pub use view::{View, ViewContext};

// The client of a session: questions to it, and its events.
pub use teatime_session::{
    Alarm, AlarmKind, Client, Config, ConfigError, ConnectionState, Delivery, Disagreement,
    DisconnectReason, Divergence, Handling, NewerVersion, NotPersisted, OtherPassword,
    PublishError, Receipt, RoundTrips, SessionEvent, Side, SubscriptionId, Unconfirmed, WILDCARD,
};

// Models.
pub use teatime_vm::{
    AccessError, App, AppBuilder, AppError, CallError, Cx, Duration, DurationRangeError, Fault,
    FaultKind, FutureHandle, Handle, Handler, InvalidIdError, Model, ModelId, NameTakenError,
    NotInModelError, OrderedMap, OrderedSet, Payload, PayloadError, Published, Schedule, Scope,
    SessionId, Source, StateHash, Time, Topic, TypedTopic, USER_ENTER, USER_EXIT, VIEW_EXIT,
    VIEW_JOIN, Value, ViewId, ViewInfo, canonical, handlers, limits, math, model, to_bytes, tree,
};

// Data that outlives a version of an app.
pub use teatime_vm::persisted::{
    self, MigrationError, NoPrevious, PersistError, Persisted, PersistedData,
};

// The virtual machine itself: to replay, to query, to inspect.
pub use teatime_vm::{EncodeError, External, OrderError, QueryError, SnapshotError, Vm, VmError};

// Models in another language.
pub use teatime_vm::persisted::{ForeignMigration, ForeignPersistence};
pub use teatime_vm::{
    ArgumentKind, ForeignHandler, ForeignInit, ForeignLoad, ForeignModel, ForeignObject, UntypedCx,
};

/// What the code generated by [`model`] and [`handlers`] needs. Not for use by hand.
#[doc(hidden)]
pub use teatime_vm::{__private, ByReference, ByValue, MethodInfo, ModelState, NoArgument};
