//! A clock that also runs while the machine sleeps. The session's time does, and a client must not take that for a jump.

use std::time::Duration;

/// Real time since some moment.
pub(crate) fn now() -> Duration {
    imp::now()
}

#[cfg(unix)]
mod imp {
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};

    // `Instant` stands still there while the machine sleeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    // That of Apple's systems runs on.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

    pub(super) fn now() -> Duration {
        clock_gettime(CLOCK).expect("every system has this clock").into()
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
