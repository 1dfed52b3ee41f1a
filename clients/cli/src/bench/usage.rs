//! What processes have used, as the operating system says.

/// Seconds of CPU, user and system, of this process so far; wall time where that is not to be had.
pub(super) fn cpu_seconds() -> f64 {
    cpu_time::ProcessTime::try_now()
        .map_or_else(|_| wall_seconds(), |time| time.as_duration().as_secs_f64())
}

fn wall_seconds() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

/// Seconds of CPU that a piece of work takes.
pub(super) fn cpu_of<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let before = cpu_seconds();
    let result = work();
    (cpu_seconds() - before, result)
}

/// Resident memory of a process in KiB.
pub(super) fn memory_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}
