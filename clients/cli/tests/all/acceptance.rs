//! The promises that involve sockets, tested with real processes. Each test names its number in tests/PROMISES.md.

use crate::support;
use std::time::{Duration, Instant};

use crate::support::{teatime, texts};
use serde_json::{Value, json};
use teatime_tests::pace::assert_in_time;

#[test]
fn acceptance_1_same_name_password_and_options_or_another_session() {
    let (_reflector, url) = teatime().reflector(&[]);
    let id = |more: &[&str]| teatime().chat(&url, more).last("joined")["session_id"].clone();
    let same = id(&["--name", "a"]);
    assert_eq!(id(&["--name", "a"]), same);
    assert_ne!(id(&["--name", "b"]), same);
    assert_ne!(id(&["--name", "a", "--inactivity", "60"]), same);
}

#[test]
fn acceptance_1_a_wrong_password_leads_to_another_session_with_a_hint_and_no_participant_notices() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut owner = teatime().chat(&url, &["--name", "a", "--password", "right"]);
    for wrong in [&["--password", "wrong"][..], &[]] {
        let started = Instant::now();
        let mut intruder = teatime().chat(&url, &[&["--name", "a"], wrong].concat());
        // It comes before the view is there.
        let known = intruder.seen.iter().find(|value| value["event"] == "hint").cloned();
        let hint = known.unwrap_or_else(|| intruder.wait_for("hint"));
        assert_eq!(hint["code"], "OTHER_PASSWORD");
        assert!(hint["message"].as_str().is_some_and(|why| why.contains("check the password")));
        assert_in_time(started.elapsed(), Duration::from_secs(1));
        intruder.wait_for_participants(1);
        let id = |one: &crate::support::Program| one.last("joined")["session_id"].clone();
        assert_ne!(id(&intruder), id(&owner));
        assert_ne!(intruder.last("joined")["badge"], owner.last("joined")["badge"]);
    }
    let mut friend = teatime().chat(&url, &["--name", "a", "--password", "right"]);
    friend.post("hello");
    friend.wait_for_line("hello");
    owner.wait_for_line("hello");
    let most = owner.seen.iter().filter_map(|value| value["participants"].as_u64()).max();
    assert_eq!(most, Some(2));
    assert!(friend.seen.iter().all(|value| value["event"] != "hint"), "the room is not new");
}

#[test]
fn acceptance_2_opening_the_link_joins_the_same_session() {
    let (_reflector, url) = teatime().reflector(&[]);
    let more = ["--name", "Tea & cake/#1", "--password", "p w#ü", "--inactivity", "99"];
    let mut host = teatime().chat(&url, &more);
    let joined = host.last("joined").clone();
    let link = joined["link"].as_str().expect("a string");
    let mut guest = teatime().start(&["chat", "--json", link]);
    let there = guest.wait_for("joined");
    assert_eq!(there["session_id"], joined["session_id"]);
    assert_eq!(there["badge"], joined["badge"]);
    assert_eq!(there["link"], joined["link"]);
    host.wait_for_participants(2);
}

#[test]
fn acceptance_3_19_three_chat_and_a_late_joiner_sees_the_history_at_once() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut all: Vec<_> = (0..3).map(|_| teatime().chat(&url, &[])).collect();
    all.iter_mut().for_each(|one| drop(one.wait_for_participants(3)));
    for number in 0..30 {
        all[number % 3].post(&format!("post {number}"));
    }
    for number in 27..30 {
        all[number % 3].wait_for_text(&format!("post {number}"));
    }
    all[0].post("the end");
    let histories: Vec<_> = all.iter_mut().map(|one| one.wait_for_line("the end")).collect();
    assert!(histories.iter().all(|one| *one == histories[0]), "{histories:#?}");
    assert_eq!(histories[0].iter().filter(|line| line.contains(":</b> post ")).count(), 30);
    let late = teatime().chat(&url, &[]);
    assert_eq!(texts(late.last("history")), histories[0]);
    let histories_seen = late.seen.iter().filter(|value| value["event"] == "history").count();
    assert_eq!(histories_seen, 1);
}

#[test]
fn acceptance_11_41_every_process_has_a_view_id_of_its_own() {
    let (_reflector, url) = teatime().reflector(&[]);
    let ids: Vec<_> =
        (0..3).map(|_| teatime().chat(&url, &[]).last("joined")["view_id"].clone()).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert!(ids.iter().all(|id| id.as_str().is_some_and(|id| id.len() == 32)));
}

#[test]
fn acceptance_13_one_of_three_killed_leaves_two() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut all: Vec<_> = (0..3).map(|_| teatime().chat(&url, &[])).collect();
    all.iter_mut().for_each(|one| drop(one.wait_for_participants(3)));
    let mut victim = all.remove(1);
    victim.child.kill().expect("it is our child");
    let killed = Instant::now();
    all.iter_mut().for_each(|one| drop(one.wait_for_participants(2)));
    // The rejoin limit is ten seconds, the window 200 ms.
    assert_in_time(killed.elapsed(), Duration::from_secs(15));
}

#[test]
fn acceptance_5_leaving_is_seen_at_once_by_the_others() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut stays = teatime().chat(&url, &[]);
    let mut leaves = teatime().chat(&url, &[]);
    stays.wait_for_participants(2);
    leaves.say(&json!({ "do": "leave" }));
    let left = Instant::now();
    assert_eq!(leaves.exit_code(), Some(0));
    stays.wait_for_participants(1);
    assert_in_time(left.elapsed(), Duration::from_secs(3));
}

#[test]
fn acceptance_27_28_only_a_lone_participant_without_own_posts_resets() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut first = teatime().chat(&url, &[]);
    first.wait_for_line("chat reset for new participants</i>");
    first.post("mine");
    first.wait_for_line("mine");
    let second = teatime().chat(&url, &[]);
    // The second is not alone: the posts are there, and nothing is reset.
    assert_eq!(texts(second.last("history")).len(), 2);
    first.post("still here");
    assert_eq!(first.wait_for_line("still here").len(), 3);
    drop(second);
    first.end_input();
    assert_eq!(first.exit_code(), Some(0));
}

#[test]
fn acceptance_35_36_the_view_is_built_after_its_own_join_and_does_not_hear_of_it() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &[]);
    let joined = chat.last("joined").clone();
    assert!(joined["nickname"].as_str().is_some_and(|nick| !nick.is_empty()));
    assert_eq!(joined["participants"], 1);
    chat.post("x");
    chat.wait_for_line("x");
    let view_infos = chat.seen.iter().filter(|value| value["event"] == "view_info").count();
    // Exactly the one that is printed when the view has been built, and no refresh.
    assert_eq!(view_infos, 1);
}

#[test]
fn acceptance_26_only_exactly_reset_resets_in_plain_mode() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut watcher = teatime().chat(&url, &[]);
    watcher.post("before");
    watcher.wait_for_line("before");
    let input = "/reset \n/Reset\nlast\n";
    let (code, _, _) = support::run(&["chat", "--plain", "--reflector", &url], input);
    assert_eq!(code, Some(0));
    assert_eq!(watcher.wait_for_line("last").len(), 5);
    let (code, text, _) = support::run(&["chat", "--plain", "--reflector", &url], "/reset\n");
    assert_eq!(code, Some(0));
    assert!(text.ends_with("chat reset at user request\n"), "{text}");
    assert_eq!(watcher.wait_for_line("at user request</i>").len(), 1);
}

#[test]
fn acceptance_43_veteran_joiner_and_reader_have_one_hash() {
    let (_reflector, url) = teatime().reflector(&[]);
    let more = ["--password", "sesame"];
    let mut all = vec![teatime().chat(&url, &more)];
    for number in 0..50 {
        all[0].post(&format!("post {number}"));
    }
    all[0].wait_for_line("post 49");
    all.push(teatime().chat(&url, &more));
    all.push(teatime().chat(&url, &more));
    all.iter_mut().for_each(|one| drop(one.wait_for_participants(3)));
    all[1].say(&json!({ "do": "vote" }));
    let mut hashes = Vec::new();
    for one in &mut all {
        let state = one.wait_for("state");
        let verdict = one.wait_for("verdict");
        assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(3), &json!(3)));
        assert_eq!(verdict["hash"], state["hash"]);
        assert_eq!(verdict["seq"], state["seq"]);
        hashes.push((state["seq"].clone(), state["time_us"].clone(), state["hash"].clone()));
    }
    assert!(hashes.iter().all(|one| *one == hashes[0]), "{hashes:?}");
    assert_eq!(hashes[0].2.as_str().map(str::len), Some(64));
}

#[test]
fn bad_lines_give_errors_and_the_client_goes_on() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &[]);
    for bad in ["nonsense", "{}", "{\"do\":\"dance\"}", "[1]", "{\"do\":\"post\"}", ""] {
        chat.say_raw(bad);
        assert_eq!(chat.wait_for("error")["code"], "BAD_COMMAND", "{bad}");
    }
    chat.post(&"x".repeat(1024 * 1024));
    assert_eq!(chat.wait_for("error")["code"], "TOO_LARGE");
    chat.post("still here");
    let lines = chat.wait_for_line("still here");
    assert!(lines.iter().all(|line| line.len() < 1_000));
}

#[test]
fn everything_posted_before_the_end_of_input_arrives() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut watcher = teatime().chat(&url, &[]);
    let input: String = (0..90).map(|number| format!("line {number}\n")).collect();
    let (code, text, _) = support::run(&["chat", "--plain", "--reflector", &url], &input);
    assert_eq!(code, Some(0));
    assert!(text.contains("line 0\n") && text.ends_with("line 89\n"), "{text}");
    let lines = watcher.wait_for_line("line 89");
    assert_eq!(lines.iter().filter(|line| line.contains("line ")).count(), 90);
}

#[test]
fn a_client_finds_its_reflector_again_and_says_so() {
    let (mut reflector, url) = teatime().reflector(&[]);
    let address = url.trim_start_matches("ws://").to_owned();
    let mut chat = teatime().chat(&url, &[]);
    reflector.signal("TERM");
    assert_eq!(reflector.exit_code(), Some(0));
    chat.wait_until("reconnecting", |value| value["state"] == "reconnecting");
    let mut again = teatime().start(&["reflector", "--listen", &address, "--json"]);
    again.wait_for("listening");
    // This reflector stores nothing: the room starts from scratch, with a new view.
    chat.wait_for("joined");
    chat.post("back");
    chat.wait_for_line("back");
    let states: Vec<&Value> = chat.seen.iter().filter(|v| v["event"] == "connection").collect();
    assert_eq!(states[0]["state"], "reconnecting");
    assert_eq!(states[1]["state"], "live");
}

#[test]
fn without_a_reflector_it_says_so_keeps_trying_and_stops_on_a_signal() {
    let arguments = ["chat", "--json", "--reflector", "127.0.0.1:1"];
    let mut chat = teatime().start(&arguments);
    let error = chat.wait_for("error");
    assert_eq!(error["code"], "UNREACHABLE");
    chat.signal("INT");
    assert_eq!(chat.exit_code(), Some(0));
}
