//! Memory and open files of a process, from the operating system, and whether they grow.

/// Resident memory of a process in bytes. `None` if the platform does not tell.
pub fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// Number of open files and sockets of a process.
pub fn open_files(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// Most files that a process may have open.
pub fn most_open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The slope of the line that best fits the points.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let number = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
    both / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_scattered_points_is_found() {
        let points: Vec<_> = (0..100).map(f64::from).map(|x| (x, 3.0 * x + (x % 2.0))).collect();
        assert!((slope(&points) - 3.0).abs() < 0.01);
    }

    #[test]
    fn this_process_uses_memory_and_files() {
        let me = std::process::id();
        assert!(memory(me).is_some_and(|bytes| bytes > 100_000));
        assert!(open_files(me).is_some_and(|open| open > 2));
        assert!(most_open_files() > open_files(me));
    }
}
