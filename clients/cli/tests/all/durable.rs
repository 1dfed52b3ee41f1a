//! Sessions that outlive their reflector: killed under load, stopped, started again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Program, private_directory, run, teatime, texts};
use serde_json::{Value, json};

/// How often the reflector is killed.
fn kills() -> u64 {
    std::env::var("TEATIME_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

/// Starts a reflector that stores in `data` and listens at `listen`, and returns its address without the scheme.
fn reflector(data: &Path, listen: &str, more: &[&str]) -> (Program, String) {
    let data = ["--data", data.to_str().expect("UTF-8")];
    let (reflector, url) = teatime().reflector_at(listen, &[&data[..], more].concat());
    (reflector, url.trim_start_matches("ws://").to_owned())
}

/// The numbers of one client's posts in a history.
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

/// Everything that a client has seen is there, all posts are there once and in order, and no client has seen another one
/// exit.
fn killed_under_load(durability: &str, kills: u64) {
    let data = private_directory(&format!("killed-{durability}"));
    let durability = ["--durability", durability];
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &durability);
    let url = format!("ws://{address}");
    let mut clients: Vec<_> = (0..3).map(|_| teatime().chat(&url, &["--password", "p"])).collect();
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
        // In the middle of the posts.
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
    let mut late = teatime().chat(&url, &["--password", "p"]);
    assert_eq!(texts(late.last("history")), texts(clients[0].last("history")));
    assert_eq!(late.wait_for_participants(4)["participants"], 4);
    assert_eq!(clients[0].last("joined")["view_id"], first_view_id);
    clients.push(late);
    assert_unanimous(&mut clients);
}

#[test]
fn a_reflector_killed_under_load_continues_where_it_was() {
    killed_under_load("process", kills());
}

#[test]
fn a_reflector_that_survives_power_cuts_survives_being_killed_too() {
    killed_under_load("power", kills() / 4);
}

#[test]
fn a_session_continues_after_all_clients_and_the_reflector_had_gone() {
    let data = private_directory("stopped");
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let url = format!("ws://{address}");
    let mut first = teatime().chat(&url, &[]);
    first.post("before");
    first.wait_for_line("before");
    let said = texts(first.last("history"));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    first.end_input();
    first.signal("KILL");
    let (_server, _) = reflector(&data, &address, &[]);
    // The newcomer is not alone before the other one's exit, which the new reflector orders.
    let second = teatime().chat(&url, &[]);
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
    let mut chat = teatime().chat(&format!("ws://{address}"), &[]);
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
    let rest = private_directory("salvaged");
    let into = rest.to_str().expect("UTF-8");
    let (code, outcomes, errors) = run(&["store", "salvage", path, "--into", into], "");
    assert_eq!(code, Some(0), "{errors}");
    let outcomes: Vec<Value> =
        outcomes.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((outcomes.len(), &outcomes[0]["outcome"]), (2, &json!("cut_off")), "{outcomes:?}");
    assert!(outcomes[1]["damages"][0].as_str().is_some_and(|damage| damage.contains("is corrupt")));
    let (_server, address) = reflector(&rest, "127.0.0.1:0", &[]);
    let mut chat = teatime().chat(&format!("ws://{address}"), &[]);
    assert_eq!(chat.last("joined")["session_id"], outcomes[0]["session_id"]);
    chat.wait_for_text("3");
    let (code, _, errors) = run(&["reflector", "--data", "/proc/nowhere"], "");
    assert_eq!((code, errors.contains("/proc/nowhere")), (Some(1), true), "{errors}");
    let (code, _, errors) = run(&["reflector", "--durability", "power"], "");
    assert_eq!(code, Some(2), "{errors}");
}

/// The directory of the reflector is a small disk of its own. Its clients learn that it is full, and lose nothing.
#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let data = private_directory("full");
    let path = data.to_str().expect("UTF-8");
    let mut command = std::process::Command::new("unshare");
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$1\" && exec \"$2\" reflector --json \
                 --listen 127.0.0.1:0 --data \"$1/store\"";
    command.args(["--mount", "sh", "-c", mount, "sh", path, env!("CARGO_BIN_EXE_teatime")]);
    let mut server = Program::spawn(&mut command);
    let Some(line) = server.next_line() else {
        // Only root may mount.
        assert!(std::env::var_os("CI").is_none(), "nothing can be mounted here");
        eprintln!("skipped: nothing can be mounted here");
        return;
    };
    let listening: Value = serde_json::from_str(&line).expect("JSON");
    let url = listening["url"].as_str().expect("a string").to_owned();
    // The disk is mounted for the reflector only: this is the way in from outside.
    let inside = PathBuf::from(format!("/proc/{}/root{path}", server.child.id()));
    let filler = inside.join("filler");
    fs::write(&filler, vec![0; 512 * 1024]).expect("it fits");
    let mut chat = teatime().chat(&url, &[]);
    chat.post("before");
    chat.wait_for_line("before");
    for _ in 0..20 {
        chat.post(&"x".repeat(40_000));
    }
    chat.post("after");
    assert_eq!(chat.wait_for("error")["code"], "NOT_STORED");
    assert_eq!(chat.wait_for("connection")["state"], "reconnecting");
    fs::remove_file(filler).expect("it goes");
    assert_eq!(chat.wait_for("connection")["state"], "live");
    let said = chat.wait_for_line("after");
    assert_eq!(said.iter().filter(|line| line.len() > 40_000).count(), 20);
    assert!(said.iter().any(|line| line.ends_with("before")));
}

#[test]
fn a_session_moves_to_another_store() {
    let (data, other) = (private_directory("from"), private_directory("to"));
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let mut chat = teatime().chat(&format!("ws://{address}"), &["--name", "moving"]);
    chat.post("taken along");
    let said = chat.wait_for_line("taken along");
    let session = chat.last("joined")["session_id"].as_str().expect("a string").to_owned();
    chat.end_input();
    chat.exit_code();
    server.signal("TERM");
    server.exit_code();
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let file = path(&other.join("session.teatime"));
    let store = |arguments: &[&str]| run(&[&["store"], arguments].concat(), "");
    let (code, found, errors) = store(&["check", &path(&data)]);
    let found: Value = serde_json::from_str(&found).expect(&errors);
    assert_eq!((code, &found["sessions"], &found["problem"]), (Some(0), &json!(1), &Value::Null));
    let (code, listed, _) = store(&["list", &path(&data)]);
    let listed: Value = serde_json::from_str(&listed).expect("one session");
    assert_eq!((code, listed["session_id"].as_str()), (Some(0), Some(session.as_str())));
    assert_eq!(store(&["export", &path(&data), &session, &file]).0, Some(0));
    let to = other.join("store");
    let (mut empty, _) = reflector(&to, "127.0.0.1:0", &[]);
    let (code, _, errors) = store(&["import", &path(&to), &file]);
    assert_eq!((code, errors.contains("in use")), (Some(1), true), "{errors}");
    empty.signal("TERM");
    empty.exit_code();
    assert_eq!(store(&["import", &path(&to), &file]).0, Some(0));
    let (code, _, errors) = store(&["import", &path(&to), &file]);
    assert_eq!((code, errors.contains("already")), (Some(1), true), "{errors}");
    let (_server, address) = reflector(&to, "127.0.0.1:0", &[]);
    // The reflector ended before it ordered the first one's exit: the newcomer is not alone yet.
    let guest = teatime().chat(&format!("ws://{address}"), &["--name", "moving"]);
    assert_eq!(guest.last("joined")["session_id"].as_str(), Some(session.as_str()));
    assert_eq!(texts(guest.last("history")), said);
    let room = [session.as_str(), session.as_str()].join("/");
    let (code, _, errors) = store(&["records", &path(&to), &room]);
    assert_eq!((code, errors.contains("no such")), (Some(1), true), "{errors}");
    for wrong in [
        &["export", "x", "12", "y"][..],
        &["list"],
        &["dance"],
        &["records", "x", "lobby"],
        &["remove-record", "x", &room],
    ] {
        assert_eq!(store(wrong).0, Some(2), "{wrong:?}");
    }
    assert_eq!(store(&["list", "/nowhere"]).0, Some(1));
}

/// A chat that has posted until a snapshot was due.
fn chat_with_a_snapshot(url: &str) -> Program {
    let mut chat = teatime().chat(url, &[]);
    for number in 0..30 {
        chat.post(&format!("{number} {}", "x".repeat(40_000)));
    }
    chat.post("the last one");
    chat.wait_for_line("the last one");
    chat
}

#[test]
fn a_session_is_rolled_back_to_what_its_snapshot_has_replaced() {
    let data = private_directory("rolled-back");
    let path = data.to_str().expect("UTF-8");
    let (mut server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let url = format!("ws://{address}");
    let mut chat = chat_with_a_snapshot(&url);
    let session = chat.last("joined")["session_id"].as_str().expect("a string").to_owned();
    // A guest loads it, and the history stays all the same.
    let mut guest = teatime().chat(&url, &[]);
    guest.wait_for_text("the last one");
    let store = |arguments: &[&str]| {
        let (code, line, errors) = run(&[&["store"], arguments].concat(), "");
        let line = serde_json::from_str::<Value>(&line).unwrap_or_default();
        (code, line, errors)
    };
    let refused = store(&["rollback", path, &session]);
    assert_eq!((refused.0, refused.2.contains("in use")), (Some(1), true), "{refused:?}");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    // They have not left, so the chat that comes later is not alone, and shows what was said.
    for participant in [&mut chat, &mut guest] {
        participant.end_input();
        participant.signal("KILL");
    }
    let listed = store(&["list", path]).1;
    assert_eq!((&listed["rollback_seq"], &listed["session_id"]), (&json!(0), &json!(session)));
    assert_eq!(store(&["check", path]).1["histories"], 1);
    let planned = store(&["rollback", path, &session, "--dry-run"]);
    let plan = &planned.1;
    assert_eq!((planned.0, &plan["to_seq"], &plan["dry_run"]), (Some(0), &json!(0), &json!(true)));
    assert!(plan["lost_snapshot_seq"].as_u64() > Some(20), "{plan}");
    assert_eq!(plan["lost_events"], 0);
    assert_eq!(store(&["list", path]).1, listed, "nothing has changed");
    let (code, done, _) = store(&["rollback", path, &session]);
    assert_eq!((code, &done["seq"], &done["dry_run"]), (Some(0), &plan["seq"], &json!(false)));
    let listed = store(&["list", path]).1;
    assert_eq!((&listed["rollback_seq"], &listed["seq"]), (&Value::Null, &plan["seq"]));
    assert!(listed["events"].as_u64() > Some(30), "{listed}");
    let again = store(&["rollback", path, &session]);
    assert_eq!((again.0, again.2.contains("no previous history")), (Some(1), true), "{again:?}");
    assert_eq!(store(&["rollback", path, "room"]).0, Some(2));
    let (_server, address) = reflector(&data, "127.0.0.1:0", &[]);
    let mut owner = teatime().chat(&format!("ws://{address}"), &[]);
    owner.wait_for_text("the last one");
    owner.post("goes on");
    let lines = owner.wait_for_line("goes on");
    assert_eq!(lines.iter().filter(|line| line.len() > 40_000).count(), 30);
}
