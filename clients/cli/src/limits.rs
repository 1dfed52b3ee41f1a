//! The limits of a reflector that its operator can set.

use clap::Args;
use teatime::server::ReflectorConfig;

use crate::terminal::Failure;
use crate::units::{age, size};

/// The longest time that a limit may be, in seconds: a year.
const LONGEST: u64 = 365 * 86_400;

/// The shortest time without a sign of life: clients send one every five seconds.
const SHORTEST_SILENCE: u64 = 10;

/// Flags for limits. Their defaults are those of `ReflectorConfig`.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// How long a participant may be disconnected before the others see it leave.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = age)]
    rejoin_limit: u64,
    /// Disconnect clients that send nothing, not even a sign of life, for this long. At least 10s.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = age)]
    silence: u64,
    /// Most connections.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    max_connections: usize,
    /// Most participants of one session.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_participants: usize,
    /// Most events per second of one participant, in the long run.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    events_per_second: u32,
    /// Most events of one participant at once.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    burst: u32,
    /// With --data: how long a session without participants stays in memory.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = age)]
    idle_time: u64,
    /// Most sessions without participants in memory. Without --data, those beyond it are lost, the oldest first.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_idle_sessions: usize,
    /// Most bytes of sessions without participants in memory, such as 1G.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    max_idle_bytes: u64,
}

impl Limits {
    /// Sets the limits of a reflector.
    pub(crate) fn apply(&self, config: &mut ReflectorConfig) -> Result<(), Failure> {
        config.rejoin_limit = micros("--rejoin-limit", self.rejoin_limit, 0)?;
        config.stall_tolerance = config.rejoin_limit;
        config.silence_timeout = micros("--silence", self.silence, SHORTEST_SILENCE)?;
        config.max_idle_time = micros("--idle-time", self.idle_time, 0)?;
        for (flag, number) in [
            ("--max-connections", self.max_connections),
            ("--max-participants", self.max_participants),
            ("--events-per-second", self.events_per_second as usize),
            ("--burst", self.burst as usize),
        ] {
            if number == 0 {
                return Err(Failure::Usage(format!("invalid {flag} 0: expected at least 1")));
            }
        }
        config.max_connections = self.max_connections;
        config.max_views = self.max_participants;
        config.send_limits.per_second = self.events_per_second;
        config.send_limits.burst = self.burst;
        config.max_idle_sessions = self.max_idle_sessions;
        config.max_idle_bytes = self.max_idle_bytes;
        Ok(())
    }
}

fn micros(flag: &str, seconds: u64, least: u64) -> Result<u64, Failure> {
    if (least..=LONGEST).contains(&seconds) {
        return Ok(seconds * 1_000_000);
    }
    Err(Failure::Usage(format!("invalid {flag}: expected {least}s to 365d")))
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn parsed(flags: &[&str]) -> Result<ReflectorConfig, String> {
        let command = Limits::augment_args(Command::new("reflector").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        let limits = Limits::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let mut config = ReflectorConfig::default();
        match limits.apply(&mut config) {
            Ok(()) => Ok(config),
            Err(Failure::Usage(why)) => Err(why),
            Err(_) => Err("another failure".into()),
        }
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_reflector() {
        let (parsed, default) = (parsed(&[]), ReflectorConfig::default());
        assert_eq!(parsed.map(|config| format!("{config:?}")), Ok(format!("{default:?}")));
    }

    #[test]
    fn limits_are_taken_and_those_that_cannot_work_are_refused() {
        let config = parsed(&["--rejoin-limit", "2m", "--silence", "1m", "--burst", "5"]);
        let set = config.map(|one| (one.rejoin_limit, one.silence_timeout, one.send_limits.burst));
        assert_eq!(set, Ok((120_000_000, 60_000_000, 5)));
        for (flag, value) in [
            ("--rejoin-limit", "never"),
            ("--rejoin-limit", "soon"),
            ("--silence", "9s"),
            ("--max-participants", "0"),
            ("--burst", "0"),
        ] {
            let error = parsed(&[flag, value]).expect_err("it is refused");
            assert!(error.contains(flag), "{flag} {value}: {error}");
        }
    }
}
