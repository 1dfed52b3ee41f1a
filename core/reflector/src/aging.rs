//! The time by which unused sessions and blobs age. It does not trust one look at the machine's clock.

use std::time::Duration;

/// The machine's clock counts once the process has seen it advance at the right rate for this long. A battery that is
/// empty, or a time server that has not answered yet, shows within minutes.
const SETTLED_AFTER: u64 = 24 * 3600;

/// How far the machine's clock may be off in that time, in seconds.
const TOLERANCE: u64 = 3600;

/// The time by which what is stored ages.
///
/// It counts the seconds in which the process runs, on from the newest use that is stored. Once the machine's clock has
/// been steady for a day it may take this time further: a machine may have been switched off for months.
#[derive(Debug, Default)]
pub struct AgingClock {
    /// The time when the process began, and the first one that the machine's clock showed since it is steady.
    started: Option<Start>,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    base: u64,
    wall: u64,
    /// Seconds from the beginning of the process to the first steady look.
    ran: u64,
}

impl AgingClock {
    /// The time now, in seconds since 1970. The process has `ran` for this long, the machine's clock shows `wall`, and
    /// `newest` is the newest use that is stored.
    pub fn look(&mut self, ran: Duration, wall: u64, newest: Option<u64>) -> u64 {
        let ran = ran.as_secs();
        let first = Start { base: newest.unwrap_or(wall).saturating_sub(ran), wall, ran };
        let start = self.started.get_or_insert(first);
        let own = start.base.saturating_add(ran);
        let expected = start.wall.saturating_add(ran - start.ran.min(ran));
        if wall.abs_diff(expected) > TOLERANCE {
            tracing::warn!(
                wall,
                expected,
                "the machine's clock was set: it does not age what is stored for a day"
            );
            (start.wall, start.ran) = (wall, ran);
        }
        if ran - start.ran.min(ran) >= SETTLED_AFTER { own.max(wall) } else { own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const YEAR: u64 = 365 * 24 * HOUR;
    const TODAY: u64 = 57 * YEAR;

    fn after(hours: u64) -> Duration {
        Duration::from_secs(hours * HOUR)
    }

    #[test]
    fn a_clock_that_is_years_ahead_when_the_process_starts_ages_nothing() {
        let mut clock = AgingClock::default();
        let newest = Some(TODAY);
        assert_eq!(clock.look(after(0), TODAY + 2 * YEAR, newest), TODAY);
        // The time server has answered.
        assert_eq!(clock.look(after(1), TODAY + HOUR, newest), TODAY + HOUR);
        assert_eq!(clock.look(after(30), TODAY + 30 * HOUR, newest), TODAY + 30 * HOUR);
    }

    #[test]
    fn a_clock_that_jumps_while_the_process_runs_ages_nothing_for_a_day() {
        let mut clock = AgingClock::default();
        let newest = Some(TODAY);
        assert_eq!(clock.look(after(0), TODAY, newest), TODAY);
        assert_eq!(clock.look(after(48), TODAY + 48 * HOUR, newest), TODAY + 48 * HOUR);
        for hours in [49, 60, 72] {
            let wall = TODAY + 2 * YEAR + hours * HOUR;
            assert_eq!(clock.look(after(hours), wall, newest), TODAY + hours * HOUR);
        }
    }

    #[test]
    fn a_machine_that_was_switched_off_for_months_goes_on_with_the_right_time_after_a_day() {
        let mut clock = AgingClock::default();
        let (newest, wall) = (Some(TODAY - YEAR), |hours| TODAY + hours * HOUR);
        for hours in [0, 1, 23] {
            assert_eq!(clock.look(after(hours), wall(hours), newest), TODAY - YEAR + hours * HOUR);
        }
        assert_eq!(clock.look(after(24), wall(24), newest), wall(24));
        // An earlier time than the stored one never comes.
        assert_eq!(AgingClock::default().look(after(0), 0, newest), TODAY - YEAR);
    }

    #[test]
    fn a_new_store_begins_with_the_time_of_the_machine() {
        let mut clock = AgingClock::default();
        assert_eq!(clock.look(after(1), TODAY + HOUR, None), TODAY + HOUR);
        assert_eq!(clock.look(after(2), TODAY + 2 * HOUR, Some(TODAY)), TODAY + 2 * HOUR);
    }
}
