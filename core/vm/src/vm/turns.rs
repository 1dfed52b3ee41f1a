//! Turns: how external events and future messages change the state, and how a failed turn is undone.

use std::sync::Arc;

use super::{OrderError, Vm};
use crate::external::External;
use crate::fault::FaultKind;
use crate::history::History;
use crate::id::{ModelId, ViewId};
use crate::limits::MAX_TURNS_PER_INSTANT;
use crate::model::ArgumentKind;
use crate::payload::Payload;
use crate::presence::{USER_ENTER, USER_EXIT, VIEW_EXIT, VIEW_JOIN, ViewInfo};
use crate::snapshot;
use crate::state::State;
use crate::time::Time;
use crate::topic::Source;

impl Vm {
    /// Runs the future messages that are due by `to`, at most `max_turns` of them.
    ///
    /// Returns true if none is left. The session has then reached the time `to`, or stays where it was if
    /// that is later.
    pub fn advance(&mut self, to: Time, max_turns: u64) -> bool {
        if self.history.is_long() {
            // If the state cannot be saved now, the checkpoint before stays in use.
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
            // Undoing a turn replays the history, which counts the turn.
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

    /// Runs the future messages that are due by `time`, then the event.
    ///
    /// # Errors
    /// [`OrderError`] if `seq` is not the next sequence number, or `time` lies before the time that the
    /// session has reached. Nothing has changed then.
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

    /// The turn of an external event. Without `calls` views still join and exit, but no handler runs.
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

    /// Undoes a turn in which a handler failed: the state becomes what it would be had the turn called no
    /// handler. All participants get the same state, wherever their histories start. Returns false if the
    /// checkpoint cannot be restored.
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
        // What is local to this client stays, except what the turn has published.
        self.state.topics.watch_as(&restored.topics);
        self.state.published = restored.published;
        self.state.published.truncate(published);
        self.state.faults = restored.faults;
        self.state.failed = false;
        // A handler that fails again and again must not replay a longer history each time.
        let _ = self.checkpoint();
        true
    }

    /// Replays the history, without calling handlers in turns that were undone.
    fn play_history(&mut self, until: Time) {
        let placeholder = History::new(Arc::new([]), 0);
        let history = std::mem::replace(&mut self.history, placeholder);
        self.turns = history.instant_turns;
        let (mut turn, mut seq) = (0, self.state.seq);
        for (time, external) in history.fresh() {
            while self.replay_future(time, history.is_undone(turn)) {
                turn += 1;
            }
            self.state.time = time;
            seq += 1;
            self.turn_of_event(seq, &external, !history.is_undone(turn));
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
        let source = Source::View(sender);
        self.state.deliver_each(scope, event, source, &mut |_, _| Some(payload.clone()));
    }

    /// Delivers a batch of joins or exits: first each view by itself, then all of them together.
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
            self.state.deliver_each(&scope, event, Source::Reflector, &mut |state, listener| {
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
        self.state.deliver_each(
            &scope,
            event,
            Source::Reflector,
            &mut |state, listener| match kind(state, listener.model, listener.method) {
                ArgumentKind::ViewIds => Some(ids.clone()),
                ArgumentKind::ViewInfos => Some(views.clone()),
                _ => None,
            },
        );
    }
}

/// The form in which a handler takes a join or an exit.
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
    use crate::{App, Cx, Duration, SessionId, model};

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

    fn clock() -> Vm {
        let app = App::builder::<Clock>("test.clock").build().expect("the declaration is valid");
        Vm::new(&app, SessionId([1; 32]), &[0xc0]).expect("the session starts")
    }

    #[test]
    fn the_history_stays_bounded_while_only_time_passes() {
        let mut vm = clock();
        vm.advance(Time::from_micros(100_000), u64::MAX);
        assert_eq!(vm.history.turns, 100);
        vm.history.turns = MAX_HISTORY_TURNS;
        vm.advance(Time::from_micros(200_000), u64::MAX);
        assert_eq!(vm.history.turns, 100);
    }

    #[test]
    fn view_data_counts_towards_the_size_of_the_history() {
        let mut vm = clock();
        let data: Arc<[u8]> = vec![0; 2048].into();
        let views = (0..=255u8).map(|number| ViewInfo {
            view_id: ViewId([number; 16]),
            view_data: Some(data.clone()),
        });
        let views: Vec<_> = views.collect();
        let joins = External::Presence { exited: &[], joined: &views };
        let exits = External::Presence { exited: &views, joined: &[] };
        let mut most = 0;
        for round in 1..=2 * (MAX_HISTORY_BYTES as u64 / (256 * 2048)) {
            let external = if round % 2 == 1 { &joins } else { &exits };
            vm.deliver(Time::ZERO, round, external).expect("the events are in order");
            most = most.max(vm.history.inputs.len());
        }
        assert!(most <= MAX_HISTORY_BYTES / (256 * 2048) + 1, "{most} messages");
    }
}
