//! How fast a view may send: a token bucket.

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

    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, now: u64, limits: &SendLimits) -> bool {
        let interval = 1_000_000 / u64::from(limits.per_second.max(1));
        let full_at = self.full_at.max(now) + interval;
        let fits = full_at - now <= interval * u64::from(limits.burst.max(1));
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
        assert_eq!([0, 0, 0, 0].map(|now| bucket.take(now, &limits)), [true, true, true, false]);
        assert!(!bucket.take(99_999, &limits));
        assert!(bucket.take(100_000, &limits) && !bucket.take(100_000, &limits));
    }
}
