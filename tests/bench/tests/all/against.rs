//! Two fake programs are compared: what they are asked, in which order, and what follows from what they print.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A script that notes its name and arguments in `asked`, and prints the report of this run. `$turn` counts its runs
/// from 0.
fn fake(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    let asked = folder.join("asked");
    let script = format!(
        "#!/bin/sh\nasked='{asked}'\ntouch \"$asked\"\nturn=$(grep -c '^{name} ' \"$asked\")\n\
         echo \"{name} $*\" >> \"$asked\"\n{body}\n",
        asked = asked.display()
    );
    fs::write(&path, script).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    path
}

/// Prints a rate of the futures and the time of a snapshot, one of each for each run, and what is not compared.
fn reports(rates: &str, times: &str, more: &str) -> String {
    format!(
        "nth() {{ shift $turn; echo $1; }}\n\
         echo '{{\"rows\": [{{\"work\": \"futures\", \"measured\": '$(nth {rates})', \"wanted_at_least\": 9}},\
         {{\"work\": \"snapshot\", \"snapshot_ms\": '$(nth {times})', \"snapshot_mb\": 5}},\
         {{\"work\": \"load\", \"measured\": '$turn', \"wanted_at_least\": 9, \"unit\": \"million/s\"}}{more}]}}'"
    )
}

fn against(arguments: &[&str], old: &Path, new: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-bench"));
    command.args(["against", "--json", "--only", "vm", "--runs", "3"]).args(arguments);
    command.arg("--new").arg(new).arg(old).output().expect("the program is built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn medians_are_compared_the_worst_first_and_a_slower_row_fails() {
    let folder = tempfile::tempdir().expect("there is room");
    // Medians: 10 turns per second and 30 ms; then 8 turns per second, which is 1.25 of the time of one, and 27 ms.
    let old = fake(folder.path(), "old", &reports("10 1 99", "30 29 90", ""));
    let more = ", {\"work\": \"another\", \"restore_ms\": 1}";
    let new = fake(folder.path(), "new", &reports("8 70 2", "1 27 28", more));
    let output = against(&["--quick"], &old, &new);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let expected = serde_json::json!([
        {"work": "futures", "figure": "measured", "old": 10.0, "new": 8.0, "ratio": 1.25},
        {"work": "snapshot", "figure": "snapshot_ms", "old": 30.0, "new": 27.0, "ratio": 0.9},
    ]);
    assert_eq!(report["rows"], expected);
    assert_eq!(report["only_new"], serde_json::json!(["another: restore_ms"]));
    assert_eq!(report["worse"], 1);
    let said = text(&output.stderr);
    let positions = ["1.250", "0.900", "only in the new program: another", "1 row is slower"]
        .map(|part| said.find(part).unwrap_or_else(|| panic!("no {part}: {said}")));
    assert!(positions.is_sorted(), "{said}");

    let asked = fs::read_to_string(folder.path().join("asked")).expect("they have run");
    assert_eq!(asked, "old vm --json --quick\nnew vm --json --quick\n".repeat(3));

    // A row may be as much slower as the caller allows.
    fs::remove_file(folder.path().join("asked")).expect("it is ours");
    let output = against(&["--worse-than", "25"], &old, &new);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fs::remove_file(folder.path().join("asked")).expect("it is ours");
    let output = against(&["--worse-than", "24.9"], &old, &new);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_program_that_cannot_be_compared_is_named() {
    let folder = tempfile::tempdir().expect("there is room");
    let good = fake(folder.path(), "good", &reports("1 1 1", "1 1 1", ""));
    let failing = fake(folder.path(), "failing", "echo no memory >&2; exit 3");
    let chatty = fake(folder.path(), "chatty", "echo hello");
    let other = fake(folder.path(), "other", "echo '{\"rows\": []}'");
    for (old, said) in [
        (failing, "failing vm failed (exit status: 3): no memory"),
        (chatty, "expected JSON from"),
        (other, "have no row in common"),
        (folder.path().join("absent"), "cannot run"),
    ] {
        let output = against(&[], &old, &good);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
    for wrong in [["--runs", "0"], ["--worse-than", "-1"], ["--worse-than", "NaN"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-bench"));
        let argument = format!("{}={}", wrong[0], wrong[1]);
        let output = command.args(["against", "old", &argument]).output().expect("it is built");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
