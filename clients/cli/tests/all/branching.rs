//! Replaying the session of a directory, and continuing it as another room, with real programs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::recordings::{assert_refused, recorder, replay, stop, text, vote, vote_with};
use crate::support::{Program, private_directory, run, teatime, texts};

/// The flags that name the room.
const ROOM: [&str; 4] = ["--name", "talk", "--password", "p"];

/// A room in the directory of a running reflector, with one participant.
struct Talk {
    data: PathBuf,
    server: Program,
    chat: Program,
    /// The state after the first post, and after the second one.
    early: Value,
    late: Value,
    /// The history after the first post.
    said: Vec<String>,
}

impl Talk {
    fn new(name: &str) -> Self {
        let data = private_directory(name);
        let (server, url) = teatime().reflector_with(&data, &[]);
        let mut chat = teatime().chat(&url, &ROOM);
        chat.post("tea?");
        chat.wait_for_line("tea?");
        let early = vote(&mut chat, 1);
        let said = texts(chat.last("history"));
        chat.post("coffee!");
        chat.wait_for_line("coffee!");
        let late = vote(&mut chat, 1);
        Self { data, server, chat, early, late, said }
    }

    /// Replays the room from the directory, up to both states.
    fn assert_replays(&self) {
        for state in [&self.early, &self.late] {
            let seq = state["seq"].to_string();
            let arguments = [&[text(&self.data), "--until", &seq], &ROOM[..]].concat();
            let (value, _) = replay(&arguments);
            assert_eq!((&value["hash"], &value["time_us"]), (&state["hash"], &state["time_us"]));
            assert_eq!(value["session_id"], self.chat.last("joined")["session_id"]);
        }
    }

    fn stop_server(&mut self) {
        self.server.signal("TERM");
        assert_eq!(self.server.exit_code(), Some(0));
    }

    /// Branches the room from the early state, and gives the exit status and both outputs.
    fn branch(&self, into: &Path) -> (Option<i32>, String, String) {
        let seq = self.early["seq"].to_string();
        let flags = ["--json", "--until", &seq, "--into", text(into), "--as", "other"];
        let password = ["--new-password", "n"];
        run(&[&["branch", text(&self.data)], &ROOM[..], &flags, &password].concat(), "")
    }
}

#[test]
fn a_stored_room_replays_also_while_its_reflector_runs() {
    let mut talk = Talk::new("recording-store");
    // Without adding anything to the directory.
    talk.assert_replays();
    let data = talk.data.clone();
    let dir = text(&data);
    let itself = ["--into", dir, "--as", "beside"];
    assert_refused(&[&["branch", dir], &ROOM[..], &itself].concat(), "in use: stop the reflector");
    talk.stop_server();
    talk.assert_replays();
    talk.chat.signal("KILL");
    let with = |flags: &[&str], what| assert_refused(&[&["replay", dir], flags].concat(), what);
    // Another password leads to another room.
    with(&["--name", "talk"], "no password");
    with(&["--name", "talk", "--password", "q"], "this password");
    with(&["--name", "walk", "--password", "p"], "no room \"walk\"");
    with(&[&ROOM[..], &["--inactivity", "7"]].concat(), "--inactivity 7");
    assert_refused(&["replay", text(&private_directory("recording-none"))], "no store found");
}

#[test]
fn a_stored_room_continues_as_another_room_from_any_point() {
    let mut talk = Talk::new("recording-branched");
    talk.stop_server();
    talk.chat.signal("KILL");
    let data = talk.data.clone();
    // A new room from the middle on, in another directory and with another password.
    let into = private_directory("recording-branch");
    let (code, output, errors) = talk.branch(&into);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let branch: Value = serde_json::from_str(&output).expect("it is JSON");
    let early = &talk.early;
    assert_eq!((&branch["seq"], &branch["time_us"]), (&early["seq"], &early["time_us"]));
    assert_eq!(branch["inactivity_seconds"], 1200);
    let itself = ["--into", text(&into), "--as", "talk", "--new-password", "p"];
    assert_eq!(run(&[&["branch", text(&data)], &ROOM[..], &itself].concat(), "").0, Some(2));
    let (code, output, _) = talk.branch(&into);
    let error: Value = serde_json::from_str(&output).expect("it is JSON");
    assert_eq!((code, &error["code"]), (Some(1), &json!("ROOM_EXISTS")));
    let why = error["message"].as_str().expect("it is a text");
    assert!(why.contains("room \"other\" exists already"), "{why}");
    chat_in_the_branch(&talk, &into, &branch);
}

/// The branch is a room as any other: it can be joined, recorded, stored and replayed.
fn chat_in_the_branch(talk: &Talk, into: &Path, branch: &Value) {
    let early = &talk.early;
    let (mut server, url) = teatime().reflector_with(into, &[]);
    let wrong = ["chat", "--plain", "--reflector", &url, "--name", "other", "--password", "p"];
    let (code, _, errors) = run(&wrong, "a post\n");
    assert!(code == Some(0) && errors.contains("check the password"), "{errors}");
    let room = ["--name", "other", "--password", "n"];
    let mut first = teatime().chat(&url, &room);
    assert_eq!(first.last("joined")["session_id"], branch["session_id"]);
    assert_eq!(texts(first.last("history")), talk.said);
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
    let of_store = replay(&[&[text(into), "--until", &seq], &room[..]].concat()).0;
    let of_recorder = replay(&[text(&file), "--until", &seq]).0;
    for (early, what) in [("1", "it begins after event"), ("0s", "it begins at")] {
        assert_refused(&["replay", text(&file), "--until", early], what);
    }
    for value in [of_store, of_recorder] {
        assert_eq!((&value["hash"], &value["from_seq"]), (&state["hash"], &early["seq"]));
    }
}
