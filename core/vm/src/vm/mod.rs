//! The virtual machine as its driver sees it.
//!
//! Here: starting, saving, and reading a session. What changes the state is in [`turns`].

mod turns;

use std::fmt;
use std::sync::Arc;

use crate::app::App;
use crate::cx::NotInModelError;
use crate::fault::Fault;
use crate::history::{History, SinceBelief};
use crate::id::{Handle, ModelId, SessionId, StateHash, ViewId};
use crate::model::{Model, QueryError};
use crate::payload::Payload;
use crate::persisted::{MigrationError, PersistedData};
use crate::presence::ViewInfo;
use crate::snapshot::{self, SnapshotError};
use crate::state::{Published, State};
use crate::time::Time;

/// The models of one session.
///
/// Its input is a total order of external events and times ([`deliver`](Self::deliver),
/// [`advance`](Self::advance)). Its output is what models publish to views
/// ([`drain_published`](Self::drain_published)), and faults ([`drain_faults`](Self::drain_faults)). Nothing
/// else goes in or out.
pub struct Vm {
    state: State,
    /// Future messages that were run at the present instant. [`MAX_TURNS_PER_INSTANT`] bounds it.
    ///
    /// [`MAX_TURNS_PER_INSTANT`]: crate::limits::MAX_TURNS_PER_INSTANT
    turns: u64,
    /// To undo turns that fail.
    history: History,
}

/// Why a session cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The `init` of the root model failed.
    #[error("the root model cannot be made: {0}")]
    Init(String),
    /// The models that `init` made cannot be restored from their own snapshot.
    #[error("the new model does not survive its snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The persisted data cannot be migrated to this version of the app.
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

/// An external event out of order: its sequence number is not the next one, or its time lies in the past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} at {time} cannot follow event {last_seq} at {last_time}")]
pub struct OrderError {
    /// Sequence number of the event.
    pub seq: u64,
    /// Its time.
    pub time: Time,
    /// Sequence number of the newest event.
    pub last_seq: u64,
    /// The time that the session has reached.
    pub last_time: Time,
}

impl Vm {
    /// Starts a session: makes the root model from its options (MessagePack).
    ///
    /// Then it rebuilds everything from its own snapshot, so that state which does not survive a snapshot
    /// shows immediately.
    ///
    /// # Errors
    /// [`VmError::Init`], [`VmError::Snapshot`].
    pub fn new(app: &App, session: SessionId, options: &[u8]) -> Result<Self, VmError> {
        Self::begin(app, session, options, None)
    }

    /// Starts a session with data that some version of the app has persisted in its room.
    ///
    /// The data is migrated first, and stays the persisted data until the root model persists something
    /// else. An app that persists nothing ignores it.
    ///
    /// # Errors
    /// All of [`VmError`].
    pub fn begin(
        app: &App,
        session: SessionId,
        options: &[u8],
        persisted: Option<&PersistedData>,
    ) -> Result<Self, VmError> {
        let mut state = State::new(app.clone(), session);
        if let Some(data) = persisted {
            state.persisted = app.migrate(data)?;
            state.inherited.clone_from(&state.persisted);
        }
        state.create(0, options).map_err(VmError::Init)?;
        state.inherited = None;
        state.run_queue();
        state.topics.end_turn();
        let faults = std::mem::take(&mut state.faults);
        let mut restored = Self::restore(app, &snapshot::write(&state)?)?;
        restored.state.faults.splice(0..0, faults);
        Ok(restored)
    }

    /// Continues from a snapshot of a session of exactly this version of the app.
    ///
    /// # Errors
    /// Anything else is refused: the bytes may come from anywhere. The error names the place.
    pub fn restore(app: &App, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let state = snapshot::read(app, snapshot)?;
        let history = History::new(snapshot.into(), state.seq);
        Ok(Self { state, turns: 0, history })
    }

    /// The whole state, canonically encoded: equal states have equal bytes.
    ///
    /// # Errors
    /// If a model cannot be saved. Models in Rust always can once the session has started; models in other
    /// languages may refuse.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        snapshot::write(&self.state)
    }

    /// The state as a snapshot for another session of this app, which then starts from here.
    ///
    /// - Its random numbers differ from those of this session.
    /// - Subscriptions to the scope of this session become subscriptions to the scope of the other.
    /// - A model that holds the session id in its own state holds the old one.
    ///
    /// # Errors
    /// Those of [`snapshot`](Self::snapshot).
    pub fn snapshot_for(&self, session: SessionId) -> Result<Vec<u8>, SnapshotError> {
        snapshot::write_as(&self.state, session)
    }

    /// Makes a [`snapshot`](Self::snapshot), and uses it to undo turns that fail from now on.
    ///
    /// The virtual machine makes such checkpoints by itself, too, when its history becomes long.
    ///
    /// # Errors
    /// Those of [`snapshot`](Self::snapshot). The previous checkpoint then stays in use.
    pub fn checkpoint(&mut self) -> Result<Arc<[u8]>, SnapshotError> {
        let snapshot: Arc<[u8]> = self.snapshot()?.into();
        self.history.checkpoint(snapshot.clone(), self.turns);
        Ok(snapshot)
    }

    /// Trusts the state at this position, because the other participants have the same. `snapshot` must be a
    /// [`checkpoint`](Self::checkpoint) of this virtual machine.
    ///
    /// From then on [recordings](crate::recording::Recording) start at this state.
    pub fn believe(&mut self, seq: u64, snapshot: Arc<[u8]>) {
        self.history.believe(seq, snapshot);
    }

    /// The newest trusted state, its position, and the inputs after it up to a sequence number. `None` if
    /// they are not all there.
    pub(crate) fn since_belief(&self, until: u64) -> Option<SinceBelief> {
        self.history.since_belief(until)
    }

    /// BLAKE3 of the snapshot.
    ///
    /// # Errors
    /// Those of [`snapshot`](Self::snapshot).
    pub fn hash(&self) -> Result<StateHash, SnapshotError> {
        self.snapshot().map(|snapshot| StateHash::of(&snapshot))
    }

    /// Id of the session.
    pub fn session_id(&self) -> SessionId {
        self.state.session
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.state.app
    }

    /// The persisted data: what the root model has persisted last, or what the session started with.
    pub fn persisted(&self) -> Option<&PersistedData> {
        self.state.persisted.as_ref()
    }

    /// The time that the session has reached.
    pub fn time(&self) -> Time {
        self.state.time
    }

    /// Sequence number of the newest external event; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    /// The views in the session, in the order in which they joined.
    pub fn views(&self) -> impl Iterator<Item = ViewId> {
        self.state.views.keys().copied()
    }

    /// The views in the session with their data, in the order in which they joined.
    pub fn view_infos(&self) -> impl Iterator<Item = ViewInfo> {
        let info = |(view, data): (&ViewId, &Option<Arc<[u8]>>)| ViewInfo {
            view_id: *view,
            view_data: data.clone(),
        };
        self.state.views.iter().map(info)
    }

    /// The number of views in the session.
    pub fn view_count(&self) -> u32 {
        u32::try_from(self.state.views.len()).unwrap_or(u32::MAX)
    }

    /// The number of future messages that are scheduled. A repeating one counts once.
    pub fn future_count(&self) -> u64 {
        self.state.wheel.len() as u64
    }

    /// Fails unless a handler of a model runs. A caller who holds a `Vm` is never inside a handler, so here
    /// it always fails. See [`Cx::model_only`](crate::Cx::model_only).
    ///
    /// # Errors
    /// Always [`NotInModelError`].
    pub fn model_only(&self) -> Result<(), NotInModelError> {
        if self.state.executing { Ok(()) } else { Err(NotInModelError) }
    }

    /// A model, to read it. `None` if it does not exist or is of another type.
    pub fn get<M: Model>(&self, model: Handle<M>) -> Option<&M> {
        self.state.arena.get(model.id())?.object.as_ref()?.as_any().downcast_ref()
    }

    /// The root model, if it is of this type.
    pub fn root<M: Model>(&self) -> Option<&M> {
        self.get(Handle::new(ModelId::ROOT))
    }

    /// The model with this well-known name.
    pub fn well_known(&self, name: &str) -> Option<ModelId> {
        self.state.names.get(name).copied()
    }

    /// All models in the order of their ids, with the ids of their types.
    pub fn models(&self) -> impl Iterator<Item = (ModelId, &str)> {
        self.state.arena.iter().map(|(id, slot)| {
            (id, self.state.app.0.definitions[usize::from(slot.definition)].id.as_str())
        })
    }

    /// Asks a query of a model. The argument is MessagePack. A query changes nothing.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(
        &self,
        model: ModelId,
        name: &str,
        argument: &[u8],
    ) -> Result<Payload, QueryError> {
        self.state.query(model, name, argument)
    }

    /// Collects what models publish on a topic from now on, for
    /// [`drain_published`](Self::drain_published). `*` stands for every scope or event.
    ///
    /// The topics that are watched are not part of the state. Each call counts: it takes as many calls of
    /// [`unwatch`](Self::unwatch) to end them.
    pub fn watch(&mut self, scope: &str, event: &str) {
        self.state.topics.watch(scope, event);
    }

    /// Undoes one [`watch`](Self::watch).
    pub fn unwatch(&mut self, scope: &str, event: &str) {
        self.state.topics.unwatch(scope, event);
        self.state.topics.end_turn();
    }

    /// Whether a model has subscribed to a topic, directly or by a wildcard.
    pub fn is_heard(&self, scope: &str, event: &str) -> bool {
        let topics = self.state.topics.of_event(scope, event);
        let is_heard = |topic| !self.state.topics.get(topic).subscriptions.is_empty();
        topics.into_iter().flatten().any(is_heard)
    }

    /// Moves what models have published on watched topics to the end of `into`.
    pub fn drain_published(&mut self, into: &mut Vec<Published>) {
        into.append(&mut self.state.published);
    }

    /// Takes the faults since the last call, oldest first. At most
    /// [`MAX_FAULTS`](crate::limits::MAX_FAULTS) are stored; later ones are dropped.
    pub fn drain_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.state.faults)
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("app", self.app())
            .field("session", &self.session_id())
            .field("time", &self.time())
            .field("seq", &self.seq())
            .finish_non_exhaustive()
    }
}
