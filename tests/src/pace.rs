//! How long tests wait, and whether promised times hold, on machines of any speed.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen. Far longer than it takes on an idle machine, because a machine
/// may be slow and busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Steps of the computation that tells how fast a machine is.
const STEPS: u32 = 100_000_000;
/// How long it takes on the machine on which the times were promised.
const REFERENCE: Duration = Duration::from_millis(200);

/// Fails if something took longer than promised. A machine that is slow, or busy with something else, may take longer.
///
/// The square of its slowness allows for several processes, each of which waits for its turn.
#[track_caller]
pub fn assert_in_time(took: Duration, promised: Duration) {
    if took > promised {
        let slowness = slowness();
        let allowed = promised.mul_f64(slowness * slowness);
        assert!(
            took <= allowed,
            "{took:?}, promised {promised:?}, allowed {allowed:?} on a machine {slowness:.2} times slower"
        );
    }
}

/// How many times slower this machine is at this moment than the one on which the times were promised: at least once.
fn slowness() -> f64 {
    let started = Instant::now();
    let mut state = black_box(1_u64);
    for _ in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
    (started.elapsed().as_secs_f64() / REFERENCE.as_secs_f64()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_time_than_promised_is_in_time() {
        assert_in_time(Duration::from_secs(1), Duration::from_secs(1));
    }

    #[test]
    #[should_panic(expected = "promised 1ns")]
    fn much_more_time_than_promised_is_not_in_time() {
        assert_in_time(Duration::from_secs(3600), Duration::from_nanos(1));
    }
}
