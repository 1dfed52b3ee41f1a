//! One view of a session, across its connections.

use bytes::Bytes;
use teatime_wire::{SendLimits, ViewId};

use crate::ConnId;
use crate::allowance::{Allowance, Spending};
use crate::rate::Bucket;
use crate::stored::StoredView;

/// A view that has missed this many votes in a row does not count until it votes again: half a minute by default.
const MAX_MISSED: u32 = 3;

/// The number of a view in the order of arrival.
pub(crate) type Arrival = u64;

/// A join or an exit to tell.
pub(crate) type Change = (ViewId, Option<Bytes>);

/// A view: one client instance, across its connections.
#[derive(Debug)]
pub(crate) struct View {
    id: ViewId,
    data: Option<Bytes>,
    /// What the program of its connection says of itself.
    agent: Box<str>,
    /// The highest counter of its sends.
    counter: u64,
    /// Whether that is so. Otherwise it has sent before, and was forgotten.
    is_known: bool,
    /// Something was accepted from it on this connection.
    has_sent: bool,
    connection: Option<ConnId>,
    /// The highest number of its connections.
    attempt: u64,
    /// Its join has been ordered, and no exit since.
    is_announced: bool,
    /// Without a connection: when its exit is due.
    exit_at: u64,
    /// When it leaves, connected or not, as it has said on this connection.
    leave_at: Option<u64>,
    bucket: Bucket,
    /// What was read from it, on all its connections.
    spending: Spending,
    /// What it has sent since senders were last asked to pause.
    held_bytes: u64,
    /// The vote whose snapshot it was asked for last.
    asked_for: Option<u64>,
    /// Votes in a row that it was asked for and did not answer in time.
    missed: u32,
    /// The newest vote that it has answered, in time or late.
    voted: u64,
    /// Snapshots that it was asked for and did not hand in.
    failed: u32,
    /// The snapshot that it was given on this connection.
    given: Option<u64>,
}

/// How the counter of a send follows those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    Next,
    /// It was accepted before.
    Again,
    /// Sends are missing after this one.
    Gap(u64),
}

impl View {
    pub(crate) fn new(id: ViewId, counter: Option<u64>) -> Self {
        Self {
            id,
            data: None,
            agent: Box::default(),
            counter: counter.unwrap_or(0),
            is_known: counter.is_some(),
            has_sent: false,
            connection: None,
            attempt: 0,
            is_announced: false,
            exit_at: 0,
            leave_at: None,
            bucket: Bucket::default(),
            spending: Spending::default(),
            held_bytes: 0,
            asked_for: None,
            missed: 0,
            voted: 0,
            failed: 0,
            given: None,
        }
    }

    pub(crate) fn id(&self) -> ViewId {
        self.id
    }

    /// What the program of its newest connection says of itself.
    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }

    /// The highest counter of its sends.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
    }

    /// The same, if it was not forgotten.
    pub(crate) fn known_counter(&self) -> Option<u64> {
        self.is_known.then_some(self.counter)
    }

    pub(crate) fn connection(&self) -> Option<ConnId> {
        self.connection
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The highest number of its connections.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Whether the models know it: its join has been ordered, and no exit since.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced
    }

    /// When its exit is due, if the models know it and it has no connection.
    pub(crate) fn next_exit(&self) -> Option<u64> {
        (self.is_announced && !self.is_connected()).then_some(self.exit_at)
    }

    pub(crate) fn wants_join(&self) -> bool {
        !self.is_announced && self.is_connected()
    }

    /// Whether it counts in votes: one that is connected and never answers, such as an app in the background
    /// whose model stands still, must not keep all others from a majority.
    pub(crate) fn counts(&self) -> bool {
        self.is_announced && self.missed < MAX_MISSED
    }

    /// Takes a connection. Returns the one that it had. What it may send does not start from scratch: otherwise a
    /// client could reconnect in order to send more.
    pub(crate) fn connect(
        &mut self,
        connection: ConnId,
        attempt: u64,
        data: Option<Bytes>,
        agent: &str,
    ) -> Option<ConnId> {
        self.attempt = attempt;
        self.agent = agent.into();
        self.has_sent = false;
        (self.leave_at, self.given) = (None, None);
        if !self.is_announced {
            self.data = data;
        }
        self.connection.replace(connection)
    }

    /// Its connection is gone.
    pub(crate) fn disconnect(&mut self, exit_at: u64) {
        (self.exit_at, self.connection) = (exit_at, None);
    }

    /// When it leaves, if it has said so in advance.
    pub(crate) fn leave_at(&self) -> Option<u64> {
        self.leave_at
    }

    pub(crate) fn set_leave_at(&mut self, leave_at: u64) {
        self.leave_at = Some(leave_at);
    }

    pub(crate) fn set_exit_at(&mut self, exit_at: u64) {
        self.exit_at = exit_at;
    }

    /// The models are about to know it.
    pub(crate) fn announce(&mut self) -> Change {
        self.is_announced = true;
        (self.id, self.data.clone())
    }

    pub(crate) fn into_change(self) -> Change {
        (self.id, self.data)
    }

    /// What a checkpoint holds of it.
    pub(crate) fn store(&self) -> StoredView {
        let data = self.data.as_ref().map(|data| data.to_vec().into());
        StoredView { id: self.id, data, counter: self.counter }
    }

    /// The models know it, by what was stored.
    pub(crate) fn restore(&mut self, data: Option<Bytes>, counter: u64) {
        self.restore_counter(counter);
        (self.data, self.is_announced) = (data, true);
    }

    pub(crate) fn restore_counter(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
        self.is_known |= counter > 0;
    }

    /// How this counter follows. A client may begin anywhere: it may have sent more to a reflector that is gone, and has
    /// forgotten what came back.
    pub(crate) fn follows(&self, counter: u64) -> Follows {
        match counter {
            known if known <= self.counter => Follows::Again,
            next if next == self.counter + 1 || !self.has_sent => Follows::Next,
            _ => Follows::Gap(self.counter),
        }
    }

    /// Counts an event towards its rate. Returns false if it exceeds that.
    pub(crate) fn take_from_rate(&mut self, now: u64, limits: &SendLimits, tolerance: u64) -> bool {
        self.bucket.take(now, limits, tolerance)
    }

    /// Counts a frame that was read from it.
    pub(crate) fn spend(&mut self, now: u64, allowance: &Allowance, bytes: u64) {
        self.spending.spend(now, allowance, 1, bytes);
    }

    /// When the driver may read more from it.
    pub(crate) fn may_read_at(&self, allowance: &Allowance) -> u64 {
        self.spending.may_read_at(allowance)
    }

    /// The send with this counter is accepted.
    pub(crate) fn accept(&mut self, counter: u64) {
        self.counter = counter;
        (self.has_sent, self.is_known) = (true, true);
    }

    /// What it has sent since senders were last asked to pause, in bytes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(crate) fn set_held_bytes(&mut self, bytes: u64) {
        self.held_bytes = bytes;
    }

    /// It is asked for the snapshot of this vote.
    pub(crate) fn ask_for_snapshot(&mut self, seq: u64) {
        self.asked_for = Some(seq);
    }

    /// Whether the snapshot that it was asked for last is the one of this vote.
    pub(crate) fn was_asked_for(&self, seq: u64) -> bool {
        self.asked_for == Some(seq)
    }

    /// It is given the snapshot with this sequence number.
    pub(crate) fn give_snapshot(&mut self, seq: u64) {
        self.given = Some(seq);
    }

    /// Whether it was given this snapshot on this connection.
    pub(crate) fn was_given(&self, seq: u64) -> bool {
        self.given == Some(seq)
    }

    /// It has not handed in a snapshot that it was asked for.
    pub(crate) fn mark_failed(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// How many snapshots it was asked for and did not hand in.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// It has not answered a vote in time.
    pub(crate) fn mark_missed(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// It has answered this vote, in time or late.
    pub(crate) fn mark_voted(&mut self, seq: u64) {
        (self.voted, self.missed) = (seq, 0);
    }

    /// Whether it has answered this vote, or a later one.
    pub(crate) fn has_answered(&self, seq: u64) -> bool {
        seq <= self.voted
    }
}
