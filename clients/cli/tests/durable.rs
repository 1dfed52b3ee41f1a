//! Sessions that outlive their reflector: killed under load, stopped, started again.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Program, Start, private_directory, run, texts};

/// How often the reflector is killed.
fn kills() -> u64 {
    std::env::var("TEATIME_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

/// A reflector that keeps its sessions, and where it listens; the second time at the same place.
fn reflector(data: &Path, listen: &str, more: &[&str]) -> (Program, String) {
    let data = data.to_str().expect("UTF-8");
    let flags = ["reflector", "--json", "--listen", listen, "--data", data];
    let mut reflector = Program::start(&[&flags[..], more].concat());
    let url = reflector.wait_for("listening")["url"].as_str().expect("a string").to_owned();
    (reflector, url.trim_start_matches("ws://").to_owned())
}

/// The numbers of one client's posts as they stand in a history.
fn numbers(history: &[String], client: usize) -> Vec<u64> {
    let mark = format!("> client {client} says ");
    let number = |line: &String| line.split_once(&mark)?.1.parse().ok();
    history.iter().filter_map(number).collect()
}

fn assert_unanimous(clients: &mut [Program]) {
    let number = clients.len();
    clients[0].say(&json!({ "do": "vote" }));
    for client in clients {
        let verdict = client.wait_for("verdict");
        assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(number), &json!(number)));
    }
}

/// What everybody has seen is there, everybody's posts are there once and in order, and nobody has seen
/// anybody go.
fn killed_under_load(durability: &str, kills: u64) {
    let data = private_directory(&format!("killed-{durability}"));
    let durability = ["--durability", durability];
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &durability);
    let url = format!("ws://{address}");
    let mut clients: Vec<_> = (0..3).map(|_| Program::chat(&url, &["--password", "p"])).collect();
    clients.iter_mut().for_each(|client| drop(client.wait_for_participants(3)));
    let first_view_id = clients[0].last("joined")["view_id"].clone();
    let mut said = 0;
    for kill in 0..kills {
        let seen: Vec<_> = clients.iter().map(|client| client.seen.len()).collect();
        for _ in 0..8 {
            said += 1;
            for (at, client) in clients.iter_mut().enumerate() {
                client.post(&format!("client {at} says {said}"));
            }
        }
        // Somewhere in the middle of it.
        let at = usize::try_from(kill % 3).expect("it is small");
        clients[at].wait_for_text(&format!("client {at} says {}", said - kill % 8));
        server.signal("KILL");
        server.exit_code();
        (server, _) = reflector(&data, &address, &durability);
        for (at, client) in clients.iter_mut().enumerate() {
            client.wait_until("line again", |line| line["state"] == "live");
            client.wait_for_text(&format!("client {at} says {said}"));
        }
        for at in 0..3 {
            clients[at].wait_for_text(&format!("client {} says {said}", (at + 1) % 3));
            clients[at].wait_for_text(&format!("client {} says {said}", (at + 2) % 3));
            let gone = |line: &&Value| line["event"] == "view_info" && line["participants"] != 3;
            assert_eq!(clients[at].seen[seen[at]..].iter().find(gone), None, "kill {kill}");
        }
        let history = texts(clients[0].last("history"));
        for at in 0..3 {
            let numbers = numbers(&history, at);
            let expected: Vec<_> = (said + 1 - numbers.len() as u64..=said).collect();
            assert_eq!(numbers, expected, "kill {kill}: posts of client {at}");
        }
    }
    assert_unanimous(&mut clients);
    let mut late = Program::chat(&url, &["--password", "p"]);
    assert_eq!(texts(late.last("history")), texts(clients[0].last("history")));
    assert_eq!(late.wait_for_participants(4)["participants"], 4);
    assert_eq!(clients[0].last("joined")["view_id"], first_view_id);
    clients.push(late);
    assert_unanimous(&mut clients);
}

#[test]
fn a_reflector_that_is_killed_under_load_goes_on_where_it_was() {
    killed_under_load("process", kills());
}

#[test]
fn a_reflector_that_survives_power_cuts_survives_being_killed_too() {
    killed_under_load("power", kills() / 4);
}

#[test]
fn a_session_goes_on_after_everybody_and_the_reflector_had_gone() {
    let data = private_directory("stopped");
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let url = format!("ws://{address}");
    let mut first = Program::chat(&url, &[]);
    first.post("before");
    first.wait_for_line("before");
    let said = texts(first.last("history"));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    first.end_input();
    first.signal("KILL");
    let (_server, _) = reflector(&data, &address, &[]);
    // He is not alone until the other one's exit, which the new reflector will order.
    let second = Program::chat(&url, &[]);
    assert_eq!(texts(second.last("history")), said);
    assert_eq!(second.last("joined")["session_id"], first.last("joined")["session_id"]);
}

fn segment(data: &Path) -> PathBuf {
    let log = fs::read_dir(data.join("log")).expect("there is a log");
    log.flatten().map(|entry| entry.path()).max().expect("it has a segment")
}

#[test]
fn a_store_that_is_in_use_or_damaged_is_refused() {
    let data = private_directory("refused");
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let path = data.to_str().expect("UTF-8");
    let flags = ["reflector", "--listen", "127.0.0.1:0", "--data", path];
    let (code, _, errors) = run(&flags, "");
    assert_eq!((code, errors.contains("in use")), (Some(1), true), "{errors}");
    let mut chat = Program::chat(&format!("ws://{address}"), &[]);
    for number in 0..20 {
        chat.post(&number.to_string());
        chat.wait_for_line(&number.to_string());
    }
    chat.say(&json!({ "do": "leave" }));
    assert_eq!(chat.exit_code(), Some(0));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let file = segment(&data);
    let mut bytes = fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("it can be written");
    let (code, _, errors) = run(&flags, "");
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(".seg is corrupt at byte"), "{errors}");
    let (code, _, errors) = run(&["reflector", "--data", "/proc/nowhere"], "");
    assert_eq!((code, errors.contains("/proc/nowhere")), (Some(1), true), "{errors}");
    let (code, _, errors) = run(&["reflector", "--durability", "power"], "");
    assert_eq!(code, Some(2), "{errors}");
}
