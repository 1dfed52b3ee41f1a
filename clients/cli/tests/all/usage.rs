//! What the program says to wrong calls, and how it finds the others on its machine.

use crate::support::{Program, Start, command, private_directory, run};
use serde_json::Value;

#[test]
fn wrong_calls_give_one_clear_line_and_exit_status_2() {
    let long = "x".repeat(129);
    let cases: &[(&[&str], &str)] = &[
        (&["chat", "--plain", "https://example.org/a/b"], "teatime://"),
        (&["chat", "--plain", "teatime://host/other.app/room"], "no chat"),
        (&["chat", "--plain", "teatime://host/teatime.chat"], "room is missing"),
        (&["chat", "--plain", "--reflector", "http://a"], "ws://"),
        (&["chat", "--plain", "--reflector", "a b"], "ws://"),
        (&["chat", "--plain", "--name", ""], "room name"),
        (&["chat", "--plain", "--name", &long], "room name"),
        (&["chat", "--plain", "--password", ""], "password"),
        (&["chat", "--json", "teatime://h/teatime.chat/r?inactivity=soon"], "seconds"),
        (&["reflector", "--listen", "nowhere"], "HOST:PORT"),
    ];
    for (arguments, what) in cases {
        let (code, output, errors) = run(arguments, "");
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert_eq!((output.as_str(), errors.lines().count()), ("", 1), "{arguments:?}: {errors}");
        assert!(errors.contains(what), "{arguments:?}: {errors}");
    }
    for arguments in [&["chat", "--inactivity", "soon"][..], &["chat", "--plain", "--json"], &["x"]]
    {
        let (code, _, errors) = run(arguments, "");
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(!errors.contains("\u{1b}["), "no colour where nobody sees it: {errors:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let (_reflector, url) = Program::reflector();
    let address = url.trim_start_matches("ws://");
    let (code, _, errors) = run(&["reflector", "--listen", address], "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("cannot listen"), "{errors}");
}

#[test]
fn help_and_version_are_there() {
    let (code, text, _) = run(&["--version"], "");
    assert_eq!((code, text.starts_with("teatime ")), (Some(0), true));
    for of in ["chat", "reflector", "record", "replay", "branch", "blobs", "bench"] {
        let arguments = [of, "--help"];
        let (code, text, _) = run(&arguments, "");
        assert_eq!(code, Some(0));
        assert!(text.contains("Usage:"), "{text}");
    }
}

#[test]
fn benchmarks_print_json_with_the_wanted_figures_beside() {
    for (what, rows) in [("vm", 5), ("reflector", 5)] {
        let (code, text, errors) = run(&["bench", what, "--quick", "--json"], "");
        assert_eq!(code, Some(0), "{errors}");
        let report: Value = serde_json::from_str(&text).expect("it is JSON");
        let list = report["rows"].as_array().expect("there are rows");
        assert_eq!(list.len(), rows);
        assert!(list.iter().all(|row| row.to_string().contains("wanted_at_")), "{text}");
        assert!(report["machine"]["cores"].is_number());
    }
}

/// Busy machines and builds that are not optimized may be four times as slow, but not more.
#[test]
fn recordings_and_blobs_are_no_order_of_magnitude_slower_than_wanted() {
    let rows = |what: &str| {
        let (code, text, errors) = run(&["bench", what, "--quick", "--json"], "");
        assert_eq!(code, Some(0), "{errors}");
        let report: Value = serde_json::from_str(&text).expect("it is JSON");
        report["rows"].as_array().expect("there are rows").clone()
    };
    let figure = |row: &Value, name: &str| {
        row[name].as_f64().unwrap_or_else(|| panic!("there is no {name}: {row}"))
    };
    let replay = &rows("replay")[0];
    let wanted = figure(replay, "seconds_wanted_at_most");
    assert!(figure(replay, "seconds") <= 4.0 * wanted, "{replay}");
    for row in &rows("blobs")[..2] {
        let wanted = figure(row, "mb_per_s_wanted_at_least");
        for name in ["stored_mb_per_s", "fetched_mb_per_s"] {
            assert!(figure(row, name) >= wanted / 4.0, "{row}");
        }
        // A window of 16 chunks of 256 KiB, and copies of some on their way; not 100 MB.
        for name in ["client_memory_kib", "server_memory_kib"] {
            // Elsewhere it cannot be measured, and is null.
            if cfg!(target_os = "linux") {
                assert!(figure(row, name) <= 16.0 * 1024.0, "{row}");
            }
        }
        // They have done something: no chunk comes and goes without any memory.
        if cfg!(target_os = "linux") {
            assert!(figure(row, "client_memory_kib") >= 256.0, "{row}");
        }
    }
}

#[test]
fn a_second_chat_joins_the_first_without_a_word_and_goes_on_when_the_first_ends() {
    let directory = private_directory("same-machine");
    let start = || {
        let mut chat = command(&["chat", "--json"]);
        // A port that nothing listens on keeps this test apart from reflectors that run here.
        let mut chat =
            Program::spawn(chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0"));
        chat.wait_for("view_info");
        chat
    };
    let mut first = start();
    let mut second = start();
    let session = |chat: &Program| chat.last("joined")["session_id"].clone();
    assert_eq!(session(&first), session(&second));
    first.wait_for_participants(2);
    second.post("hello");
    first.wait_for_line("hello");
    first.end_input();
    assert_eq!(first.exit_code(), Some(0));
    // The first has hosted the reflector; now the second does.
    second.wait_until("a new room", |value: &Value| value["event"] == "joined");
    let mut third = start();
    second.wait_for_participants(2);
    third.post("on we go");
    second.wait_for_line("on we go");
}
