//! The deterministic virtual machine of Teatime: models, events, time, random numbers, snapshots.
//!
//! A [`Vm`] runs the models of one session. Its input is a total order of events and times; on every
//! participant it computes the same state from the same input, bit for bit. It does no I/O, reads no
//! clock, and starts no thread, and it offers models no way to do so.
//!
//! # The parts
//!
//! | part | is |
//! |---|---|
//! | [`model`], [`handlers`] | the attributes that turn a struct and its `impl` block into a model |
//! | [`App`] | the models that belong together, with an id and a version |
//! | [`Vm`] | a running session of an app |
//! | [`External`] | an input: an event of a view, or views that join and exit |
//! | [`Cx`] | what a model can do in a handler: subscribe, publish, schedule, create, draw random numbers |
//! | [`Time`], [`Duration`] | session time: whole microseconds since the session began |
//! | [`persisted`] | data that outlives a version of the app |
//! | [`recording`], [`tree`] | tools to replay sessions, and to find where two states differ |
//! | [`testing`] | a test that finds what would make participants differ |
//!
//! # An example
//!
//! A counter that goes up once a second, and that users can reset:
//!
//! ```
//! use teatime_vm::{App, Cx, Duration, External, SessionId, Time, ViewId, Vm, handlers, model};
//!
//! #[model(id = "counter", version = 1)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[handlers]
//! impl Counter {
//!     fn init(cx: &mut Cx<Self>, start: &u64) -> Self {
//!         cx.subscribe("counter", "reset", Self::reset);
//!         cx.every(Duration::from_secs(1)).call(Self::tick, ());
//!         Self { count: *start }
//!     }
//!
//!     fn tick(&mut self, cx: &mut Cx<Self>) {
//!         self.count += 1;
//!         cx.publish("counter", "changed", self.count);
//!     }
//!
//!     fn reset(&mut self, _cx: &mut Cx<Self>, to: u64) {
//!         self.count = to;
//!     }
//!
//!     #[query]
//!     fn count(&self) -> u64 {
//!         self.count
//!     }
//! }
//!
//! // A session is an app, an id, and the options of the root model. Time passes only by `advance`.
//! let app = App::builder::<Counter>("org.example.counter").build()?;
//! let mut vm = Vm::new(&app, SessionId([0; 32]), &teatime_vm::to_bytes(&7u64)?)?;
//! assert!(vm.advance(Time::from_micros(2_500_000), u64::MAX));
//! assert_eq!(vm.root::<Counter>().map(Counter::count), Some(9));
//!
//! // A user resets the counter. The reflector has given the event its time and sequence number.
//! let reset = External::Event {
//!     sender: ViewId([1; 16]),
//!     scope: "counter",
//!     event: "reset",
//!     payload: &teatime_vm::to_bytes(&100u64)?,
//! };
//! vm.deliver(Time::from_micros(2_600_000), 1, &reset)?;
//!
//! // A late joiner restores the state from a snapshot, and has the same hash.
//! let twin = Vm::restore(&app, &vm.snapshot()?)?;
//! assert_eq!(twin.root::<Counter>().map(Counter::count), Some(100));
//! assert_eq!(twin.hash()?, vm.hash()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a session may rely on
//!
//! - **Turns.** One event or one future message makes one turn. Time stands still within a turn. What
//!   models publish to each other is delivered in the same turn, first in, first out, after the handler has
//!   returned.
//! - **Order.** At equal time, future messages come before events. Future messages come in the order in
//!   which they were scheduled, events by sequence number.
//! - **Snapshots.** A snapshot is the whole state in one canonical encoding. Equal states have equal bytes
//!   and equal [hashes](Vm::hash).
//! - **Faults.** A handler that panics is a [`Fault`]. Its turn is undone on all participants alike, and the
//!   session goes on.
//!
//! `MODEL.md` beside this crate says all of this so exactly that an implementation in another language comes to the same
//! state hash.
//!
//! What a model must not do: read a clock, use threads, depend on the order of a hash map, or call float
//! functions of `std` (see [`math`]). `#[model]` refuses fields of such types, and the `clippy.toml` beside
//! this crate's `Cargo.toml` refuses such calls: copy it into your own crate.

extern crate self as teatime_vm;

mod app;
mod arena;
mod cx;
mod encode;
mod external;
mod fault;
mod foreign;
mod history;
mod id;
mod inputs;
pub mod limits;
pub mod math;
mod model;
pub mod optional_bytes;
mod options;
mod ordered;
mod payload;
pub mod persisted;
mod presence;
mod random;
pub mod recording;
mod snapshot;
mod state;
pub mod testing;
mod time;
mod topic;
mod topics;
pub mod tree;
mod typed_topic;
mod untyped;
mod vm;
mod wheel;

pub use app::{App, AppBuilder, AppError};
pub use cx::{Cx, FutureHandle, NameTakenError, NotInModelError, Schedule};
pub use encode::{EncodeError, canonical, to_bytes};
pub use external::{External, Input};
pub use fault::{Fault, FaultKind};
pub use foreign::{ForeignHandler, ForeignInit, ForeignLoad, ForeignModel, ForeignObject};
pub use id::{Handle, InvalidIdError, ModelId, Scope, SessionId, StateHash, ViewId};
pub use model::{
    AccessError, ArgumentKind, ByReference, ByValue, CallError, Handler, MethodInfo, Model,
    ModelState, NoArgument, QueryError,
};
pub use ordered::{OrderedMap, OrderedSet};
pub use payload::{Payload, PayloadError, Value};
pub use persisted::{
    ForeignMigration, ForeignPersistence, MigrationError, NoPrevious, PersistError, Persisted,
    PersistedData,
};
pub use presence::{USER_ENTER, USER_EXIT, VIEW_EXIT, VIEW_JOIN, ViewInfo};
pub use snapshot::SnapshotError;
pub use state::Published;
pub use teatime_macros::{handlers, model};
pub use time::{Duration, DurationRangeError, Time};
pub use topic::{Source, Topic};
pub use typed_topic::TypedTopic;
pub use untyped::UntypedCx;
pub use vm::{OrderError, Vm, VmError};

/// For the code that the macros generate. Not part of the API.
#[doc(hidden)]
pub mod __private {
    use std::any::TypeId;

    pub use serde;
    use serde::de::DeserializeOwned;

    use crate::model::{ArgumentKind, QueryError};
    use crate::payload::{self, Payload};

    /// The identity of a fn item.
    #[inline(always)]
    pub fn type_id_of<F: 'static>(_: &F) -> TypeId {
        TypeId::of::<F>()
    }

    /// The form in which a handler with this argument takes a join or an exit.
    pub fn argument_kind<T: 'static>() -> ArgumentKind {
        ArgumentKind::of::<T>()
    }

    /// Reads the argument of a query.
    pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, QueryError> {
        payload::decode(bytes).map_err(QueryError::Argument)
    }

    /// Wraps the answer to a query.
    pub fn answer<T: serde::Serialize + Send + Sync + 'static>(value: T) -> Payload {
        Payload::new(value)
    }
}
