//! Recording, replaying and branching sessions, with real programs.

use std::fs;
use std::path::Path;

use crate::support::{Program, private_directory, run, teatime, texts};
use serde_json::{Value, json};
use teatime::recording::{Head, Input, Recording, RecordingError, read};
use teatime::{App, External, Time};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Starts a recorder, and waits until it is in the room.
fn recorder(url: &str, file: &Path, more: &[&str]) -> Program {
    let flags = ["record", "--json", "--reflector", url, "--to", text(file)];
    let mut recorder = teatime().start(&[&flags[..], more].concat());
    recorder.wait_for("recording");
    recorder
}

/// Ends it as a user does, by Ctrl-C.
fn stop(mut recorder: Program) -> Value {
    recorder.signal("INT");
    let recorded = recorder.wait_for("recorded");
    assert_eq!(recorder.exit_code(), Some(0));
    recorded
}

/// The hash of the state, on which all participants agree.
fn vote(chat: &mut Program, of: u64) -> Value {
    vote_with(chat, of, 0)
}

/// The same while some participants have gone but still count.
fn vote_with(chat: &mut Program, agreed: u64, gone: u64) -> Value {
    chat.say(&json!({ "do": "vote" }));
    let verdict = chat.wait_for("verdict");
    assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(agreed), &json!(agreed + gone)));
    chat.last("state").clone()
}

fn replay(arguments: &[&str]) -> (Value, String) {
    let (code, output, errors) = run(&[&["replay", "--json"], arguments].concat(), "");
    assert_eq!(code, Some(0), "{arguments:?}: {errors}");
    (serde_json::from_str(&output).expect("it is JSON"), errors)
}

/// A refusal: one line, with the reason.
fn assert_refused(arguments: &[&str], what: &str) {
    let (code, output, errors) = run(arguments, "");
    let one_line = (Some(1), "", 1);
    assert_eq!(
        (code, output.as_str(), errors.lines().count()),
        one_line,
        "{arguments:?}: {errors}"
    );
    assert!(errors.contains(what), "{arguments:?}: {errors}");
}

#[test]
fn a_recording_replays_to_the_state_that_all_had() {
    let directory = private_directory("recording-room");
    let file = directory.join("room.recording");
    let (_reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &["--password", "p"]);
    chat.post("before");
    chat.wait_for_line("before");
    let recorder = recorder(&url, &file, &["--password", "p"]);
    // Recording is visible: the recorder appears as a participant.
    chat.wait_for_participants(2);
    chat.post("tea?");
    chat.wait_for_line("tea?");
    let early = vote(&mut chat, 2);
    chat.post("coffee!");
    chat.wait_for_line("coffee!");
    let late = vote(&mut chat, 2);
    let recorded = stop(recorder);
    assert_eq!(recorded["files"], json!([text(&file)]));
    chat.wait_for_participants(1);
    let of = |state: &Value, value: &Value| {
        for key in ["hash", "seq", "time_us"] {
            assert_eq!(value[key], state[key], "{key}");
        }
    };
    for state in [&early, &late] {
        let (value, errors) = replay(&[text(&file), "--until", &state["seq"].to_string()]);
        of(state, &value);
        assert_eq!((&value["cut"], errors.as_str()), (&Value::Null, ""));
    }
    let at = format!("{}us", early["time_us"]);
    of(&early, &replay(&[text(&file), "--until", &at]).0);
    let (end, _) = replay(&[text(&file)]);
    assert_eq!((&end["seq"], &end["time_us"]), (&recorded["seq"], &recorded["time_us"]));
    assert_eq!((&end["seq"], &end["end_us"]), (&end["last_seq"], &end["time_us"]));
    let history = end["state"]["models"][0]["state"]["history"].to_string();
    assert!(history.contains("before") && history.contains("coffee!"), "{history}");
    assert_eq!(replay(&[text(&file), "--state", "time"]).0["state"], end["time_us"]);
    let (code, output, _) = run(&["replay", text(&file), "--state", "M1.history"], "");
    assert_eq!(code, Some(0));
    assert!(output.contains("\n  [0]: [") && output.contains("coffee!"), "{output}");
    assert!(output.contains(&format!("hash {}", end["hash"].as_str().expect("one"))), "{output}");
    let (_, output, _) = run(&["replay", text(&file), "--speed", "1e6", "--json"], "");
    let lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let posts = lines.iter().filter(|line| line["what"] == "input:newPost");
    assert!(posts.clone().count() >= 2 && posts.clone().all(|post| post["event"] == "input"));
    assert_eq!(lines.last(), Some(&end));
    let none = |arguments: &[&str], what| {
        assert_refused(&[&["replay", text(&file)], arguments].concat(), what);
    };
    none(&["--state", "M7"], "there is no \"M7\" in the state");
    none(&["--until", "1000000"], "its last event is");
    none(&["--until", "10h"], "it ends at");
    // If the join is refused there is nothing to record.
    let shut = directory.join("shut.recording");
    let to = ["record", "--reflector", &url, "--password", "q", "--to", text(&shut)];
    let (code, output, errors) = run(&to, "");
    assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("password") && !shut.exists(), "{errors}");
    // An existing file stays.
    let to = ["record", "--reflector", &url, "--to", text(&file)];
    assert_refused(&to, "exists");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600, "it is plain");
}

#[test]
fn the_recording_of_a_killed_recorder_is_complete_and_reported_as_cut_off() {
    let directory = private_directory("recording-killed");
    let file = directory.join("room.recording");
    let (_reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &[]);
    let mut recorder = recorder(&url, &file, &[]);
    chat.post("tea?");
    chat.wait_for_line("tea?");
    let state = vote(&mut chat, 2);
    recorder.signal("KILL");
    recorder.exit_code();
    let seq = state["seq"].to_string();
    let (value, errors) = replay(&[text(&file), "--until", &seq]);
    assert_eq!(value["hash"], state["hash"]);
    let cut = value["cut"].as_str().expect("it is told");
    assert!(cut.contains("its recorder was stopped") && errors.contains(cut), "{errors}");
    assert_refused(&["replay", text(&file), "--until", "1000"], "its recorder was stopped");
    // Cut at any byte, it is refused or a part of it replays.
    let bytes = fs::read(&file).expect("it is there");
    let whole = read(&file).expect("it is there").recording;
    let short = directory.join("short.recording");
    let mut usable = 0;
    for length in 0..bytes.len() {
        match Recording::decode_part(&bytes[..length]) {
            Ok((part, cut)) => {
                assert_eq!(part.inputs[..], whole.inputs[..part.inputs.len()]);
                assert!(cut.is_some());
                usable += 1;
            }
            Err(RecordingError::Damaged | RecordingError::Unknown | RecordingError::Short) => {}
            Err(error) => panic!("{length} bytes: {error}"),
        }
        if length % 97 == 0 {
            fs::write(&short, &bytes[..length]).expect("it can be written");
            let (code, _, errors) = run(&["replay", text(&short)], "");
            assert!(matches!(code, Some(0 | 1)) && errors.lines().count() == 1, "{errors}");
        }
    }
    assert!(usable > 100);
    for at in (0..bytes.len()).step_by(89) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        fs::write(&short, &flipped).expect("it can be written");
        let (code, output, errors) = run(&["replay", text(&short)], "");
        assert!(matches!(code, Some(0 | 1)) && errors.lines().count() == 1, "{at}: {errors}");
        assert!(
            code == Some(1) || errors.contains("damaged") || errors.contains("cut"),
            "{output}"
        );
    }
}

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
fn a_stored_room_replays_and_continues_as_another_room_from_any_point() {
    let data = private_directory("recording-store");
    let (mut server, url) = teatime().reflector_with(&data, &[]);
    let room = ["--name", "talk", "--password", "p"];
    let mut chat = teatime().chat(&url, &room);
    chat.post("tea?");
    chat.wait_for_line("tea?");
    let early = vote(&mut chat, 1);
    let said = texts(chat.last("history"));
    chat.post("coffee!");
    chat.wait_for_line("coffee!");
    let late = vote(&mut chat, 1);
    let dir = text(&data);
    let replays = || {
        for state in [&early, &late] {
            let seq = state["seq"].to_string();
            let (value, _) = replay(&[&[dir, "--until", &seq], &room[..]].concat());
            assert_eq!((&value["hash"], &value["time_us"]), (&state["hash"], &state["time_us"]));
            assert_eq!(value["session_id"], chat.last("joined")["session_id"]);
        }
    };
    // Also while the reflector runs, and without adding anything to its directory.
    replays();
    let itself = ["--into", dir, "--as", "beside"];
    assert_refused(&[&["branch", dir], &room[..], &itself].concat(), "in use: stop the reflector");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    replays();
    chat.signal("KILL");
    let with = |flags: &[&str], what| assert_refused(&[&["replay", dir], flags].concat(), what);
    with(&["--name", "talk"], "this session has a password");
    with(&["--name", "talk", "--password", "q"], "the password is wrong");
    with(&["--name", "walk", "--password", "p"], "there is no room \"walk\"");
    let inactivity = ["--inactivity", "7"];
    with(&[&room[..], &inactivity].concat(), "--inactivity 7");
    assert_refused(&["replay", text(&private_directory("recording-none"))], "there is no store");

    // A new room from the middle on, in another directory and with another password.
    let seq = early["seq"].to_string();
    let into = private_directory("recording-branch");
    let branch = |into: &Path| {
        let flags = ["--json", "--until", &seq, "--into", text(into), "--as", "other"];
        let flags = [&["branch", dir], &room[..], &flags, &["--new-password", "n"]].concat();
        run(&flags, "")
    };
    let (code, output, errors) = branch(&into);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&output).expect("it is JSON");
    assert_eq!((&told["seq"], &told["time_us"]), (&early["seq"], &early["time_us"]));
    assert_eq!(told["inactivity_seconds"], 1200);
    let itself = ["--into", text(&into), "--as", "talk"];
    assert_eq!(run(&[&["branch", dir], &room[..], &itself].concat(), "").0, Some(2));
    let (code, output, _) = branch(&into);
    let error: Value = serde_json::from_str(&output).expect("it is JSON");
    assert_eq!((code, &error["code"]), (Some(1), &json!("ROOM_EXISTS")));
    let why = error["message"].as_str().expect("it is a text");
    assert!(why.contains("room \"other\" exists already"), "{why}");
    let (mut server, url) = teatime().reflector_with(&into, &[]);
    let wrong = ["chat", "--plain", "--reflector", &url, "--name", "other", "--password", "p"];
    let (code, _, errors) = run(&wrong, "nobody hears this\n");
    assert!(code == Some(1) && errors.contains("password"), "{errors}");
    let room = ["--name", "other", "--password", "n"];
    let mut first = teatime().chat(&url, &room);
    assert_eq!(first.last("joined")["session_id"], told["session_id"]);
    assert_eq!(texts(first.last("history")), said);
    let mut second = teatime().chat(&url, &room);
    second.post("cake.");
    first.wait_for_line("cake.");
    let file = private_directory("recording-of-branch").join("room.recording");
    let recorder = recorder(&url, &file, &room);
    // The participants of the old room are in this one until the rejoin limit has passed.
    let state = vote_with(&mut first, 3, 1);
    assert!(state["seq"].as_u64() > early["seq"].as_u64());
    assert!(state["time_us"].as_u64() > early["time_us"].as_u64());
    stop(recorder);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let seq = state["seq"].to_string();
    // Now its log begins with a snapshot.
    let of_store = replay(&[&[text(&into), "--until", &seq], &room[..]].concat()).0;
    let of_recorder = replay(&[text(&file), "--until", &seq]).0;
    for (early, what) in [("1", "it begins after event"), ("0s", "it begins at")] {
        assert_refused(&["replay", text(&file), "--until", early], what);
    }
    for value in [of_store, of_recorder] {
        assert_eq!((&value["hash"], &value["from_seq"]), (&state["hash"], &early["seq"]));
    }
}

/// The default options of the chat.
fn options() -> Vec<u8> {
    let config = teatime_chat::config("room", &teatime_chat::ChatOptions::default());
    config.expect("nothing is wrong with it").options.to_vec()
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
    let kept = directory.join("kept");
    let (mut server, url) = teatime().reflector_with(&kept, &[]);
    drop(teatime().chat(&url, &["--password", "p"]));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let (_running, url) = reflector(&directory.join("in-use"));
    let (into, kept, in_use) = (path("into"), text(&kept), path("in-use"));
    let told = |arguments: &[&str], code: &str| {
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
        told(&["replay", &path(file)], code);
        told(&["branch", &path(file), "--into", &into, "--as", "new"], code);
    }
    told(&["replay", &path("right"), "--until", "3"], "NO_SUCH_POINT");
    told(&["replay", &path("right"), "--until", "1h"], "NO_SUCH_POINT");
    told(&["replay", &path("right"), "--state", "M9"], "NO_SUCH_PART");
    told(&["replay", kept, "--name", "lobby"], "WRONG_PASSWORD");
    told(&["replay", kept, "--name", "bar", "--password", "p"], "UNKNOWN_ROOM");
    told(&["replay", text(&private_directory("recording-json-none"))], "NO_STORE");
    told(&["branch", &path("right"), "--into", &in_use, "--as", "new"], "IN_USE");
    told(&["branch", &path("right"), "--into", &path("app"), "--as", "new"], "IO");
    let record = ["record", "--reflector", &url, "--to"];
    told(&[&record[..], &[&path("right")]].concat(), "IO");
    let _inside = teatime().chat(&url, &["--name", "shut", "--password", "p"]);
    let shut = [&path("shut"), "--name", "shut", "--password", "q"];
    told(&[&record[..], &shut].concat(), "WRONG_PASSWORD");
}

/// Only Unix has such names.
#[cfg(target_os = "linux")]
#[test]
fn file_names_that_are_not_unicode_are_shown_as_well_as_possible() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let directory = private_directory("recording-names");
    let name = |bytes: &[u8]| directory.join(OsStr::from_bytes(bytes));
    let app = App::builder::<teatime_chat::Chat>(teatime_chat::APP_ID).version(1).build();
    let head = Head::new(&app.expect("sound"), teatime::SessionId([1; 32]), &options());
    let until = (Time::from_micros(5_000_000), 0);
    let recording = Recording { head, base: None, from: 0, inputs: Vec::new(), until };
    fs::write(name(b"a\xff"), recording.encode()).expect("it can be written");
    let told = |arguments: &[&OsStr], field: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_teatime"));
        let done = command.args(arguments).arg("--json").output().expect("it is built");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {errors}");
        let line: Value = serde_json::from_slice(&done.stdout).expect("it is JSON");
        let told = line[field].as_str().expect("it is a text").to_owned();
        assert!(told.ends_with('\u{fffd}'), "{told}");
    };
    let (from, into) = (name(b"a\xff"), name(b"d\xff"));
    told(&["replay".as_ref(), from.as_os_str()], "file");
    let branch: [&OsStr; 2] = ["branch".as_ref(), from.as_os_str()];
    let as_new: [&OsStr; 4] =
        ["--into".as_ref(), into.as_os_str(), "--as".as_ref(), "new".as_ref()];
    told(&[&branch[..], &as_new].concat(), "into");
}

#[test]
fn a_recording_that_pretends_to_be_endless_can_be_interrupted() {
    let directory = private_directory("recording-ages");
    let file = directory.join("x.recording");
    let head = Head::new(&teatime_chat::app(), teatime::SessionId([1; 32]), &options());
    let end = Time::from_micros(1 << 62);
    let inputs = [Time::ZERO, end].map(|time| Input::new(time, &External::Marker)).to_vec();
    let until = (end, 2);
    let recording = Recording { head, base: None, from: 0, inputs, until };
    fs::write(&file, recording.encode()).expect("it can be written");
    let mut player = teatime().start(&["replay", text(&file), "--speed", "1", "--json"]);
    // Now it waits for the second event.
    player.wait_for("input");
    player.signal("INT");
    assert_ne!(player.exit_code(), Some(0));
}
