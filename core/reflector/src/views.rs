//! The views of a session, as its models know them and as the connections say.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use teatime_wire::ViewId;

use crate::ConnId;
use crate::due::Due;
use crate::stored::StoredView;
use crate::view::{Arrival, Change, View};

/// All views of a session. What the models still have to learn is not stored, it follows: a view that
/// is connected and not announced joins, one that is announced and gone exits. So a view that came
/// and went between two messages cancels by itself.
#[derive(Debug, Default)]
pub(crate) struct Views {
    all: BTreeMap<Arrival, View>,
    by_id: HashMap<ViewId, Arrival>,
    next: Arrival,
    /// What follows from them.
    due: Due,
    /// Exits to tell although the view may be back: found at a cold start.
    cold_exits: Vec<Change>,
    /// Counters of views that have gone, oldest first.
    departed: VecDeque<(ViewId, u64)>,
    departed_limit: usize,
    /// Whether more views have gone than are remembered. Until then, a view that is not among them has sent nothing.
    has_forgotten: bool,
    /// The highest numbers of the connections of views that have gone, oldest first. A join that was under way when its view
    /// left must not bring the view back. Not stored: connections do not outlive the process either.
    last_attempts: VecDeque<(ViewId, u64)>,
}

impl Views {
    pub(crate) fn new(departed_limit: usize) -> Self {
        Self { departed_limit, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of the next view that comes.
    pub(crate) fn next_arrival(&self) -> Arrival {
        self.next
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        self.due.connected()
    }

    /// How many the models know.
    pub(crate) fn announced(&self) -> usize {
        self.due.announced()
    }

    pub(crate) fn get(&self, arrival: Arrival) -> Option<&View> {
        self.all.get(&arrival)
    }

    /// A view, for changes from which nothing follows that is due.
    pub(crate) fn get_mut(&mut self, arrival: Arrival) -> Option<&mut View> {
        self.all.get_mut(&arrival)
    }

    /// Changes a view, and what follows from it.
    fn change<T>(&mut self, arrival: Arrival, change: impl FnOnce(&mut View) -> T) -> Option<T> {
        let view = self.all.get_mut(&arrival)?;
        self.due.remove(arrival, view);
        let result = change(view);
        self.due.add(arrival, view);
        Some(result)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Arrival, &View)> {
        self.all.iter().map(|(arrival, view)| (*arrival, view))
    }

    pub(crate) fn find(&self, id: ViewId) -> Option<&View> {
        self.all.get(self.by_id.get(&id)?)
    }

    /// The highest number of the connections of a view, also if it has gone.
    pub(crate) fn newest_attempt(&self, id: ViewId) -> Option<u64> {
        let gone = || self.last_attempts.iter().rev().find(|(gone, _)| *gone == id);
        self.find(id).map(View::attempt).or_else(|| gone().map(|(_, attempt)| *attempt))
    }

    /// The first client comes after a rest: the exits that came due meanwhile go out before any join.
    pub(crate) fn cold_start(&mut self, now: u64) {
        for arrival in self.due.exits(now, usize::MAX) {
            if let Some(view) = self.remove(arrival) {
                self.cold_exits.push(view.into_change());
            }
        }
    }

    /// A connection joins as this view: its `attempt`th. Returns its place, and the connection that it had.
    pub(crate) fn connect(
        &mut self,
        id: ViewId,
        (data, agent): (Option<Bytes>, &str),
        (connection, attempt): (ConnId, u64),
    ) -> (Arrival, Option<ConnId>) {
        let arrival = match self.by_id.get(&id) {
            Some(arrival) => *arrival,
            // Before its first connection a view has sent nothing.
            None => self.add(id, (attempt == 1).then_some(0)),
        };
        let before = self.change(arrival, |view| view.connect(connection, attempt, data, agent));
        (arrival, before.flatten())
    }

    /// Adds a view. `counter` is that of its newest send, if it is not among those that have gone.
    fn add(&mut self, id: ViewId, counter: Option<u64>) -> Arrival {
        let arrival = self.next;
        self.next += 1;
        let known = self.departed.iter().position(|(departed, _)| *departed == id);
        let known = known.and_then(|at| self.departed.remove(at)).map(|known| known.1);
        let counter = counter.or((!self.has_forgotten).then_some(0));
        let view = View::new(id, known.or(counter));
        self.due.add(arrival, &view);
        self.all.insert(arrival, view);
        self.by_id.insert(id, arrival);
        arrival
    }

    /// A view's connection is gone; unless it comes back its exit is due at `exit_at`.
    pub(crate) fn disconnect(&mut self, arrival: Arrival, exit_at: u64) {
        let is_announced = self.change(arrival, |view| {
            view.disconnect(exit_at);
            view.is_announced()
        });
        if is_announced == Some(false) {
            // It has never been there, as far as the models know.
            self.remove(arrival);
        }
    }

    /// A view leaves at this time, connected or not, unless it joins again.
    pub(crate) fn set_leave_at(&mut self, arrival: Arrival, leave_at: u64) {
        self.change(arrival, |view| view.set_leave_at(leave_at));
    }

    /// What a checkpoint holds: the views that the models know, the counters of the others, and whether some of those
    /// are forgotten.
    pub(crate) fn store(&self) -> (Vec<StoredView>, Vec<(ViewId, u64)>, bool) {
        let known = self.all.values().filter(|view| view.is_announced()).map(View::store);
        let coming = self.all.values().filter(|view| !view.is_announced() && view.counter() > 0);
        let coming = coming.map(|view| (view.id(), view.counter()));
        // Views that still have to exit are there, as far as the models know.
        let leaving = self.cold_exits.iter().filter(|(id, _)| {
            let back = self.by_id.get(id).and_then(|arrival| self.all.get(arrival));
            back.is_none_or(|view| !view.is_announced())
        });
        let counter = |id| self.departed.iter().find(|(known, _)| known == id).map_or(0, |d| d.1);
        let leaving = leaving.map(|(id, data)| StoredView {
            id: *id,
            data: data.as_ref().map(|data| data.to_vec().into()),
            counter: counter(id),
        });
        let known = known.chain(leaving);
        let departed = self.departed.iter().copied().chain(coming).collect();
        (known.collect(), departed, self.has_forgotten)
    }

    /// What a checkpoint held. None of these views is connected.
    pub(crate) fn restore(
        &mut self,
        views: Vec<StoredView>,
        departed: Vec<(ViewId, u64)>,
        has_forgotten: bool,
    ) {
        self.departed = departed.into();
        self.has_forgotten = has_forgotten;
        for StoredView { id, data, counter } in views {
            self.restore_view(id, data.map(|data| Bytes::from(data.into_vec())), counter);
        }
    }

    fn restore_view(&mut self, id: ViewId, data: Option<Bytes>, counter: u64) {
        let arrival = self.add(id, None);
        self.change(arrival, |view| view.restore(data, counter));
    }

    /// The counter of an event that was stored.
    pub(crate) fn restore_counter(&mut self, id: ViewId, counter: u64) {
        let known = self.by_id.get(&id).and_then(|arrival| self.all.get_mut(arrival));
        if let Some(view) = known {
            view.restore_counter(counter);
        } else if let Some(known) = self.departed.iter_mut().find(|(known, _)| *known == id) {
            known.1 = known.1.max(counter);
        } else {
            self.depart(id, counter);
        }
    }

    /// Joins and exits of an ordered message that was stored.
    pub(crate) fn restore_changes<'a>(
        &mut self,
        exited: impl Iterator<Item = ViewId>,
        joined: impl Iterator<Item = (ViewId, Option<&'a [u8]>)>,
    ) {
        for id in exited {
            if let Some(arrival) = self.by_id.get(&id) {
                self.remove(*arrival);
            }
        }
        for (id, data) in joined {
            self.restore_view(id, data.map(Bytes::copy_from_slice), 0);
        }
    }

    /// Senders are asked to pause from now on.
    pub(crate) fn all_held(&mut self) {
        self.all.values_mut().for_each(|view| view.set_held_bytes(0));
    }

    /// Sets when all exits are due.
    pub(crate) fn all_exit_at(&mut self, exit_at: u64) {
        let all: Vec<_> = self.all.keys().copied().collect();
        for arrival in all {
            self.change(arrival, |view| view.set_exit_at(exit_at));
        }
    }

    fn depart(&mut self, id: ViewId, counter: u64) {
        self.departed.push_back((id, counter));
        if self.departed.len() > self.departed_limit {
            self.departed.pop_front();
            self.has_forgotten = true;
        }
    }

    fn remove(&mut self, arrival: Arrival) -> Option<View> {
        let view = self.all.remove(&arrival)?;
        self.due.remove(arrival, &view);
        self.by_id.remove(&view.id());
        if let Some(counter) = view.known_counter() {
            self.depart(view.id(), counter);
        }
        self.last_attempts.push_back((view.id(), view.attempt()));
        if self.last_attempts.len() > self.departed_limit {
            self.last_attempts.pop_front();
        }
        Some(view)
    }

    /// Whether there are joins or exits to tell.
    pub(crate) fn has_changes(&self, now: u64) -> bool {
        !self.cold_exits.is_empty() || self.due.has_changes(now)
    }

    /// When the next exit comes due.
    pub(crate) fn next_exit(&self) -> Option<u64> {
        self.due.next_exit()
    }

    /// When the next connected view leaves that has said so in advance.
    pub(crate) fn next_leave(&self) -> Option<u64> {
        self.due.next_leave()
    }

    /// The connections of views that have said that they leave by now.
    pub(crate) fn leaving(&self, now: u64) -> Vec<ConnId> {
        let leaving = self.due.leaves(now).filter_map(|arrival| self.get(arrival));
        leaving.filter_map(View::connection).collect()
    }

    /// When the last exit comes due.
    pub(crate) fn last_exit(&self) -> Option<u64> {
        self.due.last_exit()
    }

    /// Takes the exits and joins to tell, at most `most` of both; exits first.
    pub(crate) fn take_changes(&mut self, now: u64, most: usize) -> (Vec<Change>, Vec<Change>) {
        let cold = self.cold_exits.len().min(most);
        let mut exits: Vec<_> = self.cold_exits.drain(..cold).collect();
        for arrival in self.due.exits(now, most - exits.len()) {
            exits.extend(self.remove(arrival).map(View::into_change));
        }
        let joins = self.due.joins(most - exits.len()).into_iter();
        (exits, joins.filter_map(|arrival| self.change(arrival, View::announce)).collect())
    }
}
