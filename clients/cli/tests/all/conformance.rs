//! A program in another language, written from PROTOCOL.md alone, checks the reflector rule by rule.

use std::process::Command;

use crate::support::{private_directory, teatime};

/// Checks a reflector with these flags. The times of the protocol are as short as its flags allow.
fn assert_conforms(name: &str, more: &[&str]) {
    let times = ["--silence", "10s", "--rejoin-limit", "2s"];
    let (_reflector, url) = teatime().reflector(&[&times, more].concat());
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/run");
    let output = Command::new(run).args([&url, "--silence", "10"]).output().expect("it starts");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        assert!(std::env::var_os("CI").is_none(), "{errors}");
        return;
    }
    assert!(output.status.success() && said.contains("rules hold"), "{name}: {said}{errors}");
}

#[test]
fn a_reflector_in_memory_follows_every_rule_of_the_protocol_page() {
    assert_conforms("memory", &["--workers", "1"]);
}

#[test]
fn a_reflector_with_three_threads_follows_every_rule_of_the_protocol_page() {
    assert_conforms("threads", &["--workers", "3"]);
}

#[test]
fn a_reflector_that_stores_follows_every_rule_of_the_protocol_page() {
    for workers in ["1", "3"] {
        let data = private_directory(&format!("conformance-{workers}"));
        let data = data.to_str().expect("UTF-8");
        assert_conforms("stored", &["--workers", workers, "--data", data]);
    }
}
