//! What this view has published: paced, and sent again after a cut, until its echo comes back.

use std::collections::VecDeque;

use teatime_wire::{Hold, SendLimits};

use crate::limits::{MAX_OUTBOX_BYTES, MAX_OUTBOX_EVENTS};

/// The sends of one view. Their counters start at 1 and have no gaps. A send leaves the outbox when its echo
/// arrives. Times are in µs of the driver's clock.
pub(super) struct Outbox {
    /// Sends whose echo has not come, oldest first.
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// How many of `waiting` are on their way on this connection.
    on_their_way: usize,
    /// The counter of the newest send.
    newest: u64,
    /// The counter of the newest send that the model has handled.
    applied: u64,
    /// Whether the reflector lets this view send.
    hold: Hold,
    limits: SendLimits,
    bucket: Bucket,
}

impl Default for Outbox {
    /// Empty; nothing can be sent before a connection [starts](Self::start_connection).
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            on_their_way: 0,
            newest: 0,
            applied: 0,
            hold: Hold::Resume,
            limits: SendLimits { max_payload: 0, per_second: 1, burst: 1, max_snapshot: 0 },
            bucket: Bucket::default(),
        }
    }
}

struct Waiting {
    counter: u64,
    payload: Vec<u8>,
    sent_at: u64,
}

impl Outbox {
    /// The counter that the next send will have.
    pub(super) fn next_counter(&self) -> u64 {
        self.newest + 1
    }

    /// Whether there is room for another send.
    pub(super) fn has_room_for(&self, payload: usize) -> bool {
        self.waiting.len() < MAX_OUTBOX_EVENTS && self.bytes + payload <= MAX_OUTBOX_BYTES
    }

    /// Adds a send with [`next_counter`](Self::next_counter).
    pub(super) fn push(&mut self, payload: Vec<u8>) {
        self.newest += 1;
        self.bytes += payload.len();
        self.waiting.push_back(Waiting { counter: self.newest, payload, sent_at: 0 });
    }

    /// A connection begins. The reflector has accepted everything up to `accepted`, so that only waits for its
    /// echo. What follows it is sent again.
    pub(super) fn start_connection(&mut self, now: u64, accepted: u64, limits: SendLimits) {
        self.on_their_way = self.waiting.iter().take_while(|send| send.counter <= accepted).count();
        self.bucket = Bucket::full(now, limits);
        (self.hold, self.limits) = (Hold::Resume, limits);
    }

    /// True if that is a change.
    pub(super) fn set_hold(&mut self, hold: Hold) -> bool {
        std::mem::replace(&mut self.hold, hold) != hold
    }

    /// Whether the reflector asks senders to pause.
    pub(super) fn is_held(&self) -> bool {
        self.hold == Hold::Pause
    }

    /// Largest payload that may be sent, in bytes.
    pub(super) fn max_payload(&self) -> usize {
        self.limits.max_payload as usize
    }

    /// Largest snapshot that may be handed in, in bytes.
    pub(super) fn max_snapshot(&self) -> u64 {
        self.limits.max_snapshot
    }

    /// The model has handled the send with this counter.
    pub(super) fn apply(&mut self, counter: u64) {
        self.applied = self.applied.max(counter);
    }

    /// Whether the model has handled the send with this counter.
    pub(super) fn is_applied(&self, counter: u64) -> bool {
        counter <= self.applied
    }

    /// The next send that may go out now.
    pub(super) fn next_to_send(&mut self, now: u64) -> Option<(u64, &[u8])> {
        let send = self.waiting.get_mut(self.on_their_way)?;
        if !self.bucket.take(now) {
            return None;
        }
        self.on_their_way += 1;
        send.sent_at = now;
        Some((send.counter, &send.payload))
    }

    /// When [`next_to_send`](Self::next_to_send) may return something. `None` if nothing waits.
    pub(super) fn next_wakeup(&self) -> Option<u64> {
        (self.on_their_way < self.waiting.len()).then(|| self.bucket.next_token_at())
    }

    /// An echo came. Returns the round trip in µs, if the send went out on this connection.
    pub(super) fn echo(&mut self, now: u64, counter: u64) -> Option<u64> {
        let mut round_trip = None;
        while let Some(first) = self.waiting.front()
            && first.counter <= counter
        {
            round_trip = (first.sent_at > 0).then(|| now.saturating_sub(first.sent_at));
            self.bytes -= first.payload.len();
            self.on_their_way = self.on_their_way.saturating_sub(1);
            self.waiting.pop_front();
        }
        round_trip
    }
}

/// A token bucket: one token for each event, refilled at the sustained rate up to the burst.
#[derive(Default)]
struct Bucket {
    /// µs that refill one token. 0 means no limit.
    interval: u64,
    /// The bucket counts as full at this time.
    full_at: u64,
    /// µs that refill an empty bucket.
    capacity: u64,
}

impl Bucket {
    fn full(now: u64, limits: SendLimits) -> Self {
        let interval = 1_000_000 / u64::from(limits.per_second.max(1));
        // One token less than the reflector allows: its clock may run a little slower than ours.
        let burst = u64::from(limits.burst).saturating_sub(1).max(1);
        Self { interval, full_at: now, capacity: interval * burst }
    }

    fn take(&mut self, now: u64) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        let fits = full_at - now <= self.capacity.max(self.interval);
        if fits {
            self.full_at = full_at;
        }
        fits
    }

    fn next_token_at(&self) -> u64 {
        (self.full_at + self.interval).saturating_sub(self.capacity.max(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SendLimits =
        SendLimits { max_payload: 100, per_second: 10, burst: 6, max_snapshot: 0 };

    fn sent(outbox: &mut Outbox, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next_to_send(now).map(|(counter, _)| counter)).collect()
    }

    #[test]
    fn a_burst_goes_out_at_once_and_the_rest_at_the_sustained_rate() {
        let mut outbox = Outbox::default();
        outbox.start_connection(1_000_000, 0, LIMITS);
        (0..7).for_each(|n| outbox.push(vec![n]));
        assert_eq!(sent(&mut outbox, 1_000_000), [1, 2, 3, 4, 5]);
        let next = outbox.next_wakeup().expect("two are left");
        assert_eq!(next, 1_100_000);
        assert_eq!(sent(&mut outbox, next - 1), [0; 0]);
        assert_eq!(sent(&mut outbox, next), [6]);
        assert_eq!(sent(&mut outbox, 1_200_000), [7]);
        assert_eq!(outbox.next_wakeup(), None);
    }

    #[test]
    fn after_a_cut_only_what_the_reflector_has_not_accepted_goes_out_again() {
        let mut outbox = Outbox::default();
        outbox.start_connection(1, 0, LIMITS);
        (0..4).for_each(|n| outbox.push(vec![n]));
        assert_eq!(sent(&mut outbox, 1), [1, 2, 3, 4]);
        outbox.echo(2, 1);
        outbox.start_connection(3, 2, LIMITS);
        assert_eq!(sent(&mut outbox, 3), [3, 4]);
        assert_eq!(outbox.echo(5, 4), Some(2));
        assert_eq!(outbox.next_counter(), 5);
    }

    #[test]
    fn the_outbox_is_bounded_in_events_and_bytes() {
        let mut outbox = Outbox::default();
        (0..MAX_OUTBOX_EVENTS).for_each(|_| outbox.push(Vec::new()));
        assert!(!outbox.has_room_for(0));
        let mut outbox = Outbox::default();
        outbox.push(vec![0; MAX_OUTBOX_BYTES - 1]);
        assert!(outbox.has_room_for(1) && !outbox.has_room_for(2));
    }
}
