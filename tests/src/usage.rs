//! What a process uses, as the operating system says, and whether it grows.

/// Resident memory of a process in bytes; nothing where that is not to be had.
pub fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// How many files and sockets a process has open.
pub fn open_files(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// How many files a process may have open.
pub fn most_open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The slope of the straight line that fits the points best.
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
    fn a_line_is_found_among_points_that_scatter() {
        let points: Vec<_> = (0..100).map(f64::from).map(|x| (x, 3.0 * x + (x % 2.0))).collect();
        assert!((slope(&points) - 3.0).abs() < 0.01);
    }

    #[test]
    fn this_process_uses_something() {
        let me = std::process::id();
        assert!(memory(me).is_some_and(|bytes| bytes > 100_000));
        assert!(open_files(me).is_some_and(|open| open > 2));
        assert!(most_open_files() > open_files(me));
    }
}
