//! Statistics of a session.

use crate::boundary::boundary;
use crate::out::Check;
use crate::session::{tea_session, with};
use crate::status::tea_status;

/// Statistics of a session. Times are in µs of real time.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
pub struct tea_stats {
    /// The number of measured round trips to the reflector, at most the last hundred.
    pub round_trips: u32,
    /// The newest round trip.
    pub round_trip_last_us: u64,
    /// The median of the round trips.
    pub round_trip_p50_us: u64,
    /// One round trip in a hundred took longer.
    pub round_trip_p99_us: u64,
    /// The sequence number of the newest simulated event.
    pub seq: u64,
    /// The number of models.
    pub models: u64,
    /// The number of waiting future messages.
    pub futures: u64,
    /// How long the connection has been broken; 0 while it is not.
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
    /// The statistics of a session.
    pub(crate) fn of(driver: &teatime::Driver) -> Self {
        let client: &teatime::Client = driver;
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
