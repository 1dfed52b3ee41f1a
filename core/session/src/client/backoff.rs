//! Pauses between attempts to connect: none before the first, then growing, jittered, bounded.

use crate::limits::{BACKOFF_MAX, BACKOFF_STEP};

/// The pause before the next attempt, in µs. Each is `(last + 100 ms) · (1 + random)`, at most
/// 30 s, so that clients that lost the same reflector do not come back in one wave.
#[derive(Default)]
pub(super) struct Backoff {
    next: u64,
}

impl Backoff {
    /// The connection stood: the client retries at once after the next cut.
    pub(super) fn reset(&mut self) {
        self.next = 0;
    }

    /// The pause before the coming attempt. `random` is in 0..=u32::MAX.
    pub(super) fn pause(&mut self, random: u32) -> u64 {
        let pause = self.next;
        let base = self.next + BACKOFF_STEP;
        let jitter = (base * u64::from(random)) >> 32;
        self.next = (base + jitter).min(BACKOFF_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_start_at_once_grow_with_jitter_and_stay_below_thirty_seconds() {
        let mut steady = Backoff::default();
        assert_eq!([0, 0, 0].map(|random| steady.pause(random)), [0, 100_000, 200_000]);
        let mut jumpy = Backoff::default();
        let pauses: Vec<_> = (0..20).map(|_| jumpy.pause(u32::MAX)).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1] || pair[1] == BACKOFF_MAX));
        assert_eq!(pauses.last(), Some(&BACKOFF_MAX));
        jumpy.reset();
        assert_eq!(jumpy.pause(0), 0);
    }
}
