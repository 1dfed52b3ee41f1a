//! Recording and replaying sessions, with real programs.

use std::fs;

use serde_json::{Value, json};
use teatime::recording::{Head, Input, Recording, RecordingError, read};
use teatime::{App, External, Time};

use crate::support::recordings::{assert_refused, options, recorder, replay, stop, text, vote};
use crate::support::{private_directory, run, teatime};

#[test]
fn a_recording_replays_to_the_state_that_all_had() {
    let directory = private_directory("recording-room");
    let file = directory.join("room.recording");
    let (_reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &["--password", "p"]);
    chat.post("before");
    chat.wait_for_line("before");
    let recording = recorder(&url, &file, &["--password", "p"]);
    // Recording is visible: the recorder appears as a participant.
    chat.wait_for_participants(2);
    chat.post("tea?");
    chat.wait_for_line("tea?");
    let early = vote(&mut chat, 2);
    chat.post("coffee!");
    chat.wait_for_line("coffee!");
    let late = vote(&mut chat, 2);
    let recorded = stop(recording);
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
    none(&["--state", "M7"], "the state has no \"M7\"");
    none(&["--until", "1000000"], "its last event is");
    none(&["--until", "10h"], "it ends at");
    // Another password leads to another room. Who may have mistyped it hears so.
    let other = directory.join("other.recording");
    let mut mistaken = recorder(&url, &other, &["--password", "q"]);
    let known = mistaken.seen.iter().find(|value| value["event"] == "hint").cloned();
    let hint = known.unwrap_or_else(|| mistaken.wait_for("hint"));
    assert_eq!(hint["code"], "OTHER_PASSWORD");
    stop(mistaken);
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
    let cut = value["cut"].as_str().expect("it is a text");
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
    let assert_shown = |arguments: &[&OsStr], field: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_teatime"));
        let done = command.args(arguments).arg("--json").output().expect("it is built");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {errors}");
        let line: Value = serde_json::from_slice(&done.stdout).expect("it is JSON");
        let shown = line[field].as_str().expect("it is a text").to_owned();
        assert!(shown.ends_with('\u{fffd}'), "{shown}");
    };
    let (from, into) = (name(b"a\xff"), name(b"d\xff"));
    assert_shown(&["replay".as_ref(), from.as_os_str()], "file");
    let branch: [&OsStr; 2] = ["branch".as_ref(), from.as_os_str()];
    let as_new: [&OsStr; 4] =
        ["--into".as_ref(), into.as_os_str(), "--as".as_ref(), "new".as_ref()];
    assert_shown(&[&branch[..], &as_new].concat(), "into");
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
