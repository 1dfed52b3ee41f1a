//! Session time: integers of microseconds since the session began.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point in the time of a session, in µs since the session began. Session time stands still within a turn,
/// and while no client is connected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

/// A span of session time in µs.
///
/// This is not [`std::time::Duration`]. Models compute with this type, because it is a whole number of
/// microseconds, has one encoding, and saturates instead of overflowing. Spans of real time, such as
/// timeouts of a client, are `std::time::Duration`. Each converts into the other:
///
/// ```
/// use teatime_vm::Duration;
///
/// let span = Duration::from_millis(1_500);
/// assert_eq!(std::time::Duration::from(span), std::time::Duration::from_micros(1_500_000));
/// assert_eq!(Duration::try_from(std::time::Duration::from_secs_f64(1.5))?, span);
/// # Ok::<(), teatime_vm::DurationRangeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(u64);

impl Time {
    /// The beginning of the session.
    pub const ZERO: Self = Self(0);
    /// The latest point: 584,000 years after the beginning.
    pub const MAX: Self = Self(u64::MAX);

    /// This number of µs after the session began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The number of µs since the session began.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span from `earlier` to this point. Zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// A span of this number of µs.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A span of this number of ms, at most the longest span.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of this number of seconds, at most the longest span.
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

/// At most [`Time::MAX`].
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// At least [`Time::ZERO`].
impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// At most the longest span.
impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A span of real time that is too long for a span of session time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration: expected at most {} µs", u64::MAX)]
pub struct DurationRangeError;

impl From<Duration> for std::time::Duration {
    fn from(span: Duration) -> Self {
        Self::from_micros(span.0)
    }
}

/// Drops fractions of a µs.
impl TryFrom<std::time::Duration> for Duration {
    type Error = DurationRangeError;

    fn try_from(span: std::time::Duration) -> Result<Self, DurationRangeError> {
        u64::try_from(span.as_micros()).map(Self).map_err(|_| DurationRangeError)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_session_time_and_of_real_time_convert_into_each_other() {
        for micros in [0, 1, 1_500_000, u64::MAX] {
            let span = Duration::from_micros(micros);
            assert_eq!(Duration::try_from(std::time::Duration::from(span)), Ok(span));
        }
        let fraction = std::time::Duration::from_nanos(1_999);
        assert_eq!(Duration::try_from(fraction), Ok(Duration::from_micros(1)));
        let too_long = std::time::Duration::from_micros(u64::MAX) + fraction;
        assert_eq!(Duration::try_from(too_long), Err(DurationRangeError));
    }
}
