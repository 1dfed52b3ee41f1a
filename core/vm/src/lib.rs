//! The deterministic virtual machine: models, events, time, random, snapshots.
//!
//! A [`Vm`] runs the models of a session. Its input is a total order of events and times, and on
//! every participant it computes the same state from it, bit for bit. It does no I/O, reads no
//! clock, starts no thread, and offers models no way to.
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
//! let app = App::builder::<Counter>("org.example.counter").build()?;
//! let mut vm = Vm::new(&app, SessionId([0; 32]), &teatime_vm::to_bytes(&7u64)?)?;
//! assert!(vm.advance(Time::from_micros(2_500_000), u64::MAX));
//! assert_eq!(vm.root::<Counter>().map(Counter::count), Some(9));
//!
//! let reset = External::Event {
//!     sender: ViewId([1; 16]),
//!     scope: "counter",
//!     event: "reset",
//!     payload: &teatime_vm::to_bytes(&100u64)?,
//! };
//! vm.deliver(Time::from_micros(2_600_000), 1, &reset)?;
//! let twin = Vm::restore(&app, &vm.snapshot()?)?;
//! assert_eq!(twin.root::<Counter>().map(Counter::count), Some(100));
//! assert_eq!(twin.hash()?, vm.hash()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

extern crate self as teatime_vm;

mod app;
mod arena;
mod cx;
mod encode;
mod fault;
mod foreign;
mod history;
mod id;
pub mod limits;
pub mod math;
mod model;
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
mod topics;
pub mod tree;
mod untyped;
mod vm;
mod wheel;

pub use app::{App, AppBuilder, AppError};
pub use cx::{Cx, FutureHandle, NameTaken, NotInModel, Schedule};
pub use encode::{EncodeError, canonical, to_bytes};
pub use fault::{Fault, FaultKind};
pub use foreign::{ForeignInit, ForeignLoad, ForeignModel, ForeignObject};
pub use id::{Handle, InvalidId, ModelId, Scope, SessionId, StateHash, ViewId};
pub use model::{
    ArgumentKind, ByReference, ByValue, Handler, MethodInfo, Model, ModelState, NoArgument,
    QueryError,
};
pub use ordered::{OrderedMap, OrderedSet};
pub use payload::{Data, Payload, PayloadError};
pub use persisted::{
    ForeignMigration, ForeignPersistence, MigrationError, NoPrevious, PersistError, Persisted,
    PersistedData,
};
pub use presence::{USER_ENTER, USER_EXIT, VIEW_EXIT, VIEW_JOIN, ViewInfo};
pub use snapshot::SnapshotError;
pub use state::Published;
pub use teatime_macros::{handlers, model};
pub use time::{Duration, Time};
pub use untyped::UntypedCx;
pub use vm::{External, OrderError, Vm, VmError};

/// What the generated code needs. Not for use by hand.
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

    /// Which form of a join or an exit a handler with this argument takes.
    pub fn argument_kind<T: 'static>() -> ArgumentKind {
        ArgumentKind::of::<T>()
    }

    /// Reads the argument of a query.
    pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, QueryError> {
        payload::decode(bytes).map_err(QueryError::Argument)
    }

    /// Wraps the answer of a query.
    pub fn answer<T: serde::Serialize + Send + Sync + 'static>(value: T) -> Payload {
        Payload::new(value)
    }
}
