//! The output gate of a session: what depends on a record leaves when the storage has acknowledged the record.
//!
//! At most one append of a session is under way. What happens meanwhile gathers for the next one.

use std::collections::VecDeque;

use bytes::Bytes;
use teatime_wire::SessionId;

use crate::Output;
use crate::storage::{Append, Record, Request, Ticket};
use crate::stored::SessionCheckpoint;

/// What waits at the gate.
#[derive(Debug)]
pub(crate) enum Gated {
    Output(Output),
    /// A checkpoint may hold views that follow from records which are not stored yet. It replaces what the number names.
    Checkpoint(Box<SessionCheckpoint>, Option<u64>),
    /// A request about a checkpoint that may be at the gate as well.
    History(Request),
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: State,
    next: Next,
    queue: VecDeque<Gated>,
}

#[derive(Debug, Default)]
enum State {
    /// Everything that has happened is stored, or the reflector has no storage.
    #[default]
    Open,
    /// Records wait for the end of the turn.
    Gathering,
    UnderWay {
        ticket: Ticket,
        since: u64,
    },
}

/// What the next append holds.
#[derive(Debug, Default)]
struct Next {
    begin: Option<Bytes>,
    records: Vec<Record>,
    bytes: u64,
    /// How many entries at the front of the queue do not depend on it.
    behind: usize,
}

impl Next {
    fn is_empty(&self) -> bool {
        self.begin.is_none() && self.records.is_empty()
    }
}

impl Gate {
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The session begins with the next append. Returns whether this has shut the gate.
    pub(crate) fn begin(&mut self, head: Bytes) -> bool {
        self.gather(head.len());
        self.next.begin = Some(head);
        self.shut()
    }

    /// Adds a record to the next append. Returns whether this has shut the gate.
    pub(crate) fn record(&mut self, record: Record) -> bool {
        self.gather(record.bytes.len());
        self.next.records.push(record);
        self.shut()
    }

    fn gather(&mut self, bytes: usize) {
        if self.next.is_empty() {
            self.next.behind = self.queue.len();
        }
        self.next.bytes += bytes as u64;
    }

    fn shut(&mut self) -> bool {
        let was_open = self.is_open();
        if was_open {
            self.state = State::Gathering;
        }
        was_open
    }

    /// Keeps something until the records before it are stored. The gate must not be open.
    pub(crate) fn push(&mut self, gated: Gated) {
        self.queue.push_back(gated);
    }

    /// Whether an append can be made: something has gathered, and none is under way.
    pub(crate) fn is_gathering(&self) -> bool {
        matches!(self.state, State::Gathering)
    }

    /// The append of everything that has gathered.
    pub(crate) fn submit(&mut self, session: SessionId, ticket: Ticket, now: u64) -> Append {
        let Next { begin, records, .. } = std::mem::take(&mut self.next);
        self.state = State::UnderWay { ticket, since: now };
        Append { session, begin, records }
    }

    /// The storage has acknowledged the append under way. Returns what may leave now.
    pub(crate) fn acknowledge(&mut self) -> impl Iterator<Item = Gated> + '_ {
        let leaving = if self.ticket().is_none() {
            0
        } else if self.next.is_empty() {
            self.state = State::Open;
            self.queue.len()
        } else {
            self.state = State::Gathering;
            std::mem::take(&mut self.next.behind)
        };
        self.queue.drain(..leaving)
    }

    /// When the append under way has taken too long.
    pub(crate) fn deadline(&self, timeout: u64) -> Option<u64> {
        match self.state {
            State::UnderWay { since, .. } => Some(since.saturating_add(timeout)),
            State::Open | State::Gathering => None,
        }
    }

    /// The append under way.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self.state {
            State::UnderWay { ticket, .. } => Some(ticket),
            State::Open | State::Gathering => None,
        }
    }

    /// Bytes that have gathered behind an append under way.
    pub(crate) fn backlog(&self) -> u64 {
        match self.state {
            State::UnderWay { .. } => self.next.bytes,
            State::Open | State::Gathering => 0,
        }
    }

    /// Bytes that have gathered for the next append.
    pub(crate) fn gathered(&self) -> u64 {
        self.next.bytes
    }

    /// The append failed, and with it everything that depends on it.
    pub(crate) fn abandon(&mut self) -> VecDeque<Gated> {
        (self.state, self.next) = (State::Open, Next::default());
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnId;
    use crate::storage::RecordKind;

    fn record(seq: u64) -> Record {
        Record { seq, kind: RecordKind::Ordered, bytes: Bytes::from_static(b"four") }
    }

    fn output(number: u64) -> Gated {
        let frame = Bytes::new();
        Gated::Output(Output::Send { connection: ConnId(number), frame })
    }

    fn released(gate: &mut Gate) -> Vec<u64> {
        let number = |gated| match gated {
            Gated::Output(Output::Send { connection, .. }) => connection.0,
            other => panic!("{other:?}"),
        };
        gate.acknowledge().map(number).collect()
    }

    #[test]
    fn outputs_leave_in_order_with_the_append_that_they_depend_on() {
        let session = SessionId([1; 32]);
        let mut gate = Gate::default();
        assert!(
            gate.is_open() && gate.begin(Bytes::from_static(b"head")) && !gate.record(record(1))
        );
        gate.push(output(1));
        let append = gate.submit(session, Ticket(7), 5);
        assert_eq!((append.begin.is_some(), append.records), (true, vec![record(1)]));
        assert_eq!((gate.deadline(10), gate.ticket()), (Some(15), Some(Ticket(7))));
        gate.push(output(2));
        assert_eq!(gate.backlog(), 0);
        assert!(!gate.record(record(2)));
        gate.push(output(3));
        assert_eq!(gate.backlog(), 4);
        assert_eq!(
            released(&mut gate),
            [1, 2],
            "the third waits behind a record that has gathered"
        );
        assert!(gate.is_gathering() && gate.deadline(10).is_none());
        assert_eq!(gate.submit(session, Ticket(8), 6).records, [record(2)]);
        gate.push(output(4));
        assert_eq!(released(&mut gate), [3, 4]);
        assert!(gate.is_open());
        assert_eq!(released(&mut gate), [0; 0]);
    }

    #[test]
    fn a_failed_append_takes_everything_behind_it() {
        let mut gate = Gate::default();
        gate.record(record(1));
        gate.push(output(1));
        gate.submit(SessionId([1; 32]), Ticket(1), 0);
        gate.record(record(2));
        gate.push(output(2));
        assert_eq!(gate.abandon().len(), 2);
        assert!(gate.is_open() && gate.ticket().is_none());
    }
}
