//! How much a client, or an address, may send of all kinds of frames before the driver reads it more slowly.

use crate::rate::Bucket;

/// How many frames and bytes may be read: at once, and in the long run. What exceeds it is not refused. The driver reads it
/// later, so the line holds the sender back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Frames per second in the long run.
    pub frames_per_second: u64,
    /// Frames at once.
    pub frame_burst: u64,
    /// Bytes per second in the long run.
    pub bytes_per_second: u64,
    /// Bytes at once.
    pub byte_burst: u64,
}

impl Allowance {
    /// Everything is read as fast as it comes.
    pub const UNLIMITED: Self = Self {
        frames_per_second: u64::MAX,
        frame_burst: u64::MAX,
        bytes_per_second: u64::MAX,
        byte_burst: u64::MAX,
    };
}

/// What was read so far, measured by an [`Allowance`]: a token bucket for frames, and one for bytes. Times are in µs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spending {
    frames: Bucket,
    bytes: Bucket,
}

impl Spending {
    /// Counts what was read. Never fails: the next read waits.
    pub fn spend(&mut self, now: u64, allowance: &Allowance, frames: u64, bytes: u64) {
        self.frames.spend(now, frames, allowance.frames_per_second);
        self.bytes.spend(now, bytes, allowance.bytes_per_second);
    }

    /// When the next read may be. In the past if it need not wait.
    pub fn may_read_at(&self, allowance: &Allowance) -> u64 {
        let frames = self.frames.has_room_at(allowance.frame_burst, allowance.frames_per_second);
        let bytes = self.bytes.has_room_at(allowance.byte_burst, allowance.bytes_per_second);
        frames.max(bytes)
    }

    /// Whether everything that was spent has been refilled.
    pub fn is_refilled(&self, now: u64) -> bool {
        self.frames.is_full(now) && self.bytes.is_full(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        frames_per_second: 100,
        frame_burst: 50,
        bytes_per_second: 1_000,
        byte_burst: 10_000,
    };

    #[test]
    fn a_burst_is_read_at_once_and_then_the_sustained_rate() {
        let (mut spending, start) = (Spending::default(), 7_000_000);
        spending.spend(start, &ALLOWANCE, 50, 10_000);
        assert_eq!(spending.may_read_at(&ALLOWANCE), start, "the burst");
        spending.spend(start, &ALLOWANCE, 10, 0);
        assert_eq!(
            spending.may_read_at(&ALLOWANCE),
            start + 100_000,
            "ten frames at 100 per second"
        );
        spending.spend(start, &ALLOWANCE, 0, 500);
        assert_eq!(spending.may_read_at(&ALLOWANCE), start + 500_000, "the scarcer of both counts");
    }

    #[test]
    fn time_refills_what_was_spent_up_to_the_burst_and_no_more() {
        let mut spending = Spending::default();
        spending.spend(0, &ALLOWANCE, 60, 0);
        assert!(!spending.is_refilled(599_999) && spending.is_refilled(600_000));
        spending.spend(3_600_000_000, &ALLOWANCE, 60, 0);
        assert_eq!(spending.may_read_at(&ALLOWANCE), 3_600_100_000);
    }

    #[test]
    fn an_unlimited_allowance_never_waits() {
        let mut spending = Spending::default();
        spending.spend(1, &Allowance::UNLIMITED, u64::MAX / 2, u64::MAX / 2);
        assert!(spending.may_read_at(&Allowance::UNLIMITED) <= 1);
    }
}
