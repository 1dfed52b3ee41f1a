//! Recordings that `teatime replay` and `teatime branch` refuse, and the codes of the errors.

use std::fs;

use serde_json::{Value, json};
use teatime::recording::{Head, Recording};
use teatime::{App, Time};

use crate::support::recordings::{assert_refused, options, text};
use crate::support::{private_directory, run, teatime};

#[test]
fn a_recording_of_another_app_or_version_is_refused_with_a_reason() {
    let directory = private_directory("recording-others");
    let file = directory.join("x.recording");
    let chat = |id: &str, version| {
        let app = App::builder::<teatime_chat::Chat>(id).version(version).build();
        let head = Head::new(&app.expect("sound"), teatime::SessionId([1; 32]), &[0xc0]);
        Recording { head, base: None, from: 0, inputs: Vec::new(), until: (Time::ZERO, 0) }.encode()
    };
    let mut newer = chat(teatime_chat::APP_ID, 1);
    newer[8] += 1;
    let cases: [(&[u8], &str); 5] = [
        (b"", "neither a recording nor the evidence"),
        (b"rubbish", "neither a recording nor the evidence"),
        (&chat("org.example.other", 1), "of the app \"org.example.other\", not of"),
        (&chat(teatime_chat::APP_ID, 2), "declared version 2, here 1"),
        (&newer, "a newer version"),
    ];
    for (bytes, what) in cases {
        fs::write(&file, bytes).expect("it can be written");
        assert_refused(&["replay", text(&file)], what);
        let into = directory.join("branch");
        assert_refused(&["branch", text(&file), "--into", text(&into), "--as", "new"], what);
        assert!(!into.exists());
    }
    assert_refused(&["replay", "/nowhere"], "/nowhere");
    for wrong in [
        &["replay"][..],
        &["replay", text(&file), "--name", "room"],
        &["replay", text(&file), "--until", "soon"],
        &["replay", text(&file), "--speed", "0"],
        &["replay", text(&file), "--speed", "-1"],
        &["record", "--plain"],
        &["branch", text(&file), "--into", text(&directory), "--as", ""],
    ] {
        assert_eq!(run(wrong, "").0, Some(2), "{wrong:?}");
    }
}

#[test]
fn failures_are_reported_in_json_with_the_json_flag() {
    let directory = private_directory("recording-json");
    let path = |name: &str| text(&directory.join(name)).to_owned();
    let app = |id: &str, version| {
        let app = App::builder::<teatime_chat::Chat>(id).version(version).build();
        app.expect("sound")
    };
    let recording = |app: &App, at: u64| {
        let head = Head::new(app, teatime::SessionId([1; 32]), &options());
        let until = (Time::from_micros(at), 0);
        Recording { head, base: None, from: 0, inputs: Vec::new(), until }.encode()
    };
    let chat = app(teatime_chat::APP_ID, 1);
    let mut damaged = recording(&chat, 0);
    *damaged.last_mut().expect("it has some") ^= 1;
    let mut newer = recording(&chat, 0);
    newer[8] += 1;
    for (name, bytes) in [
        ("right", recording(&chat, 5_000_000)),
        ("app", recording(&app("org.example.other", 1), 0)),
        ("version", recording(&app(teatime_chat::APP_ID, 2), 0)),
        ("format", newer),
        ("rubbish", b"rubbish".to_vec()),
        ("damaged", damaged[..40].to_vec()),
    ] {
        fs::write(path(name), bytes).expect("it can be written");
    }
    let store = directory.join("store");
    let (mut server, url) = teatime().reflector_with(&store, &[]);
    drop(teatime().chat(&url, &["--password", "p"]));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let (_running, url) = teatime().reflector_with(&directory.join("in-use"), &[]);
    let (into, store, in_use) = (path("into"), text(&store), path("in-use"));
    let assert_code = |arguments: &[&str], code: &str| {
        let (status, output, errors) = run(&[arguments, &["--json"]].concat(), "");
        let said = (status, errors.as_str(), output.lines().count());
        assert_eq!(said, (Some(1), "", 1), "{arguments:?}: {output}");
        let error: Value = serde_json::from_str(&output).expect("it is JSON");
        assert_eq!((&error["event"], &error["code"]), (&json!("error"), &json!(code)));
        assert!(error["message"].as_str().is_some_and(|why| !why.is_empty()), "{error}");
    };
    for (file, code) in [
        ("missing", "IO"),
        ("app", "OTHER_APP"),
        ("version", "OTHER_VERSION"),
        ("format", "OTHER_FORMAT"),
        ("rubbish", "NO_RECORDING"),
        ("damaged", "DAMAGED"),
    ] {
        assert_code(&["replay", &path(file)], code);
        assert_code(&["branch", &path(file), "--into", &into, "--as", "new"], code);
    }
    assert_code(&["replay", &path("right"), "--until", "3"], "NO_SUCH_POINT");
    assert_code(&["replay", &path("right"), "--until", "1h"], "NO_SUCH_POINT");
    assert_code(&["replay", &path("right"), "--state", "M9"], "NO_SUCH_PART");
    assert_code(&["replay", store, "--name", "lobby"], "UNKNOWN_ROOM");
    assert_code(&["replay", store, "--name", "bar", "--password", "p"], "UNKNOWN_ROOM");
    assert_code(&["replay", text(&private_directory("recording-json-none"))], "NO_STORE");
    assert_code(&["branch", &path("right"), "--into", &in_use, "--as", "new"], "IN_USE");
    assert_code(&["branch", &path("right"), "--into", &path("app"), "--as", "new"], "IO");
    let record = ["record", "--reflector", &url, "--to"];
    assert_code(&[&record[..], &[&path("right")]].concat(), "IO");
}
