//! Wrong command lines, and finding other chats on the same machine.

use crate::support::{Program, private_directory, run, teatime};
use serde_json::Value;

#[test]
fn wrong_calls_give_one_clear_line_and_exit_status_2() {
    let long = "x".repeat(129);
    let cases: &[(&[&str], &str)] = &[
        (&["chat", "--plain", "https://example.org/a/b"], "teatime://"),
        (&["chat", "--plain", "teatime://host/other.app/room"], "not for the chat"),
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
        assert!(!errors.contains("\u{1b}["), "no colour without a terminal: {errors:?}");
    }
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let (_reflector, url) = teatime().reflector(&[]);
    let address = url.trim_start_matches("ws://");
    let (code, _, errors) = run(&["reflector", "--listen", address], "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("cannot listen"), "{errors}");
}

#[test]
fn help_and_version_are_there() {
    let (code, text, _) = run(&["--version"], "");
    assert_eq!((code, text.starts_with("teatime ")), (Some(0), true));
    for of in ["chat", "reflector", "blobs", "record", "replay", "branch", "diff", "store", "new"] {
        let arguments = [of, "--help"];
        let (code, text, _) = run(&arguments, "");
        assert_eq!(code, Some(0));
        assert!(text.contains("Usage:"), "{text}");
    }
}

#[test]
fn a_second_chat_joins_the_first_without_flags_and_continues_when_the_first_ends() {
    let directory = private_directory("same-machine");
    let start = || {
        let mut chat = teatime().command(&["chat", "--json"]);
        // Port 0 keeps this test apart from reflectors of this machine.
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
    // The first ran the reflector. Now the second does.
    second.wait_until("a new room", |value: &Value| value["event"] == "joined");
    let mut third = start();
    second.wait_for_participants(2);
    third.post("on we go");
    second.wait_for_line("on we go");
}
