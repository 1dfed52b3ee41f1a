//! Session time: integers of microseconds since the session began.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point in the time of a session, in µs since it began. It stands still within a turn, and
/// while nobody is connected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

/// A span of session time in µs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(u64);

impl Time {
    /// When the session began.
    pub const ZERO: Self = Self(0);
    /// Later than any session will live: 584,000 years.
    pub const MAX: Self = Self(u64::MAX);

    /// So many µs after the session began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// µs since the session began.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span from `earlier` to this; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many µs.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many ms; the longest span there is if that is more than it.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// So many seconds; the longest span there is if that is more than it.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// The span in µs.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole ms.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
}

/// Never beyond [`Time::MAX`].
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Never before [`Time::ZERO`].
impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// Never more than the longest span.
impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

fn show(f: &mut fmt::Formatter<'_>, micros: u64) -> fmt::Result {
    write!(f, "{}.{:06} s", micros / 1_000_000, micros % 1_000_000)
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0)
    }
}
