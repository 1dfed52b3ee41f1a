//! How fast a view may send: a token bucket, with room for what the network has held up.

use teatime_wire::SendLimits;

/// Refilled at the sustained rate up to the burst; each event takes a token. Times are in µs.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// The bucket counts as full at this time.
    full_at: u64,
}

impl Bucket {
    pub(crate) fn full(now: u64) -> Self {
        Self { full_at: now }
    }

    /// Takes a token. Returns false if none is left, even if the network has stalled for `stall` µs.
    pub(crate) fn take(&mut self, now: u64, limits: &SendLimits, stall: u64) -> bool {
        let interval = 1_000_000 / u64::from(limits.per_second.max(1));
        let full_at = self.full_at.max(now) + interval;
        let fits = full_at - now <= interval * u64::from(limits.burst.max(1)) + stall;
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_sustained_rate() {
        let limits = SendLimits { max_payload: 0, per_second: 10, burst: 3, max_snapshot: 0 };
        let mut bucket = Bucket::full(0);
        let mut take = |now| bucket.take(now, &limits, 0);
        assert_eq!([0, 0, 0, 0].map(&mut take), [true, true, true, false]);
        assert!(!take(99_999));
        assert!(take(100_000) && !take(100_000));
    }

    #[test]
    fn what_a_stall_has_held_up_may_come_at_once() {
        let limits = SendLimits { max_payload: 0, per_second: 10, burst: 3, max_snapshot: 0 };
        let mut bucket = Bucket::full(0);
        let mut take = |now| bucket.take(now, &limits, 1_000_000);
        // A burst that arrives late, and the second in which it was late.
        assert_eq!((0..20).filter(|_| take(0)).count(), 13);
        assert!(take(100_000) && !take(100_000), "then the sustained rate");
    }
}
