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
struct Record {
    /// The number of the connection with which the participant joined.
    attempt: u64,
    /// The counter of its newest event. `None` if that is not known.
    counter: Option<u64>,
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

    /// The counter of the newest event of a participant, if it is known.
    pub(crate) fn counter(&self, view: ViewId) -> Option<u64> {
        let departed = || self.departed.iter().find(|(departed, _)| *departed == view);
        self.present.get(&view).or_else(|| departed().map(|(_, record)| record))?.counter
    }

    /// An event of a participant was handled.
    pub(crate) fn accept(&mut self, view: ViewId, counter: u64) {
        if let Some(record) = self.present.get_mut(&view) {
            record.counter = Some(counter);
        } else if let Some((_, record)) = self.departed.iter_mut().find(|(one, _)| *one == view) {
            record.counter = Some(counter);
        }
    }

    pub(crate) fn store(&self) -> StoredSenders {
        let each = |view: &ViewId, record: &Record| {
            (ByteArray::new(view.0), record.attempt, record.counter)
        };
        let present = self.present.iter().map(|(view, record)| each(view, record));
        let departed = self.departed.iter().map(|(view, record)| each(view, record));
        (present.collect(), departed.collect())
    }

    pub(crate) fn restore((present, departed): StoredSenders) -> Self {
        let each = |(view, attempt, counter): Stored| {
            (ViewId(view.into_array()), Record { attempt, counter })
        };
        Self {
            present: present.into_iter().map(each).collect(),
            departed: departed.into_iter().map(each).collect(),
        }
    }
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
        let mut senders = Senders::default();
        senders.join(id(0), Some(1));
        assert_eq!(senders.counter(id(0)), Some(0));
        senders.accept(id(0), 5);
        senders.exit(id(0));
        senders.accept(id(0), 6);
        let last = MAX_DEPARTED as u64;
        for number in 1..last {
            senders.join(id(number), Some(2));
            senders.exit(id(number));
        }
        assert_eq!((senders.counter(id(0)), senders.counter(id(1))), (Some(6), None));
        let restored = Senders::restore(senders.store());
        assert_eq!(restored, senders);
        senders.join(id(last), Some(1));
        senders.exit(id(last));
        assert_eq!(senders.counter(id(0)), None, "it is the oldest of too many");
        assert_eq!(senders.departed.len(), MAX_DEPARTED);
    }
}
