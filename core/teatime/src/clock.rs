//! A clock that also runs while the machine sleeps. The session's time does, and a client must not take that for a jump.

use std::time::Duration;

/// Real time since some moment.
pub(crate) fn now() -> Duration {
    imp::now()
}

#[cfg(unix)]
mod imp {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    // `Instant` stands still there while the machine sleeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    // That of Apple's systems runs on.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;

    pub(super) fn now() -> Duration {
        let now = clock_gettime(CLOCK);
        Duration::try_from(now).expect("no such clock shows a negative time")
    }
}

#[cfg(not(unix))]
mod imp {
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub(super) fn now() -> Duration {
        STARTED.elapsed()
    }
}
