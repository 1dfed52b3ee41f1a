//! What the benchmarks print, and that nothing is an order of magnitude slower than wanted.

use std::process::Command;

use serde_json::Value;

/// The rows of a quick run.
fn rows(what: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-bench"));
    let output = command.args([what, "--quick", "--json"]).output().expect("the program is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert!(report["machine"]["cores"].is_number());
    report["rows"].as_array().expect("there are rows").clone()
}

#[test]
fn benchmarks_print_json_with_the_wanted_figures_beside() {
    for (what, number) in [("vm", 5), ("reflector", 6)] {
        let rows = rows(what);
        assert_eq!(rows.len(), number);
        assert!(rows.iter().all(|row| row.to_string().contains("wanted_at_")), "{rows:?}");
    }
}

/// Busy machines and builds that are not optimized may be four times as slow, but not more.
#[test]
fn recordings_and_blobs_are_no_order_of_magnitude_slower_than_wanted() {
    let figure =
        |row: &Value, name: &str| row[name].as_f64().unwrap_or_else(|| panic!("no {name}: {row}"));
    let replay = &rows("replay")[0];
    let wanted = figure(replay, "seconds_wanted_at_most");
    assert!(figure(replay, "seconds") <= 4.0 * wanted, "{replay}");
    for row in &rows("blobs")[..2] {
        let wanted = figure(row, "mb_per_s_wanted_at_least");
        for name in ["stored_mb_per_s", "fetched_mb_per_s"] {
            assert!(figure(row, name) >= wanted / 4.0, "{row}");
        }
        // Only Linux tells the memory; elsewhere these are null.
        if cfg!(target_os = "linux") {
            // A window of 16 chunks of 256 KiB, and copies of some on their way; not 100 MB.
            for name in ["client_memory_kib", "server_memory_kib"] {
                assert!(figure(row, name) <= 16.0 * 1024.0, "{row}");
            }
            // The measurement works: a transfer takes memory for at least one chunk.
            assert!(figure(row, "client_memory_kib") >= 256.0, "{row}");
        }
    }
}
