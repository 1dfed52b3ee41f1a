//! The virtual machine as its driver sees it.

use std::sync::Arc;

use crate::app::App;
use crate::cx::NotInModel;
use crate::fault::{Fault, FaultKind};
use crate::history::History;
use crate::id::{Handle, ModelId, SessionId, StateHash, ViewId};
use crate::limits::MAX_TURNS_PER_INSTANT;
use crate::model::{ArgumentKind, Model, QueryError};
use crate::payload::Payload;
use crate::persisted::{MigrationError, PersistedData};
use crate::presence::{USER_ENTER, USER_EXIT, VIEW_EXIT, VIEW_JOIN, ViewInfo};
use crate::recording::{Head, Recording};
use crate::snapshot::{self, SnapshotError};
use crate::state::{Published, State};
use crate::time::Time;

/// The models of a session. Its input is a total order of external events and times; what is
/// published for views is its output; nothing else goes in or out.
pub struct Vm {
    state: State,
    /// Future messages run at the present instant; [`MAX_TURNS_PER_INSTANT`] guards it.
    turns: u64,
    /// By which turns that fail are undone.
    history: History,
}

/// What comes from outside, in the order that the reflector gave it.
#[derive(Debug, Clone, Copy)]
pub enum External<'a> {
    /// An event that a view has sent.
    Event {
        /// Who, as the reflector stamped it.
        sender: ViewId,
        /// Scope of the topic.
        scope: &'a str,
        /// Event of the topic.
        event: &'a str,
        /// MessagePack.
        payload: &'a [u8],
    },
    /// Views that went and came, as one occurrence: exits count first.
    Presence {
        /// Who went.
        exited: &'a [ViewInfo],
        /// Who came.
        joined: &'a [ViewInfo],
    },
    /// A position at which nothing happens.
    Marker,
}

/// Why a session cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The root model could not be made.
    #[error("the root model cannot be made: {0}")]
    Init(String),
    /// What `init` made does not survive a snapshot.
    #[error("the new model does not survive its snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// What was persisted cannot be used.
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

/// An external event in the wrong place.
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
    /// Starts a session: makes the root model from its options (MessagePack), then rebuilds
    /// everything from its own snapshot, so that what does not survive one shows at once.
    pub fn new(app: &App, session: SessionId, options: &[u8]) -> Result<Self, VmError> {
        Self::begin(app, session, options, None)
    }

    /// The same for a session that begins with what some version of the app has persisted. It is migrated before
    /// anything else, and as long as the models persist nothing new it stays what is persisted. An
    /// app that persists nothing does not look at it.
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

    /// Continues from a snapshot. The bytes may come from anywhere: what is not the snapshot of a
    /// session of exactly this version of the app is refused, and the error names where.
    pub fn restore(app: &App, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let state = snapshot::read(app, snapshot)?;
        let history = History::new(snapshot.into(), state.seq);
        Ok(Self { state, turns: 0, history })
    }

    /// The whole state, canonically encoded: equal states have equal bytes. It fails if a model
    /// cannot be saved: those in Rust always can once the session has begun, those in other
    /// languages may refuse.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        snapshot::write(&self.state)
    }

    /// The snapshot with which another session of this app begins where this one stands. Its random
    /// numbers are others, and whoever subscribed to the scope of the session is subscribed to that of
    /// the other. A model that keeps the session's id in its own state keeps the old one.
    pub fn snapshot_for(&self, session: SessionId) -> Result<Vec<u8>, SnapshotError> {
        snapshot::write_as(&self.state, session)
    }

    /// The same as [`snapshot`](Self::snapshot), and keeps it to undo turns that fail from now on. Without that the virtual machine
    /// does so by itself, now and then.
    pub fn checkpoint(&mut self) -> Result<Arc<[u8]>, SnapshotError> {
        let snapshot: Arc<[u8]> = self.snapshot()?.into();
        self.history.checkpoint(snapshot.clone(), self.turns);
        Ok(snapshot)
    }

    /// Says that the state at this position, of which this is the snapshot, is right: others have
    /// vouched for it. It must be a [`checkpoint`](Self::checkpoint) of this virtual machine. What
    /// follows is kept, as far as that is possible, for [`recording`](Self::recording).
    pub fn believe(&mut self, seq: u64, snapshot: Arc<[u8]>) {
        self.history.believe(seq, snapshot);
    }

    /// The newest state that is believed to be right — the one that this was restored from, or what
    /// [`believe`](Self::believe) said — with all that has come since, up to this position. None if
    /// that was too much to be kept. `options` are those of the root model.
    pub fn recording(&self, options: &[u8], until: (Time, u64)) -> Option<Recording> {
        let (base, from, inputs) = self.history.since_belief(until.1)?;
        let head = Head::new(&self.state.app, self.state.session, options);
        Some(Recording { head, base: Some(base), from, inputs: inputs.to_vec(), until })
    }

    /// BLAKE3 of the snapshot.
    pub fn hash(&self) -> Result<StateHash, SnapshotError> {
        self.snapshot().map(|snapshot| StateHash::of(&snapshot))
    }

    /// Identity of the session.
    pub fn session_id(&self) -> SessionId {
        self.state.session
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.state.app
    }

    /// What the root model has persisted last, in this session or in the one that it has it from.
    pub fn persisted(&self) -> Option<&PersistedData> {
        self.state.persisted.as_ref()
    }

    /// The time that has been reached.
    pub fn time(&self) -> Time {
        self.state.time
    }

    /// Sequence number of the newest external event; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    /// The views that there are, in the order in which they came.
    pub fn views(&self) -> impl Iterator<Item = ViewId> {
        self.state.views.keys().copied()
    }

    /// The same with what they brought along.
    pub fn view_infos(&self) -> impl Iterator<Item = ViewInfo> {
        let info = |(view, data): (&ViewId, &Option<Arc<[u8]>>)| ViewInfo {
            view_id: *view,
            view_data: data.clone(),
        };
        self.state.views.iter().map(info)
    }

    /// How many views there are.
    pub fn view_count(&self) -> u32 {
        u32::try_from(self.state.views.len()).unwrap_or(u32::MAX)
    }

    /// How many future messages wait.
    pub fn future_count(&self) -> u64 {
        self.state.wheel.len() as u64
    }

    /// Runs the future messages that are due by `to`, at most `max_turns` of them, and lets the
    /// time pass. True when none is left: then the time is `to`, or later if it was before.
    pub fn advance(&mut self, to: Time, max_turns: u64) -> bool {
        if self.history.is_long() {
            // Whoever cannot be saved now keeps what is there.
            let _ = self.checkpoint();
        }
        for _ in 0..max_turns {
            let (before, published) = (self.state.time, self.state.published.len());
            if !self.state.run_future(to) {
                if to > self.state.time {
                    self.state.time = to;
                    self.turns = 0;
                }
                return true;
            }
            self.history.turns += 1;
            // Playing it again has counted the turn that was undone.
            if !self.state.failed || !self.undo_turn(published) {
                self.count_turn(before);
            }
        }
        false
    }

    #[inline]
    fn count_turn(&mut self, before: Time) {
        self.turns = if self.state.time == before { self.turns + 1 } else { 0 };
        if self.turns >= MAX_TURNS_PER_INSTANT {
            self.drop_rest_of_instant();
        }
    }

    #[cold]
    fn drop_rest_of_instant(&mut self) {
        self.turns = 0;
        while let Some((at, model)) = self.state.wheel.pop(self.state.time.as_micros()) {
            if let Some(slot) = self.state.arena.get_mut(model) {
                self.state.wheel.take(&mut slot.futures, at);
            }
        }
        self.state.fault(None, FaultKind::TooManyTurns(MAX_TURNS_PER_INSTANT));
    }

    /// Runs what is due by `time`, then the event. Sequence numbers go up by one; time never goes
    /// back.
    pub fn deliver(
        &mut self,
        time: Time,
        seq: u64,
        external: &External<'_>,
    ) -> Result<(), OrderError> {
        let (last_seq, last_time) = (self.state.seq, self.state.time);
        if last_seq.checked_add(1) != Some(seq) || time < last_time {
            return Err(OrderError { seq, time, last_seq, last_time });
        }
        while !self.advance(time, u64::MAX) {}
        self.history.record(time, external);
        let published = self.state.published.len();
        self.turn_of_event(seq, external, true);
        if self.state.failed {
            self.undo_turn(published);
        }
        Ok(())
    }

    /// The turn of an external event; views come and go even if no handler hears of it.
    fn turn_of_event(&mut self, seq: u64, external: &External<'_>, calls: bool) {
        self.turns = 0;
        self.state.seq = seq;
        self.state.sender = None;
        match *external {
            External::Event { sender, scope, event, payload } if calls => {
                self.event(sender, scope, event, payload);
            }
            External::Presence { exited, joined } => {
                self.presence(VIEW_EXIT, exited, calls);
                self.presence(VIEW_JOIN, joined, calls);
            }
            External::Event { .. } | External::Marker => {}
        }
        self.state.topics.end_turn();
    }

    /// A handler has failed: goes back to before the turn, as if nobody had been called in it. All
    /// participants do that alike, wherever their histories begin. False if that is not possible.
    #[cold]
    fn undo_turn(&mut self, published: usize) -> bool {
        self.state.failed = false;
        let time = self.state.time;
        let mut restored = match snapshot::read(&self.state.app, &self.history.checkpoint) {
            Ok(state) => state,
            Err(error) => {
                self.state.fault(None, FaultKind::NotUndone(error.to_string()));
                return false;
            }
        };
        std::mem::swap(&mut self.state, &mut restored);
        let turn = self.history.turns - 1;
        self.history.undone.push(turn);
        self.play_history(time);
        // What belongs to this client only is as it was, but for what the turn has published.
        self.state.topics.watch_as(&restored.topics);
        self.state.published = restored.published;
        self.state.published.truncate(published);
        self.state.faults = restored.faults;
        self.state.failed = false;
        // One that fails again and again is undone quickly.
        let _ = self.checkpoint();
        true
    }

    /// Plays all turns of the history, without those that were undone.
    fn play_history(&mut self, until: Time) {
        let placeholder = History::new(Arc::new([]), 0);
        let history = std::mem::replace(&mut self.history, placeholder);
        self.turns = history.instant_turns;
        let (mut turn, mut seq) = (0, self.state.seq);
        for input in history.fresh() {
            while self.replay_future(input.time, history.is_undone(turn)) {
                turn += 1;
            }
            self.state.time = input.time;
            seq += 1;
            self.turn_of_event(seq, &input.external(), !history.is_undone(turn));
            turn += 1;
        }
        while turn < history.turns && self.replay_future(until, history.is_undone(turn)) {
            turn += 1;
        }
        self.history = history;
    }

    fn replay_future(&mut self, until: Time, is_undone: bool) -> bool {
        let before = self.state.time;
        let state = &mut self.state;
        let was_there = if is_undone { state.skip_future(until) } else { state.run_future(until) };
        if was_there {
            self.count_turn(before);
        }
        was_there
    }

    fn event(&mut self, sender: ViewId, scope: &str, event: &str, payload: &[u8]) {
        self.state.sender = Some(sender);
        let presence = [VIEW_JOIN, VIEW_EXIT, USER_ENTER, USER_EXIT].contains(&event);
        if presence && scope == self.state.session.to_string() {
            let topic = format!("{scope}/{event}");
            self.state.fault(None, FaultKind::ReservedTopic(topic));
            return;
        }
        let payload = Payload::from_msgpack(payload);
        self.state.deliver_each(scope, event, &mut |_, _| Some(payload.clone()));
    }

    /// Every one of the views, then all of them at once.
    fn presence(&mut self, event: &str, views: &[ViewInfo], calls: bool) {
        let scope = self.state.session.to_string();
        let mut effective = Vec::with_capacity(views.len());
        for view in views {
            let id = view.view_id;
            let known = self.state.views.contains_key(&id);
            let joins = event == VIEW_JOIN;
            if known == joins {
                self.state.fault(None, FaultKind::Unpaired(id));
                continue;
            }
            if joins {
                self.state.views.insert(id, view.view_data.clone());
            } else {
                self.state.views.remove(&id);
            }
            if !calls {
                continue;
            }
            effective.push(view.clone());
            self.state.deliver_each(&scope, event, &mut |state, listener| {
                Some(match kind(state, listener.model, listener.method) {
                    ArgumentKind::ViewId => Payload::new(id),
                    ArgumentKind::ViewInfo => Payload::new(view.clone()),
                    ArgumentKind::Other => Payload::UNIT,
                    ArgumentKind::ViewIds | ArgumentKind::ViewInfos => return None,
                })
            });
        }
        if effective.is_empty() {
            return;
        }
        let ids: Vec<_> = effective.iter().map(|view| view.view_id).collect();
        let (ids, views) = (Payload::new(ids), Payload::new(effective));
        self.state.deliver_each(&scope, event, &mut |state, listener| match kind(
            state,
            listener.model,
            listener.method,
        ) {
            ArgumentKind::ViewIds => Some(ids.clone()),
            ArgumentKind::ViewInfos => Some(views.clone()),
            _ => None,
        });
    }

    /// Whether a handler of a model runs: never, where there is a virtual machine to ask. See
    /// [`Cx::model_only`](crate::Cx::model_only).
    pub fn model_only(&self) -> Result<(), NotInModel> {
        if self.state.executing { Ok(()) } else { Err(NotInModel) }
    }

    /// A model, to read it.
    pub fn get<M: Model>(&self, model: Handle<M>) -> Option<&M> {
        self.state.arena.get(model.id())?.object.as_ref()?.as_any().downcast_ref()
    }

    /// The root model, if it is of this type.
    pub fn root<M: Model>(&self) -> Option<&M> {
        self.get(Handle::new(ModelId::ROOT))
    }

    /// The model that is known by a name.
    pub fn well_known(&self, name: &str) -> Option<ModelId> {
        self.state.names.get(name).copied()
    }

    /// All models in the order of their ids, with the ids of their types.
    pub fn models(&self) -> impl Iterator<Item = (ModelId, &str)> {
        self.state.arena.iter().map(|(id, slot)| {
            (id, self.state.app.0.definitions[usize::from(slot.definition)].id.as_str())
        })
    }

    /// Asks a query of a model; the argument is MessagePack. Reading changes nothing.
    pub fn query(
        &self,
        model: ModelId,
        name: &str,
        argument: &[u8],
    ) -> Result<Payload, QueryError> {
        self.state.query(model, name, argument)
    }

    /// From now on hands out what models publish on a topic; `*` stands for every scope or event.
    /// This is no part of the state.
    pub fn watch(&mut self, scope: &str, event: &str) {
        self.state.topics.watch(scope, event);
    }

    /// Takes one [`watch`](Self::watch) back.
    pub fn unwatch(&mut self, scope: &str, event: &str) {
        self.state.topics.unwatch(scope, event);
        self.state.topics.end_turn();
    }

    /// Whether some model has subscribed to a topic, be it by a wildcard.
    pub fn is_heard(&self, scope: &str, event: &str) -> bool {
        let topics = self.state.topics.of_event(scope, event);
        let is_heard = |topic| !self.state.topics.get(topic).subscriptions.is_empty();
        topics.into_iter().flatten().any(is_heard)
    }

    /// Moves what models have published to the end of `into`.
    pub fn drain_published(&mut self, into: &mut Vec<Published>) {
        into.append(&mut self.state.published);
    }

    /// Takes what has gone wrong.
    pub fn drain_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.state.faults)
    }
}

fn kind(state: &State, model: ModelId, method: u16) -> ArgumentKind {
    let definition = state.arena.get(model).map(|slot| usize::from(slot.definition));
    let definition = definition.and_then(|at| state.app.0.definitions.get(at));
    let handler = definition.and_then(|definition| definition.handlers.get(usize::from(method)));
    handler.map_or(ArgumentKind::Other, |handler| handler.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_TURNS};
    use crate::{Cx, Duration, model};

    #[model(id = "clock", version = 1)]
    struct Clock {
        ticks: u64,
    }

    #[crate::handlers]
    impl Clock {
        fn init(cx: &mut Cx<Self>, _: &()) -> Self {
            cx.every(Duration::from_millis(1)).call(Self::tick, ());
            Self { ticks: 0 }
        }

        fn tick(&mut self, _cx: &mut Cx<Self>) {
            self.ticks += 1;
        }
    }

    #[test]
    fn the_history_of_a_session_in_which_only_time_passes_is_bounded() {
        let app = App::builder::<Clock>("test.clock").build().expect("it is sound");
        let mut vm = Vm::new(&app, SessionId([1; 32]), &[0xc0]).expect("it starts");
        vm.advance(Time::from_micros(100_000), u64::MAX);
        assert_eq!(vm.history.turns, 100);
        vm.history.turns = MAX_HISTORY_TURNS;
        vm.advance(Time::from_micros(200_000), u64::MAX);
        assert_eq!(vm.history.turns, 100);
    }

    #[test]
    fn what_views_bring_along_counts_as_history() {
        let app = App::builder::<Clock>("test.clock").build().expect("it is sound");
        let mut vm = Vm::new(&app, SessionId([1; 32]), &[0xc0]).expect("it starts");
        let data: Arc<[u8]> = vec![0; 2048].into();
        let views = (0..=255u8).map(|number| crate::ViewInfo {
            view_id: ViewId([number; 16]),
            view_data: Some(data.clone()),
        });
        let views: Vec<_> = views.collect();
        let come = External::Presence { exited: &[], joined: &views };
        let go = External::Presence { exited: &views, joined: &[] };
        let mut most = 0;
        for round in 1..=2 * (MAX_HISTORY_BYTES as u64 / (256 * 2048)) {
            let external = if round % 2 == 1 { &come } else { &go };
            vm.deliver(Time::ZERO, round, external).expect("it is in order");
            most = most.max(vm.history.inputs.len());
        }
        assert!(most <= MAX_HISTORY_BYTES / (256 * 2048) + 1, "{most} messages");
    }
}
