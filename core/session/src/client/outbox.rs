//! What this view has published: paced, and sent again after a cut, until its echo comes back. A send that may have been
//! ordered already is never sent again.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

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
    /// The counter of the send that precedes the next one in the order, if the reflector has said so.
    previous: Option<u64>,
    /// The counter of the newest send.
    newest: u64,
    /// The counter of the newest send that the model has handled.
    applied: u64,
    /// The sends up to this counter were ordered before the connection began. A snapshot may contain them: then no echo comes.
    covered: u64,
    /// The reflector does not know what it has accepted. Until the log answers that nothing is sent.
    doubt: Option<Doubt>,
    /// Sends that were given up. It is unknown whether the models handle them.
    given_up: Vec<RangeInclusive<u64>>,
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
            previous: None,
            newest: 0,
            applied: 0,
            covered: 0,
            doubt: None,
            given_up: Vec::new(),
            hold: Hold::Resume,
            limits: SendLimits { max_payload: 0, per_second: 1, burst: 1, max_snapshot: 0 },
            bucket: Bucket::default(),
        }
    }
}

struct Waiting {
    counter: u64,
    payload: Vec<u8>,
    /// When it went out last.
    sent_at: Option<u64>,
}

/// A send that goes out.
pub(super) struct Next<'a> {
    pub(super) counter: u64,
    /// The counter of the send before in the order. `None` if the reflector does not know.
    pub(super) previous: Option<u64>,
    /// What is to be sealed.
    pub(super) content: &'a [u8],
}

/// What the reflector has accepted from this view when a connection begins.
pub(super) enum Accepted {
    /// Everything up to this counter. That only waits for its echo, and what follows is sent again.
    UpTo(u64),
    /// The reflector has forgotten the view. Everything waits until the log has [arrived](Outbox::settle).
    Unknown(Doubt),
}

/// What follows from the log about sends that went out on earlier connections.
#[derive(Clone, Copy)]
pub(super) struct Doubt {
    /// The log that was there when the connection began ends here.
    pub(super) until: u64,
    /// Whether this client gets every event that has been ordered since the connection before. If so, a send without an
    /// echo was not ordered.
    pub(super) log_is_complete: bool,
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
        self.waiting.push_back(Waiting { counter: self.newest, payload, sent_at: None });
    }

    /// A connection begins.
    pub(super) fn start_connection(&mut self, now: u64, accepted: Accepted, limits: SendLimits) {
        self.bucket = Bucket::full(now, limits);
        (self.hold, self.limits) = (Hold::Resume, limits);
        let before = self.doubt.take();
        let has_sent = self.waiting.front().is_some_and(|send| send.sent_at.is_some());
        self.previous = match accepted {
            Accepted::UpTo(counter) => Some(counter),
            Accepted::Unknown(_) => None,
        };
        let known = match accepted {
            Accepted::UpTo(counter) => counter,
            Accepted::Unknown(mut doubt) if has_sent => {
                // What a connection before this one has missed will not come.
                doubt.log_is_complete &= before.is_none_or(|doubt| doubt.log_is_complete);
                self.doubt = Some(doubt);
                0
            }
            Accepted::Unknown(_) => 0,
        };
        self.on_their_way = self.waiting.iter().take_while(|send| send.counter <= known).count();
        // Whatever the reflector says, nothing is handled that was never sent.
        self.covered = known.min(self.newest);
    }

    /// The model has handled all that was ordered before the connection began.
    pub(super) fn catch_up(&mut self) {
        let covered = std::mem::take(&mut self.covered);
        while self.waiting.front().is_some_and(|send| send.counter <= covered) {
            self.remove_first();
        }
        self.apply(covered);
    }

    /// The log up to `seq` has arrived. If that ends a doubt, what was not ordered is sent again. What may have been ordered
    /// is given up. Returns the number of sends that were given up.
    pub(super) fn settle(&mut self, seq: u64) -> u64 {
        let Some(doubt) = self.doubt.take_if(|doubt| doubt.until <= seq) else { return 0 };
        self.on_their_way = 0;
        if doubt.log_is_complete {
            return 0;
        }
        let mut range: Option<RangeInclusive<u64>> = None;
        while let Some(send) = self.waiting.pop_front_if(|send| send.sent_at.is_some()) {
            self.bytes -= send.payload.len();
            let first = range.map_or(send.counter, |range| *range.start());
            range = Some(first..=send.counter);
        }
        let count = range.as_ref().map_or(0, |range| range.end() - range.start() + 1);
        self.given_up.extend(range);
        count
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
        counter <= self.applied && !self.given_up.iter().any(|range| range.contains(&counter))
    }

    /// The next send that may go out now.
    pub(super) fn next_to_send(&mut self, now: u64) -> Option<Next<'_>> {
        if self.doubt.is_some() {
            return None;
        }
        let send = self.waiting.get_mut(self.on_their_way)?;
        if !self.bucket.take(now) {
            return None;
        }
        self.on_their_way += 1;
        send.sent_at = Some(now);
        let previous = self.previous.replace(send.counter);
        Some(Next { counter: send.counter, previous, content: &send.payload })
    }

    /// When [`next_to_send`](Self::next_to_send) may return something. `None` if nothing waits.
    pub(super) fn next_wakeup(&self) -> Option<u64> {
        let may_send = self.doubt.is_none() && self.on_their_way < self.waiting.len();
        may_send.then(|| self.bucket.next_token_at())
    }

    /// An echo came. Returns the round trip in µs, if the send went out on this connection.
    pub(super) fn echo(&mut self, now: u64, counter: u64) -> Option<u64> {
        if counter > self.newest {
            // It was never sent. The seal will show that.
            return None;
        }
        let mut round_trip = None;
        while let Some(first) = self.waiting.front()
            && first.counter <= counter
        {
            round_trip = first.sent_at.map(|sent_at| now.saturating_sub(sent_at));
            self.remove_first();
        }
        round_trip
    }

    fn remove_first(&mut self) {
        if let Some(first) = self.waiting.pop_front() {
            self.bytes -= first.payload.len();
            self.on_their_way = self.on_their_way.saturating_sub(1);
        }
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
        std::iter::from_fn(|| outbox.next_to_send(now).map(|next| next.counter)).collect()
    }

    #[test]
    fn a_burst_goes_out_at_once_and_the_rest_at_the_sustained_rate() {
        let mut outbox = Outbox::default();
        outbox.start_connection(1_000_000, Accepted::UpTo(0), LIMITS);
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
    fn a_send_that_only_a_snapshot_contains_is_handled_with_the_history() {
        let mut outbox = Outbox::default();
        outbox.start_connection(1, Accepted::UpTo(0), LIMITS);
        (0..4).for_each(|n| outbox.push(vec![n]));
        assert_eq!(sent(&mut outbox, 1), [1, 2, 3, 4]);
        outbox.start_connection(3, Accepted::UpTo(2), LIMITS);
        assert_eq!((outbox.is_applied(1), sent(&mut outbox, 3)), (false, vec![3, 4]));
        outbox.catch_up();
        assert_eq!(
            [1, 2, 3, 4].map(|counter| outbox.is_applied(counter)),
            [true, true, false, false]
        );
        assert_eq!((outbox.waiting.len(), outbox.on_their_way, outbox.bytes), (2, 2, 2));
        // What was never sent is not handled, whatever the reflector says.
        outbox.start_connection(4, Accepted::UpTo(9), LIMITS);
        outbox.catch_up();
        outbox.push(vec![5]);
        assert_eq!((outbox.is_applied(4), outbox.is_applied(5)), (true, false));
        assert_eq!(sent(&mut outbox, 4), [5]);
    }

    #[test]
    fn after_a_cut_only_what_the_reflector_has_not_accepted_goes_out_again() {
        let mut outbox = Outbox::default();
        outbox.start_connection(1, Accepted::UpTo(0), LIMITS);
        (0..4).for_each(|n| outbox.push(vec![n]));
        assert_eq!(sent(&mut outbox, 1), [1, 2, 3, 4]);
        outbox.echo(2, 1);
        outbox.start_connection(3, Accepted::UpTo(2), LIMITS);
        assert_eq!(sent(&mut outbox, 3), [3, 4]);
        assert_eq!(outbox.echo(5, 4), Some(2));
        assert_eq!(outbox.next_counter(), 5);
    }

    /// An outbox that has sent 1 and 2, and has 3 to send, after a cut. Only 1 came back.
    fn cut() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.start_connection(1, Accepted::UpTo(0), LIMITS);
        (0..2).for_each(|n| outbox.push(vec![n]));
        assert_eq!(sent(&mut outbox, 1), [1, 2]);
        outbox.echo(2, 1);
        outbox.push(vec![2]);
        outbox
    }

    fn unknown(until: u64, log_is_complete: bool) -> Accepted {
        Accepted::Unknown(Doubt { until, log_is_complete })
    }

    fn forget(outbox: &mut Outbox, until: u64, log_is_complete: bool) {
        outbox.start_connection(3, unknown(until, log_is_complete), LIMITS);
        assert_eq!((sent(outbox, 3), outbox.next_wakeup()), (vec![], None));
    }

    #[test]
    fn a_reflector_that_has_forgotten_the_view_gets_what_the_log_does_not_have() {
        let mut outbox = cut();
        forget(&mut outbox, 10, true);
        assert_eq!((outbox.settle(9), sent(&mut outbox, 4)), (0, vec![]));
        assert_eq!((outbox.settle(10), sent(&mut outbox, 4)), (0, vec![2, 3]));
        let mut outbox = cut();
        forget(&mut outbox, 10, true);
        outbox.echo(4, 2);
        assert_eq!((outbox.settle(10), sent(&mut outbox, 4)), (0, vec![3]));
    }

    #[test]
    fn a_send_that_may_have_been_ordered_before_a_snapshot_is_given_up() {
        let mut outbox = cut();
        forget(&mut outbox, 10, false);
        // A later connection goes on behind the snapshot: that does not bring back what it has swallowed.
        forget(&mut outbox, 11, true);
        assert_eq!((outbox.settle(11), sent(&mut outbox, 4)), (1, vec![3]));
        outbox.echo(5, 3);
        outbox.apply(3);
        assert_eq!([1, 2, 3].map(|counter| outbox.is_applied(counter)), [true, false, true]);
        // What was never sent is not in doubt.
        let mut outbox = Outbox::default();
        outbox.push(vec![0]);
        outbox.start_connection(1, unknown(10, false), LIMITS);
        assert_eq!((sent(&mut outbox, 1), outbox.settle(10)), (vec![1], 0));
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
