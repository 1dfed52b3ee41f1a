//! What all participants know of each other by the log: the newest event and the newest join of each.

use std::collections::{BTreeMap, VecDeque};

use serde_bytes::ByteArray;
use teatime_base::ViewId;

/// Number of participants that have exited and are remembered, the newest of them. In a snapshot each takes some 20 bytes.
const MAX_DEPARTED: usize = 1_000;

/// The participants of a session with a password. All clients with the same log have the same, and it travels with the
/// snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Senders {
    present: BTreeMap<ViewId, Record>,
    /// Those that have exited, the oldest first.
    departed: VecDeque<(ViewId, Record)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The number of the connection with which the participant joined.
    pub(crate) attempt: u64,
    /// The counter of its newest event. `None` if that is not known.
    pub(crate) counter: Option<u64>,
}

/// A record as it is stored: id, attempt, counter.
type Stored = (ByteArray<16>, u64, Option<u64>);

/// The present ones, and those that have exited.
pub(crate) type StoredSenders = (Vec<Stored>, Vec<Stored>);

impl Senders {
    /// A participant joins, with its `attempt`th connection by what it has sealed. False if it has sealed nothing, or has
    /// joined with this connection or a later one before: then the join was invented, or is an old one.
    pub(crate) fn join(&mut self, view: ViewId, attempt: Option<u64>) -> bool {
        let at = self.departed.iter().position(|(departed, _)| *departed == view);
        let known = at.and_then(|at| self.departed.remove(at)).map(|departed| departed.1);
        let known = known.or_else(|| self.present.get(&view).copied());
        let is_new = attempt.is_some_and(|own| known.is_none_or(|known| own > known.attempt));
        // Before its first connection a participant has sent nothing.
        let first = (attempt == Some(1)).then_some(0);
        let mut record = known.unwrap_or(Record { attempt: 0, counter: first });
        record.attempt = record.attempt.max(attempt.unwrap_or(0));
        self.present.insert(view, record);
        is_new
    }

    pub(crate) fn exit(&mut self, view: ViewId) {
        let Some(record) = self.present.remove(&view) else { return };
        if self.departed.len() == MAX_DEPARTED {
            self.departed.pop_front();
        }
        self.departed.push_back((view, record));
    }

    /// The record of a participant that is there.
    pub(crate) fn present(&self, view: ViewId) -> Option<Record> {
        self.present.get(&view).copied()
    }

    /// An event of a participant that is there was handled.
    pub(crate) fn accept(&mut self, view: ViewId, counter: u64) {
        if let Some(record) = self.present.get_mut(&view) {
            record.counter = Some(counter);
        }
    }

    /// Whether these, which are older, know of something that is missing here. Records and counters only go up, and only
    /// the oldest of those that have exited are forgotten.
    pub(crate) fn lack_some_of(&self, older: &Self) -> bool {
        let departed = tree(self.departed.iter().copied());
        let may_forget = departed.len() == MAX_DEPARTED;
        let known = older.present.iter().map(|(view, record)| (*view, *record));
        known.chain(older.departed.iter().copied()).any(|(view, record)| {
            match self.present.get(&view).or_else(|| departed.get(&view)) {
                // One that was forgotten and has joined again has no counter.
                Some(now) => {
                    now.attempt < record.attempt
                        || now.counter.is_some_and(|counter| Some(counter) < record.counter)
                }
                None => !may_forget,
            }
        })
    }

    pub(crate) fn store(&self) -> StoredSenders {
        let each = |view: &ViewId, record: &Record| {
            (ByteArray::new(view.0), record.attempt, record.counter)
        };
        let present = self.present.iter().map(|(view, record)| each(view, record));
        let departed = self.departed.iter().map(|(view, record)| each(view, record));
        (present.collect(), departed.collect())
    }

    /// What [`store`](Self::store) has returned. `None` if it cannot have returned this.
    pub(crate) fn restore((present, departed): StoredSenders) -> Option<Self> {
        let each = |(view, attempt, counter): Stored| {
            (ViewId(view.into_array()), Record { attempt, counter })
        };
        let is_sorted = present.is_sorted_by(|(one, ..), (next, ..)| one < next);
        let present = tree(present.into_iter().map(each));
        let departed: VecDeque<_> = departed.into_iter().map(each).collect();
        let mut once = present.clone();
        let are_apart = departed.iter().all(|(view, record)| once.insert(*view, *record).is_none());
        let is_whole = is_sorted && are_apart && departed.len() <= MAX_DEPARTED;
        is_whole.then_some(Self { present, departed })
    }
}

/// Inserts one after another. To collect into a tree would add code that sorts first.
fn tree(records: impl Iterator<Item = (ViewId, Record)>) -> BTreeMap<ViewId, Record> {
    let mut tree = BTreeMap::new();
    tree.extend(records);
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ViewId {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        ViewId(id)
    }

    #[test]
    fn a_join_counts_once_and_never_without_what_its_participant_has_sealed() {
        let mut senders = Senders::default();
        assert!(senders.join(id(1), Some(1)) && !senders.join(id(1), Some(1)));
        senders.exit(id(1));
        assert!(!senders.join(id(1), Some(1)), "an old join, after the exit");
        assert!(senders.join(id(1), Some(4)) && !senders.join(id(1), Some(3)));
        assert!(!senders.join(id(2), None));
    }

    #[test]
    fn counters_outlive_exits_and_only_those_of_the_newest_participants() {
        let counter = |senders: &mut Senders, view| {
            senders.join(view, Some(u64::MAX));
            senders.present(view).expect("it has joined").counter
        };
        let mut senders = Senders::default();
        senders.join(id(0), Some(1));
        senders.accept(id(0), 5);
        senders.exit(id(0));
        senders.accept(id(0), 6);
        assert_eq!(senders.present(id(0)), None);
        let last = MAX_DEPARTED as u64;
        for number in 1..last {
            senders.join(id(number), Some(2));
            senders.exit(id(number));
        }
        let restored = Senders::restore(senders.store());
        assert_eq!(restored.as_ref(), Some(&senders));
        assert_eq!(counter(&mut senders.clone(), id(0)), Some(5), "it sent nothing after its exit");
        senders.join(id(last), Some(1));
        senders.exit(id(last));
        assert_eq!(senders.departed.len(), MAX_DEPARTED);
        assert!(!senders.lack_some_of(&restored.expect("it is whole")), "the oldest is forgotten");
        assert_eq!(counter(&mut senders, id(0)), None, "it is the oldest of too many");
    }

    #[test]
    fn what_is_stored_lists_each_participant_once_in_order_and_few_that_have_exited() {
        let entry = |number| (ByteArray::new(id(number).0), 1, None);
        let some = |from, to| (from..to).map(entry).collect::<Vec<_>>();
        let most = MAX_DEPARTED as u64;
        assert!(Senders::restore((some(0, 3), some(3, 3 + most))).is_some());
        assert!(Senders::restore((some(0, 3), some(3, 4 + most))).is_none());
        assert!(Senders::restore((some(0, 3), some(2, 4))).is_none());
        assert!(Senders::restore((vec![], [some(2, 4), some(3, 4)].concat())).is_none());
        assert!(Senders::restore((vec![entry(1), entry(1)], vec![])).is_none());
        assert!(Senders::restore((vec![entry(2), entry(1)], vec![])).is_none());
    }

    #[test]
    fn later_senders_know_all_that_earlier_ones_knew() {
        let mut older = Senders::default();
        older.join(id(1), Some(2));
        older.accept(id(1), 7);
        older.join(id(2), Some(1));
        let mut later = older.clone();
        later.accept(id(1), 8);
        later.exit(id(2));
        assert!(!older.lack_some_of(&older) && !later.lack_some_of(&older));
        assert!(older.lack_some_of(&later), "an event is gone");
        let mut rejoined = older.clone();
        rejoined.join(id(2), Some(3));
        assert!(older.lack_some_of(&rejoined), "a join is gone");
        assert!(Senders::default().lack_some_of(&older), "participants are gone");
    }
}
