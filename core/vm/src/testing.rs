//! A test that finds what would make participants differ.
//!
//! A [`SyncTest`] plays a session on two virtual machines: a veteran that goes on all the time, and a twin that
//! was restored from a snapshot of the veteran. After every few inputs it compares the two byte by byte, and
//! restores a new twin. They differ if
//!
//! - a model has state that a snapshot does not contain,
//! - restoring a snapshot changes an order,
//! - a handler uses a value from outside the model.
//!
//! The error names the place.
//!
//! ```
//! # use teatime_vm::{App, Cx, Duration, ViewId, handlers, model};
//! # #[model]
//! # struct Counter { count: u64 }
//! # #[handlers]
//! # impl Counter {
//! #     fn init(cx: &mut Cx<Self>, _: &()) -> Self {
//! #         cx.subscribe("counter", "add", Self::add);
//! #         Self { count: 0 }
//! #     }
//! #     fn add(&mut self, _cx: &mut Cx<Self>, number: u64) { self.count += number; }
//! # }
//! use teatime_vm::testing::SyncTest;
//!
//! let app = App::builder::<Counter>("org.example.counter").build()?;
//! let view = ViewId([1; 16]);
//! let mut test = SyncTest::new(&app, &())?;
//! test.join(view)?;
//! for number in 0..10u64 {
//!     test.event(view, "counter", "add", &number)?;
//!     test.pass(Duration::from_millis(300))?;
//! }
//! test.exit(view)?;
//! test.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::Serialize;

use crate::app::App;
use crate::encode::{EncodeError, to_bytes};
use crate::external::External;
use crate::fault::Fault;
use crate::id::{SessionId, ViewId};
use crate::presence::ViewInfo;
use crate::snapshot::SnapshotError;
use crate::time::{Duration, Time};
use crate::tree::Tree;
use crate::vm::{OrderError, Vm, VmError};

/// Plays a session on two virtual machines, and compares them.
#[derive(Debug)]
pub struct SyncTest {
    app: App,
    vm: Vm,
    twin: Vm,
    every: u64,
    inputs: u64,
    allow_faults: bool,
}

/// Why a sync test failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The two virtual machines differ.
    #[error("{0}")]
    Differs(Box<Difference>),
    /// A handler failed.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The session cannot be started.
    #[error(transparent)]
    Start(#[from] VmError),
    /// A snapshot cannot be restored.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An argument cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Inputs are out of order.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// The first place at which the restored twin differs from the veteran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Session time of the comparison.
    pub time: Time,
    /// Sequence number of the newest event at that time.
    pub seq: u64,
    /// The part of the state: a model by id and type, or a part of the virtual machine.
    pub place: String,
    /// The field of the model, if the part is a model.
    pub field: Option<String>,
    /// The value of the veteran.
    pub veteran: String,
    /// The value of the restored twin.
    pub restored: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, seq, place, field, veteran, restored } = self;
        write!(f, "at {time}, after event {seq}, a restored session differs in {place}")?;
        if let Some(field) = field {
            write!(f, ", field {field}")?;
        }
        write!(f, ": {veteran} went on, {restored} was restored")
    }
}

impl SyncTest {
    /// Starts a session of this app.
    ///
    /// # Errors
    /// If the options cannot be encoded, or the session does not start.
    pub fn new(app: &App, options: &impl Serialize) -> Result<Self, SyncError> {
        Self::with_encoded_options(app, &to_bytes(options)?)
    }

    /// Starts a session of this app with options that are MessagePack.
    ///
    /// # Errors
    /// If the session does not start.
    pub fn with_encoded_options(app: &App, options: &[u8]) -> Result<Self, SyncError> {
        let vm = Vm::new(app, SessionId([0x5c; 32]), options)?;
        let twin = Vm::restore(app, &vm.snapshot()?)?;
        Ok(Self { app: app.clone(), vm, twin, every: 1, inputs: 0, allow_faults: false })
    }

    /// Sets after how many inputs to compare. The default is 1. A larger number finds differences that take
    /// several inputs to show.
    #[must_use]
    pub fn every(mut self, inputs: u64) -> Self {
        self.every = inputs.max(1);
        self
    }

    /// Goes on when a handler fails. By default that is an error.
    #[must_use]
    pub fn allow_faults(mut self) -> Self {
        self.allow_faults = true;
        self
    }

    /// The veteran.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// A view joins.
    ///
    /// # Errors
    /// [`SyncError`], here and below.
    pub fn join(&mut self, view: ViewId) -> Result<(), SyncError> {
        let joined = [ViewInfo { view_id: view, view_data: None }];
        self.deliver(&External::Presence { exited: &[], joined: &joined })
    }

    /// A view exits.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn exit(&mut self, view: ViewId) -> Result<(), SyncError> {
        let exited = [ViewInfo { view_id: view, view_data: None }];
        self.deliver(&External::Presence { exited: &exited, joined: &[] })
    }

    /// A view sends an event.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn event(
        &mut self,
        sender: ViewId,
        scope: &str,
        event: &str,
        value: &impl Serialize,
    ) -> Result<(), SyncError> {
        let payload = to_bytes(value)?;
        self.deliver(&External::Event { sender, scope, event, payload: &payload })
    }

    /// Delivers any input from outside.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn deliver(&mut self, external: &External<'_>) -> Result<(), SyncError> {
        let (time, seq) = (self.vm.time(), self.vm.seq() + 1);
        self.vm.deliver(time, seq, external)?;
        self.twin.deliver(time, seq, external)?;
        self.after_input()
    }

    /// Time passes.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn pass(&mut self, span: Duration) -> Result<(), SyncError> {
        let to = self.vm.time() + span;
        for vm in [&mut self.vm, &mut self.twin] {
            while !vm.advance(to, u64::MAX) {}
        }
        self.after_input()
    }

    /// Compares a last time.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn finish(mut self) -> Result<(), SyncError> {
        self.compare()
    }

    fn after_input(&mut self) -> Result<(), SyncError> {
        self.inputs += 1;
        if let Some(fault) = self.vm.drain_faults().into_iter().next()
            && !self.allow_faults
        {
            return Err(SyncError::Fault(Box::new(fault)));
        }
        if self.inputs.is_multiple_of(self.every) { self.compare() } else { Ok(()) }
    }

    fn compare(&mut self) -> Result<(), SyncError> {
        let (veteran, restored) = (self.vm.snapshot()?, self.twin.snapshot()?);
        if veteran != restored {
            let (place, field, veteran, restored) =
                first_difference(&self.app, &veteran, &restored);
            let (time, seq) = (self.vm.time(), self.vm.seq());
            let difference = Difference { time, seq, place, field, veteran, restored };
            return Err(SyncError::Differs(Box::new(difference)));
        }
        self.twin = Vm::restore(&self.app, &veteran)?;
        Ok(())
    }
}

/// The first place at which two snapshots differ, and the values of both.
fn first_difference(app: &App, veteran: &[u8], restored: &[u8]) -> Found {
    let trees = (Tree::of_app(app, veteran), Tree::of_app(app, restored));
    if let (Ok(veteran), Ok(restored)) = trees
        && let Some(place) = veteran.first_difference(&restored)
    {
        let at = |tree: &Tree| tree.get(&place).map_or("nothing".to_owned(), ToString::to_string);
        let (veteran, restored) = (at(&veteran), at(&restored));
        return match &place.model {
            Some((id, kind)) => {
                let field = place.field();
                let field = (!field.is_empty()).then_some(field);
                (format!("model M{id} ({kind})"), field, veteran, restored)
            }
            None => (place.field(), None, veteran, restored),
        };
    }
    ("the snapshot".into(), None, "one encoding".into(), "another".into())
}

/// Place, field, value of the veteran, value of the twin.
type Found = (String, Option<String>, String, String);
