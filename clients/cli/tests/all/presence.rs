//! Who is there after the participants, or the reflector, have gone in different ways.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::{Program, private_directory, teatime};
use serde_json::json;

/// A chat that is closed in order: the others see it exit at once.
fn leave(mut chat: Program) {
    chat.end_input();
    assert_eq!(chat.exit_code(), Some(0));
}

/// The number of participants that a newcomer sees first.
fn first_seen(url: &str) -> u64 {
    let newcomer = teatime().chat(url, &[]);
    let number = newcomer.last("view_info")["participants"].as_u64();
    number.expect("it is a number")
}

/// Three chats, of which all leave, or all but the last.
fn three(url: &str, last_leaves: bool) -> Option<Program> {
    let mut all: Vec<_> = (0..3).map(|_| teatime().chat(url, &[])).collect();
    all.iter_mut().for_each(|one| drop(one.wait_for_participants(3)));
    all[0].post("hello");
    let mut last = all.pop().expect("there are three");
    last.wait_for_line("hello");
    all.into_iter().for_each(leave);
    last.wait_for_participants(1);
    if last_leaves {
        leave(last);
        return None;
    }
    Some(last)
}

fn reflector(data: Option<&Path>, more: &[&str]) -> (Program, String) {
    match data {
        Some(data) => teatime().reflector_with(data, more),
        None => teatime().reflector(more),
    }
}

#[test]
fn participants_that_have_left_are_not_there_for_the_next() {
    let directory = private_directory("left");
    for data in [None, Some(directory.as_path())] {
        let (_reflector, url) = reflector(data, &[]);
        three(&url, true);
        assert_eq!(first_seen(&url), 1, "{data:?}");
    }
}

#[test]
fn participants_that_have_left_are_not_there_after_a_restart() {
    for signal in ["TERM", "KILL"] {
        let data = private_directory(&format!("left-{signal}"));
        let (mut before, url) = reflector(Some(&data), &[]);
        three(&url, true);
        before.signal(signal);
        before.exit_code();
        let (_after, url) = reflector(Some(&data), &[]);
        assert_eq!(first_seen(&url), 1, "{signal}");
    }
}

#[test]
fn a_participant_that_vanished_with_the_reflector_is_gone_after_the_rejoin_limit() {
    for signal in ["TERM", "KILL"] {
        let data = private_directory(&format!("vanished-{signal}"));
        let (mut before, url) = reflector(Some(&data), &["--rejoin-limit", "2s"]);
        let last = three(&url, false);
        // Both at the same time: the reflector does not see it go.
        before.signal(signal);
        before.exit_code();
        drop(last);
        let (_after, url) = reflector(Some(&data), &["--rejoin-limit", "2s"]);
        let mut newcomer = teatime().chat(&url, &[]);
        newcomer.wait_for_participants(1);
        newcomer.wait_for_text("hello");
    }
}

/// Ends the process when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn participants_of_a_session_that_left_memory_are_gone() {
    let data = private_directory("unloaded");
    let flags = ["reflector", "--json", "--listen", "127.0.0.1:0", "--rejoin-limit", "1s"];
    let more = ["--idle-time", "1s", "--data", data.to_str().expect("UTF-8")];
    let mut command = teatime().command(&[&flags[..], &more].concat());
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reflector = Running(command.spawn().expect("it is built"));
    let mut listening = String::new();
    let mut output = BufReader::new(reflector.0.stdout.take().expect("it is piped"));
    output.read_line(&mut listening).expect("it prints its address");
    let listening: serde_json::Value = serde_json::from_str(&listening).expect("it is JSON");
    let url = listening["url"].as_str().expect("a string");
    // Without a goodbye.
    drop(three(url, false));
    let log = BufReader::new(reflector.0.stderr.take().expect("it is piped"));
    let mut log = log.lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("an idle session leaves memory")));
    assert_eq!(first_seen(url), 1);
}

#[test]
fn the_others_see_who_is_typing_until_the_post_comes_or_the_user_stops() {
    for password in [&[][..], &["--password", "two sugars"]] {
        let (_reflector, url) = teatime().reflector(&[]);
        let (mut ada, mut bo) = (teatime().chat(&url, password), teatime().chat(&url, password));
        bo.wait_for_participants(2);
        let name = ada.last("view_info")["nickname"].as_str().expect("a name").to_owned();
        ada.say(&json!({ "do": "typing" }));
        bo.wait_for_typing(&[&name]);
        ada.post("hello");
        bo.wait_for_typing(&[]);
        ada.say(&json!({ "do": "typing" }));
        bo.wait_for_typing(&[&name]);
        // After some seconds without another key.
        bo.wait_for_typing(&[]);
    }
}
