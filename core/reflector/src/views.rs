//! The views of a session, as its models know them and as the connections say.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use teatime_wire::ViewId;

use crate::ConnId;
use crate::stored::StoredView;
use crate::view::{Change, View};

/// The number of a view in the order of arrival.
pub(crate) type Arrival = u64;

/// All views of a session. What the models still have to learn is not stored, it follows: a view that
/// is connected and not announced joins, one that is announced and gone exits. So a view that came
/// and went between two messages cancels by itself.
#[derive(Debug, Default)]
pub(crate) struct Views {
    all: BTreeMap<Arrival, View>,
    by_id: HashMap<ViewId, Arrival>,
    next: Arrival,
    connected: usize,
    /// Exits to tell although the view may be back: found at a cold start.
    cold_exits: Vec<Change>,
    /// Counters of views that have gone, oldest first.
    departed: VecDeque<(ViewId, u64)>,
    departed_limit: usize,
}

impl Views {
    pub(crate) fn new(departed_limit: usize) -> Self {
        Self { departed_limit, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    /// How many the models know.
    pub(crate) fn announced(&self) -> usize {
        self.all.values().filter(|view| view.is_announced()).count()
    }

    pub(crate) fn get(&self, arrival: Arrival) -> Option<&View> {
        self.all.get(&arrival)
    }

    pub(crate) fn get_mut(&mut self, arrival: Arrival) -> Option<&mut View> {
        self.all.get_mut(&arrival)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Arrival, &View)> {
        self.all.iter().map(|(arrival, view)| (*arrival, view))
    }

    pub(crate) fn find(&self, id: ViewId) -> Option<&View> {
        self.all.get(self.by_id.get(&id)?)
    }

    /// The first client comes after a rest: the exits that came due meanwhile go out before any join.
    pub(crate) fn cold_start(&mut self, now: u64) {
        let due: Vec<_> = self.iter().filter(|(_, view)| view.wants_exit(now)).collect();
        let due: Vec<_> = due.into_iter().map(|(arrival, _)| arrival).collect();
        for arrival in due {
            if let Some(view) = self.remove(arrival) {
                self.cold_exits.push(view.into_change());
            }
        }
    }

    /// A connection joins as this view: its `attempt`th. Returns its place, and the connection that it had.
    pub(crate) fn connect(
        &mut self,
        now: u64,
        id: ViewId,
        data: Option<Bytes>,
        (connection, attempt): (ConnId, u64),
    ) -> (Arrival, Option<ConnId>) {
        let arrival = match self.by_id.get(&id) {
            Some(arrival) => *arrival,
            None => self.add(now, id),
        };
        let Some(view) = self.all.get_mut(&arrival) else { return (arrival, None) };
        let before = view.connect(now, connection, attempt, data);
        self.connected += usize::from(before.is_none());
        (arrival, before)
    }

    fn add(&mut self, now: u64, id: ViewId) -> Arrival {
        let arrival = self.next;
        self.next += 1;
        let known = self.departed.iter().position(|(departed, _)| *departed == id);
        let counter = known.and_then(|at| self.departed.remove(at)).map_or(0, |known| known.1);
        self.all.insert(arrival, View::new(now, id, counter));
        self.by_id.insert(id, arrival);
        arrival
    }

    /// A view's connection is gone; unless it comes back its exit is due at `exit_at`.
    pub(crate) fn disconnect(&mut self, arrival: Arrival, exit_at: u64) {
        let Some(view) = self.all.get_mut(&arrival) else { return };
        self.connected -= usize::from(view.disconnect(exit_at));
        if !view.is_announced() {
            // It has never been there, as far as the models know.
            self.remove(arrival);
        }
    }

    /// What a checkpoint holds: the views that the models know, and the counters of the others.
    pub(crate) fn store(&self) -> (Vec<StoredView>, Vec<(ViewId, u64)>) {
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
        (known.collect(), self.departed.iter().copied().chain(coming).collect())
    }

    /// What a checkpoint held. None of these views is connected.
    pub(crate) fn restore(&mut self, views: Vec<StoredView>, departed: Vec<(ViewId, u64)>) {
        self.departed = departed.into();
        for StoredView { id, data, counter } in views {
            self.restore_view(id, data.map(|data| Bytes::from(data.into_vec())), counter);
        }
    }

    fn restore_view(&mut self, id: ViewId, data: Option<Bytes>, counter: u64) {
        let arrival = self.add(0, id);
        if let Some(view) = self.all.get_mut(&arrival) {
            view.restore(data, counter);
        }
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
        self.all.values_mut().for_each(|view| view.set_exit_at(exit_at));
    }

    fn depart(&mut self, id: ViewId, counter: u64) {
        self.departed.push_back((id, counter));
        if self.departed.len() > self.departed_limit {
            self.departed.pop_front();
        }
    }

    fn remove(&mut self, arrival: Arrival) -> Option<View> {
        let view = self.all.remove(&arrival)?;
        self.by_id.remove(&view.id());
        if view.counter() > 0 {
            self.depart(view.id(), view.counter());
        }
        Some(view)
    }

    /// Whether there are joins or exits to tell.
    pub(crate) fn has_changes(&self, now: u64) -> bool {
        let changes = |view: &View| view.wants_exit(now) || view.wants_join();
        !self.cold_exits.is_empty() || self.all.values().any(changes)
    }

    /// When the next exit comes due.
    pub(crate) fn next_exit(&self) -> Option<u64> {
        self.all.values().filter_map(View::next_exit).min()
    }

    /// When the last exit comes due.
    pub(crate) fn last_exit(&self) -> Option<u64> {
        self.all.values().filter_map(View::next_exit).max()
    }

    /// Takes the exits and joins to tell, at most `most` of both; exits first.
    pub(crate) fn take_changes(&mut self, now: u64, most: usize) -> (Vec<Change>, Vec<Change>) {
        let cold = self.cold_exits.len().min(most);
        let mut exits: Vec<_> = self.cold_exits.drain(..cold).collect();
        let due = self.iter().filter(|(_, view)| view.wants_exit(now));
        let due: Vec<_> = due.map(|(arrival, _)| arrival).take(most - exits.len()).collect();
        for arrival in due {
            if let Some(view) = self.remove(arrival) {
                exits.push(view.into_change());
            }
        }
        let room = most - exits.len();
        let joins = self.all.values_mut().filter(|view| view.wants_join()).take(room);
        (exits, joins.map(View::announce).collect())
    }
}
