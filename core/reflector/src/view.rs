//! One view of a session, across its connections.

use bytes::Bytes;
use teatime_wire::{SendLimits, ViewId};

use crate::ConnId;
use crate::rate::Bucket;
use crate::stored::StoredView;

/// A view that has missed this many votes in a row does not count until it votes again: half a minute by default.
const MAX_MISSED: u32 = 3;

/// A join or an exit to tell.
pub(crate) type Change = (ViewId, Option<Bytes>);

/// A view: one client instance, across its connections.
#[derive(Debug)]
pub(crate) struct View {
    id: ViewId,
    data: Option<Bytes>,
    /// The highest counter of its sends.
    counter: u64,
    /// Something was accepted from it on this connection.
    has_sent: bool,
    connection: Option<ConnId>,
    /// The highest number of its connections.
    attempt: u64,
    /// Its join has been ordered, and no exit since.
    is_announced: bool,
    /// Without a connection: when its exit is due.
    exit_at: u64,
    bucket: Bucket,
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
    pub(crate) fn new(now: u64, id: ViewId, counter: u64) -> Self {
        Self {
            id,
            data: None,
            counter,
            has_sent: false,
            connection: None,
            attempt: 0,
            is_announced: false,
            exit_at: 0,
            bucket: Bucket::full(now),
            held_bytes: 0,
            asked_for: None,
            missed: 0,
            voted: 0,
            failed: 0,
        }
    }

    pub(crate) fn id(&self) -> ViewId {
        self.id
    }

    /// The highest counter of its sends.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
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

    pub(crate) fn wants_exit(&self, now: u64) -> bool {
        self.next_exit().is_some_and(|at| at <= now)
    }

    pub(crate) fn wants_join(&self) -> bool {
        !self.is_announced && self.is_connected()
    }

    /// Whether it counts in votes: one that is connected and never answers, such as an app in the background
    /// whose model stands still, must not keep all others from a majority.
    pub(crate) fn counts(&self) -> bool {
        self.is_announced && self.missed < MAX_MISSED
    }

    /// Takes a connection. Returns the one that it had.
    pub(crate) fn connect(
        &mut self,
        now: u64,
        connection: ConnId,
        attempt: u64,
        data: Option<Bytes>,
    ) -> Option<ConnId> {
        self.attempt = attempt;
        self.bucket = Bucket::full(now);
        self.has_sent = false;
        if !self.is_announced {
            self.data = data;
        }
        self.connection.replace(connection)
    }

    /// Its connection is gone. Returns whether it had one.
    pub(crate) fn disconnect(&mut self, exit_at: u64) -> bool {
        self.exit_at = exit_at;
        self.connection.take().is_some()
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

    /// The send with this counter is accepted.
    pub(crate) fn accept(&mut self, counter: u64) {
        self.counter = counter;
        self.has_sent = true;
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
