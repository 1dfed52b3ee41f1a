//! The limits of a reflector that its operator can set.

use clap::Args;
use teatime::server::{Allowance, ServerConfig};

use crate::terminal::Failure;
use crate::units::{age, size};

/// The longest time that a limit may be, in seconds: a year.
const LONGEST: u64 = 365 * 86_400;

/// The shortest time without a sign of life: clients send one every five seconds.
const SHORTEST_SILENCE: u64 = 10;

/// How many seconds' worth of frames and bytes may come at once: what a line has held up for a moment.
const FRAME_BURST: u64 = 5;
const BYTE_BURST: u64 = 4;

/// Flags for limits. Their defaults are those of `ServerConfig`.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// How long a participant may be disconnected before the others see it leave.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = age)]
    rejoin_limit: u64,
    /// Disconnect clients that send nothing, not even a sign of life, for this long. At least 10s.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = age)]
    silence: u64,
    /// The longest time after which an app in the background may leave, if it chooses one.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = age)]
    max_leave_after: u64,
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
    /// Most bytes per second of one participant, in the long run. What is more is read later, and no participant is disconnected.
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size)]
    bytes_per_second: u64,
    /// Most frames per second of one address (IPv4, or IPv6 /64), in the long run: events, votes, pings. What is more is
    /// read later. Raise it if all clients come through a proxy on another machine. Programs of this machine have no such
    /// limit.
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    address_frames: u64,
    /// Most bytes per second of one address, in the long run.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    address_bytes: u64,
    /// Most connections of one address that have not joined yet. Beyond it, the oldest of them is closed.
    #[arg(long, value_name = "N", default_value_t = 250)]
    address_handshakes: usize,
    /// Most bytes that all sessions may have in memory together, such as 2G. Beyond it, senders are asked to pause, and no
    /// session begins.
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = size)]
    max_session_bytes: u64,
    /// Most bytes of these that one address may cause.
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = size)]
    address_session_bytes: u64,
    /// Most bytes that one address may have stored: sessions with --data, and blobs, of which it may take half of what there
    /// may be. Beyond it, its clients are asked to pause, begin no more sessions, and store no more blobs.
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = size)]
    address_stored_bytes: u64,
    /// With --data: how long `teatime store rollback` can undo a snapshot after a participant has loaded it.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = age)]
    history_time: u64,
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
    /// Sets the limits of a server.
    pub(crate) fn apply(&self, server: &mut ServerConfig) -> Result<(), Failure> {
        self.check()?;
        let config = &mut server.reflector;
        config.rejoin_limit = micros("--rejoin-limit", self.rejoin_limit, 0)?;
        config.stall_tolerance = config.rejoin_limit;
        config.silence_timeout = micros("--silence", self.silence, SHORTEST_SILENCE)?;
        config.max_leave_after = micros("--max-leave-after", self.max_leave_after, 0)?;
        config.history_time = micros("--history-time", self.history_time, 0)?;
        config.max_idle_time = micros("--idle-time", self.idle_time, 0)?;
        config.max_connections = self.max_connections;
        config.max_views = self.max_participants;
        config.send_limits.per_second = self.events_per_second;
        config.send_limits.burst = self.burst;
        config.max_session_bytes = self.max_session_bytes;
        config.max_session_bytes_per_address = self.address_session_bytes;
        config.max_stored_bytes_per_address = self.address_stored_bytes;
        config.max_idle_sessions = self.max_idle_sessions;
        config.max_idle_bytes = self.max_idle_bytes;
        config.bytes_per_second = self.bytes_per_second;
        config.byte_burst = self.bytes_per_second.saturating_mul(BYTE_BURST);
        server.max_handshakes_per_address = self.address_handshakes;
        server.address_allowance = Allowance {
            frames_per_second: self.address_frames,
            frame_burst: self.address_frames.saturating_mul(FRAME_BURST),
            bytes_per_second: self.address_bytes,
            byte_burst: self.address_bytes.saturating_mul(BYTE_BURST),
        };
        Ok(())
    }

    /// Refuses limits with which nothing would work.
    fn check(&self) -> Result<(), Failure> {
        for (flag, number) in [
            ("--max-connections", self.max_connections),
            ("--max-participants", self.max_participants),
            ("--events-per-second", self.events_per_second as usize),
            ("--burst", self.burst as usize),
            ("--address-handshakes", self.address_handshakes),
            ("--address-frames", usize::try_from(self.address_frames).unwrap_or(usize::MAX)),
            ("--address-bytes", usize::try_from(self.address_bytes).unwrap_or(usize::MAX)),
            ("--bytes-per-second", usize::try_from(self.bytes_per_second).unwrap_or(usize::MAX)),
            ("--max-session-bytes", usize::try_from(self.max_session_bytes).unwrap_or(usize::MAX)),
            (
                "--address-session-bytes",
                usize::try_from(self.address_session_bytes).unwrap_or(usize::MAX),
            ),
            (
                "--address-stored-bytes",
                usize::try_from(self.address_stored_bytes).unwrap_or(usize::MAX),
            ),
        ] {
            if number == 0 {
                return Err(Failure::Usage(format!("invalid {flag} 0: expected at least 1")));
            }
        }
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

    fn parsed(flags: &[&str]) -> Result<ServerConfig, String> {
        let command = Limits::augment_args(Command::new("reflector").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        let limits = Limits::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let mut config = ServerConfig::default();
        match limits.apply(&mut config) {
            Ok(()) => Ok(config),
            Err(Failure::Usage(why)) => Err(why),
            Err(_) => Err("another failure".into()),
        }
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_reflector() {
        let (parsed, default) = (parsed(&[]), ServerConfig::default());
        assert_eq!(parsed.map(|config| format!("{config:?}")), Ok(format!("{default:?}")));
    }

    #[test]
    fn limits_are_taken_and_those_that_cannot_work_are_refused() {
        let config = parsed(&["--rejoin-limit", "2m", "--silence", "1m", "--burst", "5"]);
        let config = config.map(|server| server.reflector);
        let set = config.map(|one| (one.rejoin_limit, one.silence_timeout, one.send_limits.burst));
        assert_eq!(set, Ok((120_000_000, 60_000_000, 5)));
        for (flag, value) in [
            ("--rejoin-limit", "never"),
            ("--rejoin-limit", "soon"),
            ("--silence", "9s"),
            ("--max-participants", "0"),
            ("--burst", "0"),
            ("--address-handshakes", "0"),
            ("--address-frames", "0"),
            ("--address-bytes", "0"),
            ("--bytes-per-second", "0"),
        ] {
            let error = parsed(&[flag, value]).expect_err("it is refused");
            assert!(error.contains(flag), "{flag} {value}: {error}");
        }
    }
}
