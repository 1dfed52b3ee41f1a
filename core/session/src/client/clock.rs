//! The session time as this client knows it, and how long a round trip takes.

use std::collections::VecDeque;

use crate::event::RoundTrips;
use crate::limits::{
    CLOCK_DRIFT, MAX_CLOCK_LEAD, PING_INTERVAL, ROUND_TRIPS, SYNCED_LAG, UNSYNCED_LAG,
};

/// The newest session time that was heard, and when. Times are in µs.
#[derive(Default)]
pub(super) struct Clock {
    heard: u64,
    heard_at: u64,
    /// The session time when the connection began, and the driver's.
    began: (u64, u64),
    /// The same of the connection at whose beginning the session time was least ahead of the driver's.
    slowest: Option<(u64, u64)>,
    lag: Lag,
}

/// Whether the model keeps up with the session time, as the owner has heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Lag {
    #[default]
    Behind,
    Synced,
}

impl Clock {
    /// A frame carried this session time.
    pub(super) fn hear(&mut self, now: u64, time: u64) {
        if time >= self.heard {
            self.heard = time;
            self.heard_at = now;
        }
    }

    /// A connection begins at this session time. False if that is further ahead of what was shown on the connections before
    /// than an honest clock can be.
    pub(super) fn start_connection(&mut self, now: u64, time: u64) -> bool {
        self.began = (time, now);
        let is_plausible = self.slowest.is_none_or(|slowest| lead(slowest, now, time).is_none());
        // A session time that stood still for a while is less ahead from then on.
        let is_slower = |(from, at): (u64, u64)| time < from + now.saturating_sub(at);
        if !is_plausible || self.slowest.is_none_or(is_slower) {
            self.slowest = Some(self.began);
        }
        is_plausible
    }

    /// How far this session time is ahead of what an honest clock can show now, in µs. `None` if it is not.
    pub(super) fn lead(&self, now: u64, time: u64) -> Option<u64> {
        lead(self.began, now, time)
    }

    /// Another timeline begins, or the model does: what was heard before means nothing.
    pub(super) fn restart(&mut self, now: u64, time: u64) {
        (self.heard, self.heard_at) = (time, now);
    }

    /// The newest session time that was heard.
    pub(super) fn external(&self) -> u64 {
        self.heard
    }

    /// The same, plus the time that has passed here since.
    pub(super) fn extrapolated(&self, now: u64) -> u64 {
        self.heard + now.saturating_sub(self.heard_at)
    }

    /// Whether a model at this time counts as up to date. One that was may fall behind further before it no
    /// longer does.
    pub(super) fn is_near(&self, model_time: u64) -> bool {
        let most = match self.lag {
            Lag::Synced => UNSYNCED_LAG,
            Lag::Behind => SYNCED_LAG,
        };
        self.heard.saturating_sub(model_time) <= most
    }

    pub(super) fn is_synced(&self) -> bool {
        self.lag == Lag::Synced
    }

    /// True if that is a change.
    pub(super) fn set_synced(&mut self, is_synced: bool) -> bool {
        let lag = if is_synced { Lag::Synced } else { Lag::Behind };
        std::mem::replace(&mut self.lag, lag) != lag
    }
}

/// How far a session time is ahead of what an honest clock can show now that showed `from` at `at`. `None` if it is not.
fn lead((from, at): (u64, u64), now: u64, time: u64) -> Option<u64> {
    let passed = now.saturating_sub(at);
    let most = from + passed + passed / CLOCK_DRIFT + MAX_CLOCK_LEAD;
    (time > most).then(|| time - from - passed)
}

/// Measures round trips by pings and by the echoes of this view's sends.
#[derive(Default)]
pub(super) struct Pulse {
    recent: VecDeque<u64>,
    next_ping: u64,
    nonce: u64,
    asked_at: Option<u64>,
}

impl Pulse {
    pub(super) fn start_connection(&mut self, now: u64) {
        self.next_ping = now;
        self.asked_at = None;
    }

    /// The number of a ping to send now.
    pub(super) fn due(&mut self, now: u64) -> Option<u64> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + PING_INTERVAL;
        self.nonce += 1;
        self.asked_at = Some(now);
        Some(self.nonce)
    }

    pub(super) fn next_wakeup(&self) -> u64 {
        self.next_ping
    }

    pub(super) fn answer(&mut self, now: u64, nonce: u64) {
        if nonce == self.nonce
            && let Some(asked_at) = self.asked_at.take()
        {
            self.measured(now.saturating_sub(asked_at));
        }
    }

    pub(super) fn measured(&mut self, round_trip: u64) {
        if self.recent.len() == ROUND_TRIPS {
            self.recent.pop_front();
        }
        self.recent.push_back(round_trip);
    }

    pub(super) fn round_trips(&self) -> RoundTrips {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get(sorted.len() * percent / 100).or(sorted.last());
        RoundTrips {
            count: u32::try_from(sorted.len()).expect("at most ROUND_TRIPS are remembered"),
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
    fn a_session_time_runs_no_faster_than_this_clock_and_may_jump_a_little() {
        let mut clock = Clock::default();
        let began = 7_000_000;
        clock.start_connection(5, began);
        let day = 86_400_000_000;
        let most = began + day + day / 1_000 + 120_000_000;
        assert_eq!(clock.lead(5 + day, most), None);
        assert_eq!(clock.lead(5 + day, most + 1), Some(day / 1_000 + 120_000_001));
        assert_eq!(clock.lead(5, 0), None);
    }

    #[test]
    fn a_session_time_that_jumps_between_connections_is_found_out_and_one_that_stood_still_is_not()
    {
        const MINUTE: u64 = 60_000_000;
        let mut clock = Clock::default();
        assert!(clock.start_connection(5 * MINUTE, 9 * MINUTE));
        assert!(clock.start_connection(10 * MINUTE, 14 * MINUTE), "it ran on");
        assert!(clock.start_connection(20 * MINUTE, 25 * MINUTE), "a little ahead");
        assert!(!clock.start_connection(21 * MINUTE, 28 * MINUTE), "a little more each time");
        assert!(clock.start_connection(22 * MINUTE, 29 * MINUTE), "it was said once");
        assert!(clock.start_connection(90 * MINUTE, 30 * MINUTE), "it stood still");
        assert!(!clock.start_connection(91 * MINUTE, 34 * MINUTE), "so it did not run");
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
