//! Operating a reflector: stopping it under load, a read-only directory, deleting old sessions.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::socket::{Heard, Socket};
use crate::support::{Program, listening, private_directory, run, teatime};
use serde_json::{Value, json};
use teatime::server::{Server, ServerConfig, SharedStorage};
use teatime_store::{Config, Durability, Key, MemoryDisk, MemoryStore, Shared};
use teatime_tests::pace::PATIENCE;
use teatime_wire::{CloseReason, Digest, Room, SessionId};

/// Posts until the reflector closes the connection. Returns the events that the client has seen, and the reason.
async fn post_until_closed(url: &str, view: u8) -> (Vec<(u64, Vec<u8>)>, Option<CloseReason>) {
    let mut socket = Socket::join(url, 1, view).await;
    socket.wait_for(|heard| matches!(heard, Heard::Welcome(_)).then_some(())).await;
    let mut seen = Vec::new();
    let mut number = 0u32;
    // As many as may be under way, then one for each that comes back.
    for _ in 0..200 {
        number += 1;
        assert!(socket.post(&number.to_le_bytes()).await);
    }
    loop {
        match socket.hear().await {
            Heard::Event(seq, payload) => {
                seen.push((seq, payload));
                number += 1;
                // An event under way when the connection ends may be lost.
                let _ = socket.post(&number.to_le_bytes()).await;
            }
            Heard::Closed(reason, _) => return (seen, reason),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_stopping_reflector_closes_all_connections_and_has_stored_what_clients_saw() {
    for durability in ["process", "power"] {
        let data = private_directory(&format!("stopped-under-load-{durability}"));
        let (mut server, url) = teatime().reflector_with(&data, &["--durability", durability]);
        let mut watcher = Socket::join(&url, 1, 99).await;
        let stop = async {
            let mut events = 0;
            while events < 100 {
                events += u32::from(matches!(watcher.hear().await, Heard::Event(..)));
            }
            server.signal("TERM");
            let closed = watcher.wait_for(|heard| match heard {
                Heard::Closed(reason, _) => Some(*reason),
                _ => None,
            });
            closed.await
        };
        let posts = async {
            tokio::join!(
                post_until_closed(&url, 1),
                post_until_closed(&url, 2),
                post_until_closed(&url, 3)
            )
        };
        let (closed, posts) = tokio::join!(stop, posts);
        assert_eq!(closed, Some(CloseReason::GoingAway));
        assert_eq!(server.exit_code(), Some(0));
        let (_server, url) = teatime().reflector_with(&data, &["--durability", durability]);
        let mut late = Socket::join(&url, 1, 50).await;
        let newest = late.wait_for(|heard| match heard {
            Heard::Welcome(seq) => Some(*seq),
            _ => None,
        });
        let newest = newest.await;
        let mut log = std::collections::BTreeMap::new();
        while log.last_key_value().is_none_or(|(seq, _)| *seq < newest) {
            if let Heard::Event(seq, payload) = late.hear().await {
                log.insert(seq, payload);
            }
        }
        for (seen, reason) in [posts.0, posts.1, posts.2] {
            assert_eq!(reason, Some(CloseReason::GoingAway));
            assert!(seen.len() > 20, "there was hardly any load: {}", seen.len());
            for (seq, payload) in seen {
                assert_eq!(log.get(&seq), Some(&payload), "{durability}: event {seq}");
            }
        }
    }
}

#[tokio::test]
async fn the_time_is_stored_at_once_when_the_last_participant_leaves() {
    let config = Config { durability: Durability::Process, ..Config::default() };
    let store = MemoryStore::open(MemoryDisk::default(), config).expect("a new store");
    let shared = Shared::new(store);
    let storage = Some(SharedStorage::new(shared.clone()));
    let config = ServerConfig { storage, ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let mut socket = Socket::join(&server.url(), 1, 1).await;
    socket.wait_for(|heard| matches!(heard, Heard::Welcome(_)).then_some(())).await;
    // A session without events is not stored.
    assert!(socket.post(b"stored").await);
    socket.wait_for(|heard| matches!(heard, Heard::Event(..)).then_some(())).await;
    let times = || {
        let key =
            Key::Session(SessionId::of(Room::new(Digest([1; 32]), None, 1).id, 1, Digest([1; 32])));
        let stored = shared.store().load(key).expect("readable").expect("it has begun");
        stored.records.iter().filter(|record| record.kind as u8 == 1).count()
    };
    // Within the window of the exit. Later nothing happens, because the session has no second participant.
    let stored = times();
    drop(socket);
    let in_time = Instant::now() + Duration::from_millis(900);
    while times() <= stored {
        assert!(Instant::now() < in_time, "nothing was committed");
        tokio::task::yield_now().await;
    }
}

/// Whether this process may become another user.
fn may_become_another_user() -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let may = command.arg(env!("CARGO_BIN_EXE_teatime")).arg("--version").output();
    let may = may.is_ok_and(|output| output.status.success());
    if !may {
        // Only root may.
        assert!(std::env::var_os("CI").is_none(), "another user cannot run the program");
        eprintln!("skipped: another user cannot run the program");
    }
    may
}

fn as_another_user(data: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(env!("CARGO_BIN_EXE_teatime"));
    command.args(["reflector", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}

#[cfg(unix)]
fn give(path: &Path, owner: u32) {
    std::os::unix::fs::chown(path, Some(owner), Some(owner)).expect("root may");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_refused_with_a_reason_and_works_once_it_is_writable() {
    let outside = private_directory("forbidden");
    let data = outside.join("store");
    if !may_become_another_user() {
        return;
    }
    let output = as_another_user(&data).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("not permitted") && errors.contains("forbidden/store"), "{errors}");
    give(&outside, 65534);
    let (mut server, url) = listening(&mut as_another_user(&data));
    // The reflector must first create a file in it.
    give(&data, 0);
    let mut chat = teatime().start(&["chat", "--json", "--reflector", &url]);
    let error = chat.wait_for("error");
    assert_eq!(error["code"], "NOT_STORED", "{error}");
    let message = error["message"].as_str().expect("a string");
    assert!(message.contains("cannot store") && message.contains("not permitted"), "{message}");
    give(&data, 65534);
    chat.wait_for("view_info");
    chat.post("in the end");
    chat.wait_for_line("in the end");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let (_server, url) = listening(&mut as_another_user(&data));
    let mut late = teatime().chat(&url, &[]);
    late.wait_for_line("in the end");
}

#[test]
fn tools_report_that_a_store_is_in_use() {
    let data = private_directory("in-use");
    let path = data.to_str().expect("UTF-8");
    let (_server, _) = teatime().reflector_with(&data, &[]);
    let session = "00".repeat(32);
    for tool in [&["check", path][..], &["list", path], &["export", path, &session, "/nowhere/x"]] {
        let (code, output, errors) = run(&[&["store"], tool].concat(), "");
        if tool[0] != "export" {
            assert!(errors.contains("in use"), "{tool:?}: {errors}");
        }
        assert_eq!((code, output.as_str()), (Some(1), ""), "{tool:?}");
    }
}

/// Waits until this number of lines of a log contain the text.
fn wait_for_log(log: &Path, text: &str, times: usize) {
    let in_time = Instant::now() + PATIENCE;
    while fs::read_to_string(log).unwrap_or_default().matches(text).count() < times {
        assert!(Instant::now() < in_time, "{:?}", fs::read_to_string(log));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn logged(data: &Path, log: &Path, more: &[&str]) -> (Program, String) {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2> \"$0\""]).arg(log).arg(env!("CARGO_BIN_EXE_teatime"));
    command.args(["reflector", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    listening(command.args(more))
}

fn sessions(data: &Path) -> Vec<String> {
    let (_, listed, errors) = run(&["store", "list", data.to_str().expect("UTF-8")], "");
    assert_eq!(errors, "");
    let id = |line| serde_json::from_str::<Value>(line).expect("JSON")["session_id"].to_string();
    listed.lines().map(id).collect()
}

/// Begins a session, and leaves it.
fn leave_behind(url: &str, name: &str) {
    let mut chat = teatime().chat(url, &["--name", name]);
    chat.post("left behind");
    chat.wait_for_line("left behind");
    chat.say(&json!({ "do": "leave" }));
    assert_eq!(chat.exit_code(), Some(0));
}

#[test]
fn unused_sessions_are_deleted_when_they_are_too_old_and_used_ones_never() {
    let data = private_directory("too-old");
    let log = data.join("log.txt");
    let (mut server, url) = logged(&data.join("store"), &log, &["--keep-unused", "1s"]);
    let mut stays = teatime().chat(&url, &["--name", "in use"]);
    stays.post("before");
    stays.wait_for_line("before");
    for name in ["a", "b", "c"] {
        leave_behind(&url, name);
    }
    wait_for_log(&log, "removing an unused session or room", 3);
    stays.post("after");
    stays.wait_for_line("after");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let id = stays.last("joined")["session_id"].to_string();
    assert_eq!(sessions(&data.join("store")), [id]);
}

#[test]
fn unused_sessions_are_deleted_when_all_together_are_too_large() {
    let data = private_directory("too-large");
    let (store, log) = (data.join("store"), data.join("log.txt"));
    let (mut server, url) = logged(&store, &log, &[]);
    for name in ["a", "b", "c"] {
        leave_behind(&url, name);
    }
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(sessions(&store).len(), 3);
    let (mut server, _) = logged(&store, &log, &["--keep-unused", "never", "--max-bytes", "0"]);
    // Already at the start.
    wait_for_log(&log, "removing an unused session or room", 3);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(sessions(&store).len(), 0);
    for wrong in [["--keep-unused", "1y"], ["--keep-unused", "d"], ["--max-bytes", "-1"]] {
        let path = store.to_str().expect("UTF-8");
        let (code, _, errors) = run(&[&["reflector", "--data", path][..], &wrong].concat(), "");
        assert_eq!(code, Some(2), "{errors}");
    }
}
