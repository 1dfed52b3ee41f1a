//! What time it is in the session, seen from this client, and how long a round trip takes.

use std::collections::VecDeque;

use crate::limits::{PING_INTERVAL, ROUND_TRIPS};

/// The newest session time that was heard, and when. Times are in µs.
#[derive(Default)]
pub(crate) struct Clock {
    heard: u64,
    heard_at: u64,
}

impl Clock {
    /// A frame carried this session time.
    pub(crate) fn hear(&mut self, now: u64, time: u64) {
        if time >= self.heard {
            self.heard = time;
            self.heard_at = now;
        }
    }

    /// Another timeline begins: what was heard before means nothing.
    pub(crate) fn restart(&mut self, now: u64, time: u64) {
        *self = Self { heard: time, heard_at: now };
    }

    /// The newest session time that was heard.
    pub(crate) fn external(&self) -> u64 {
        self.heard
    }

    /// The same, and what has passed here since.
    pub(crate) fn extrapolated(&self, now: u64) -> u64 {
        self.heard + now.saturating_sub(self.heard_at)
    }
}

/// Round trips to the reflector and back, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundTrips {
    /// How many of the last hundred were measured.
    pub count: u32,
    /// The newest.
    pub last_us: u64,
    /// The median.
    pub p50_us: u64,
    /// Only one in a hundred took longer.
    pub p99_us: u64,
}

/// Measures round trips by pings and by the echoes of this view's sends.
#[derive(Default)]
pub(crate) struct Pulse {
    recent: VecDeque<u64>,
    next_ping: u64,
    nonce: u64,
    asked_at: Option<u64>,
}

impl Pulse {
    pub(crate) fn start_connection(&mut self, now: u64) {
        self.next_ping = now;
        self.asked_at = None;
    }

    /// The number of a ping to send now.
    pub(crate) fn due(&mut self, now: u64) -> Option<u64> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + PING_INTERVAL;
        self.nonce += 1;
        self.asked_at = Some(now);
        Some(self.nonce)
    }

    pub(crate) fn next_wakeup(&self) -> u64 {
        self.next_ping
    }

    pub(crate) fn answer(&mut self, now: u64, nonce: u64) {
        if nonce == self.nonce
            && let Some(asked_at) = self.asked_at.take()
        {
            self.measured(now.saturating_sub(asked_at));
        }
    }

    pub(crate) fn measured(&mut self, round_trip: u64) {
        if self.recent.len() == ROUND_TRIPS {
            self.recent.pop_front();
        }
        self.recent.push_back(round_trip);
    }

    pub(crate) fn round_trips(&self) -> RoundTrips {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get(sorted.len() * percent / 100).or(sorted.last());
        RoundTrips {
            count: u32::try_from(sorted.len()).expect("at most a hundred are kept"),
            last_us: self.recent.back().copied().unwrap_or_default(),
            p50_us: at(50).copied().unwrap_or_default(),
            p99_us: at(99).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extrapolated_time_is_never_behind_what_was_heard() {
        let mut clock = Clock::default();
        clock.hear(1_000, 50);
        assert_eq!((clock.external(), clock.extrapolated(1_030)), (50, 80));
        clock.hear(1_040, 40);
        assert_eq!((clock.external(), clock.extrapolated(1_040)), (50, 90));
    }

    #[test]
    fn round_trips_are_measured_between_ping_and_its_own_pong() {
        let mut pulse = Pulse::default();
        pulse.start_connection(10);
        let nonce = pulse.due(10).expect("the first ping goes out at once");
        assert_eq!(pulse.due(11), None);
        pulse.answer(25, nonce + 1);
        pulse.answer(30, nonce);
        pulse.answer(99, nonce);
        let expected = RoundTrips { count: 1, last_us: 20, p50_us: 20, p99_us: 20 };
        assert_eq!(pulse.round_trips(), expected);
    }
}
