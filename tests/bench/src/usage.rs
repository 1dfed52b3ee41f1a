//! CPU time and memory of processes, from the operating system.

/// Seconds of CPU, user and system, of this process so far. Wall time if the platform does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    cpu_time::ProcessTime::try_now()
        .map_or_else(|_| wall_seconds(), |time| time.as_duration().as_secs_f64())
}

fn wall_seconds() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

/// Seconds of CPU that a piece of work takes.
pub(crate) fn cpu_of<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let before = cpu_seconds();
    let result = work();
    (cpu_seconds() - before, result)
}

/// Resident memory of a process in KiB.
pub(crate) fn memory_kib(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

/// Highest resident memory of a process so far, in KiB.
pub(crate) fn peak_memory_kib(process: u32) -> Option<u64> {
    status(process, "VmHWM:")
}

/// Restarts the measurement of [`peak_memory_kib`]. `None` if the platform cannot.
pub(crate) fn forget_peak(process: u32) -> Option<()> {
    // To Linux, 5 means: set the peak to what is resident now.
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").ok()
}

fn status(process: u32, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

/// Seconds of CPU of a process so far, all its threads together.
pub(crate) fn cpu_of_process(process: u32) -> Option<f64> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let each = tasks.flatten().filter_map(|task| schedstat(&task.path().join("schedstat")));
    Some(each.sum())
}

/// Seconds of CPU of the calling thread so far.
pub(crate) fn cpu_of_this_thread() -> Option<f64> {
    schedstat("/proc/thread-self/schedstat".as_ref())
}

/// The first number is the time on a processor in ns.
fn schedstat(path: &std::path::Path) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
