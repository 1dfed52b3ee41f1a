//! Which views of a session have to join, exit or leave, and when: so nothing has to walk all views to find out.

use std::collections::BTreeSet;

use crate::view::{Arrival, View};

/// What follows from the views of a session. [`Views`](crate::views::Views) keeps it up to date with each change of a view.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Views that are connected and not announced.
    joins: BTreeSet<Arrival>,
    /// Views that are announced and not connected, by the time of their exit.
    exits: BTreeSet<(u64, Arrival)>,
    /// Views that are connected and have said that they leave, by that time.
    leaves: BTreeSet<(u64, Arrival)>,
    announced: usize,
    connected: usize,
}

impl Due {
    /// Adds what follows from a view.
    pub(crate) fn add(&mut self, arrival: Arrival, view: &View) {
        self.announced += usize::from(view.is_announced());
        self.connected += usize::from(view.is_connected());
        if view.wants_join() {
            self.joins.insert(arrival);
        }
        self.exits.extend(view.next_exit().map(|at| (at, arrival)));
        self.leaves.extend(leave_of(view).map(|at| (at, arrival)));
    }

    /// Removes what follows from a view. It must not have changed since it was added.
    pub(crate) fn remove(&mut self, arrival: Arrival, view: &View) {
        self.announced -= usize::from(view.is_announced());
        self.connected -= usize::from(view.is_connected());
        self.joins.remove(&arrival);
        if let Some(at) = view.next_exit() {
            self.exits.remove(&(at, arrival));
        }
        if let Some(at) = leave_of(view) {
            self.leaves.remove(&(at, arrival));
        }
    }

    /// How many views the models know.
    pub(crate) fn announced(&self) -> usize {
        self.announced
    }

    /// How many views are connected.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    /// Whether a view has to join, or to exit by now.
    pub(crate) fn has_changes(&self, now: u64) -> bool {
        !self.joins.is_empty() || self.next_exit().is_some_and(|at| at <= now)
    }

    /// When the next exit comes due.
    pub(crate) fn next_exit(&self) -> Option<u64> {
        self.exits.first().map(|(at, _)| *at)
    }

    /// When the last exit comes due.
    pub(crate) fn last_exit(&self) -> Option<u64> {
        self.exits.last().map(|(at, _)| *at)
    }

    /// When the next connected view leaves.
    pub(crate) fn next_leave(&self) -> Option<u64> {
        self.leaves.first().map(|(at, _)| *at)
    }

    /// At most `most` views that have to exit by now: those that are due first, in the order of their arrival.
    pub(crate) fn exits(&self, now: u64, most: usize) -> Vec<Arrival> {
        let due = self.exits.iter().take_while(|(at, _)| *at <= now).take(most);
        let mut due: Vec<_> = due.map(|(_, arrival)| *arrival).collect();
        due.sort_unstable();
        due
    }

    /// At most `most` views that have to join, in the order of their arrival.
    pub(crate) fn joins(&self, most: usize) -> Vec<Arrival> {
        self.joins.iter().take(most).copied().collect()
    }

    /// The connected views that leave by now.
    pub(crate) fn leaves(&self, now: u64) -> impl Iterator<Item = Arrival> + '_ {
        self.leaves.iter().take_while(move |(at, _)| *at <= now).map(|(_, arrival)| *arrival)
    }
}

fn leave_of(view: &View) -> Option<u64> {
    view.leave_at().filter(|_| view.is_connected())
}
