//! The time of a session: it runs while clients are connected, and never goes back.

/// Maps the driver's clock to session time, both in µs.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Session time when it last started or stopped.
    base: u64,
    /// The driver's time when it started, while it runs.
    running_since: Option<u64>,
}

impl Clock {
    /// One that stands still at a time.
    pub(crate) fn at(base: u64) -> Self {
        Self { base, running_since: None }
    }

    /// The session time; the driver's clock must not go back.
    pub(crate) fn time(&self, now: u64) -> u64 {
        self.base + self.running_since.map_or(0, |since| now.saturating_sub(since))
    }

    pub(crate) fn start(&mut self, now: u64) {
        self.running_since.get_or_insert(now);
    }

    pub(crate) fn stop(&mut self, now: u64) {
        self.base = self.time(now);
        self.running_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_stopped() {
        let mut clock = Clock::default();
        assert_eq!(clock.time(500), 0);
        clock.start(1_000);
        assert_eq!(clock.time(1_250), 250);
        clock.stop(1_300);
        assert_eq!(clock.time(9_000), 300);
        clock.start(10_000);
        clock.start(10_001);
        assert_eq!(clock.time(10_005), 305);
    }
}
