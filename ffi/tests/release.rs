//! What measures the library works; and with TEATIME_RELEASE, which takes minutes, the release is as small as recorded.

#[path = "all/support/mod.rs"]
mod support;

use serde_json::Value;
use support::{run, xtask};

/// The largest stripped shared library, in bytes.
const MOST_BYTES: u64 = 3 * 1024 * 1024;

#[test]
fn the_benchmark_runs_and_the_release_is_as_small_as_recorded() {
    let is_release = std::env::var_os("TEATIME_RELEASE").is_some();
    let profile = if is_release { "release" } else { "dev" };
    let line = run(xtask().args(["bench", "--profile", profile]));
    let report: Value = serde_json::from_str(&line).expect("one line of JSON");
    for measured in
        ["noop_ns", "session_now_ns", "publish_ns", "pull_1000_msgpack_us", "pull_1000_json_us"]
    {
        assert!(report[measured].as_f64().is_some_and(|cost| cost > 0.0), "{measured}: {report}");
    }
    if !is_release {
        return;
    }
    let bytes = report["library_bytes"].as_u64().expect("a number");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    let sizes = include_str!("../../bindings/c/SIZES.md");
    let target = report["target"].as_str().expect("a string");
    let row = format!("| {} | {target} |", env!("CARGO_PKG_VERSION"));
    let recorded = sizes.lines().find_map(|line| line.strip_prefix(&row));
    // The size depends on the compiler, and only some targets are recorded.
    if let Some(recorded) = recorded {
        let recorded = recorded.split('|').filter_map(|cell| cell.trim().parse::<u64>().ok());
        let measured =
            ["library_bytes", "library_with_tls_bytes"].map(|name| report[name].as_u64());
        for (recorded, measured) in recorded.zip(measured) {
            let measured = measured.expect("a number");
            assert!(measured.abs_diff(recorded) * 50 <= recorded, "{measured}, not {recorded}");
        }
    }
}
