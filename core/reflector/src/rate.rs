//! Token buckets: how fast something may come, with room for bursts.

use teatime_wire::SendLimits;

/// Refilled at a sustained rate up to a burst. Times are in µs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// The bucket counts as full at this time, in ns.
    full_at: u64,
}

impl Bucket {
    /// Takes tokens, whether they are there or not: the bucket may be overdrawn.
    pub(crate) fn spend(&mut self, now: u64, number: u64, per_second: u64) {
        let full_at = self.full_at.max(now.saturating_mul(1_000));
        self.full_at = full_at.saturating_add(nanoseconds(number, per_second));
    }

    /// When less than `burst` is spent.
    pub(crate) fn has_room_at(&self, burst: u64, per_second: u64) -> u64 {
        self.full_at.saturating_sub(nanoseconds(burst, per_second)) / 1_000
    }

    /// Whether everything that was spent has been refilled.
    pub(crate) fn is_full(&self, now: u64) -> bool {
        self.full_at <= now.saturating_mul(1_000)
    }

    /// Takes the token of an event. Returns false if none is left, even if the network has stalled for `stall` µs.
    pub(crate) fn take(&mut self, now: u64, limits: &SendLimits, stall: u64) -> bool {
        let (burst, per_second) = (u64::from(limits.burst.max(1)), limits.per_second.into());
        let mut after = *self;
        after.spend(now, 1, per_second);
        let fits = after.has_room_at(burst, per_second) <= now.saturating_add(stall);
        if fits {
            *self = after;
        }
        fits
    }
}

/// How long it takes until so much is refilled.
fn nanoseconds(number: u64, per_second: u64) -> u64 {
    let time = u128::from(number) * 1_000_000_000 / u128::from(per_second.max(1));
    u64::try_from(time).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_sustained_rate() {
        let limits = SendLimits { max_payload: 0, per_second: 10, burst: 3, max_snapshot: 0 };
        let mut bucket = Bucket::default();
        let mut take = |now| bucket.take(now, &limits, 0);
        assert_eq!([0, 0, 0, 0].map(&mut take), [true, true, true, false]);
        assert!(!take(99_999));
        assert!(take(100_000) && !take(100_000));
    }

    #[test]
    fn what_a_stall_has_held_up_may_come_at_once() {
        let limits = SendLimits { max_payload: 0, per_second: 10, burst: 3, max_snapshot: 0 };
        let mut bucket = Bucket::default();
        let mut take = |now| bucket.take(now, &limits, 1_000_000);
        // A burst that arrives late, and the second in which it was late.
        assert_eq!((0..20).filter(|_| take(0)).count(), 13);
        assert!(take(100_000) && !take(100_000), "then the sustained rate");
    }
}
