//! Statistics of a session.

use crate::boundary::boundary;
use crate::out::Check;
use crate::session::{tea_session, with};
use crate::status::tea_status;

/// Statistics of a session; times are in µs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
pub struct tea_stats {
    /// How many of the last hundred round trips to the reflector were measured.
    pub round_trips: u32,
    /// The newest round trip.
    pub round_trip_last_us: u64,
    /// The median of the round trips.
    pub round_trip_p50_us: u64,
    /// Only one round trip in a hundred took longer.
    pub round_trip_p99_us: u64,
    /// Sequence number of the newest event that was simulated.
    pub seq: u64,
    /// How many models there are.
    pub models: u64,
    /// How many future messages wait.
    pub futures: u64,
    /// For how long the connection has been broken; 0 while it is not.
    pub reconnecting_us: u64,
}

/// Statistics of a session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_stats(
    session: *const tea_session,
    stats: *mut tea_stats,
) -> tea_status {
    boundary(|| {
        let stats = stats.check("stats")?;
        with(session, |driver| {
            stats.set(tea_stats::of(driver));
            Ok(())
        })
    })
}

impl tea_stats {
    /// What a session has to say.
    pub(crate) fn of(driver: &teatime::Driver) -> Self {
        let client = driver.client();
        let (trips, model) = (client.round_trips(), client.vm());
        let broken = driver.reconnecting_for().map_or(0, |broken| broken.as_micros());
        Self {
            round_trips: trips.count,
            round_trip_last_us: trips.last_us,
            round_trip_p50_us: trips.p50_us,
            round_trip_p99_us: trips.p99_us,
            seq: model.map_or(0, teatime::Vm::seq),
            models: model.map_or(0, |model| model.models().count() as u64),
            futures: model.map_or(0, teatime::Vm::future_count),
            reconnecting_us: u64::try_from(broken).unwrap_or(u64::MAX),
        }
    }
}
