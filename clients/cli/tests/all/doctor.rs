//! `teatime doctor`: what it finds on this machine, and on the way to a reflector.

use std::net::TcpListener;

use serde_json::Value;
use teatime_tests::certificates::{Authority, Identity};

use crate::support::{private_directory, teatime};

/// Exit status, and all lines.
fn doctor(name: &str, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let directory = private_directory(name);
    let mut command =
        teatime().command(&[&["doctor", "--json", "--listen", "127.0.0.1:0"], arguments].concat());
    command.env("XDG_RUNTIME_DIR", &directory).env("XDG_STATE_HOME", &directory);
    for proxy in ["all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy"] {
        command.env_remove(proxy);
    }
    let output = command.output().expect("it is built");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.code(), lines)
}

/// The finding of a check.
fn finding<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["check"] == check);
    found.unwrap_or_else(|| panic!("no {check}: {lines:?}"))
}

#[test]
fn on_a_sound_machine_with_a_reflector_everything_is_ok() {
    let (_reflector, url) = teatime().reflector(&[]);
    let (code, lines) = doctor("doctor-sound", &[&url]);
    assert_eq!(code, Some(0), "{lines:?}");
    for check in ["version", "note", "evidence", "listen", "descriptors", "terminal"] {
        assert_eq!(finding(&lines, check)["status"], "ok");
    }
    for check in ["address", "dns", "tcp", "websocket", "protocol", "round_trip", "clock"] {
        assert_eq!(finding(&lines, check)["status"], "ok");
    }
    assert_eq!(finding(&lines, "address")["found"], url.as_str());
    assert!(
        finding(&lines, "clock")["found"]
            .as_str()
            .is_some_and(|found| found.contains("differs by"))
    );
    let last = lines.last().expect("there are some");
    assert_eq!((&last["event"], &last["failed"]), (&Value::from("doctor"), &Value::from(0)));
}

#[test]
fn each_end_of_the_way_has_a_name_and_a_remedy() {
    // A port that is free again, and one at which another program answers.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound");
    let (_reflector, url) = teatime().reflector(&[]);
    let encrypted = url.replace("ws://", "wss://");
    let web = format!("ws://{}", web_server());
    for (place, check) in [
        (format!("ws://{free}"), "tcp"),
        ("ws://nowhere.invalid:9".to_owned(), "dns"),
        (encrypted, "tls"),
        (web, "websocket"),
    ] {
        let (code, lines) = doctor("doctor-ends", &[&place]);
        assert_eq!(code, Some(1), "{place}: {lines:?}");
        let finding = finding(&lines, check);
        assert_eq!(finding["status"], "failed", "{place}: {lines:?}");
        assert!(finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
        let failed = lines.iter().filter(|line| line["status"] == "failed").count();
        assert_eq!(failed, 1, "{lines:?}");
    }
}

/// Answers one request as a web server does. Returns its address.
fn web_server() -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the doctor comes");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    address
}

#[test]
fn a_certificate_is_trusted_only_if_the_user_says_so() {
    let folder = private_directory("doctor-tls");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let flags = ["--tls-cert", identity.certificate(), "--tls-key", identity.key()];
    let (_reflector, url) = teatime().reflector(&flags);
    let (code, lines) = doctor("doctor-tls-refused", &[&url]);
    assert_eq!((code, &finding(&lines, "tls")["status"]), (Some(1), &Value::from("failed")));
    let (code, lines) = doctor("doctor-tls-trusted", &[&url, "--ca", authority.path()]);
    assert_eq!(code, Some(0), "{lines:?}");
    assert_eq!(finding(&lines, "tls")["status"], "ok");
}

#[test]
fn a_port_in_use_and_a_directory_that_is_no_store_are_found() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let (code, lines) = doctor("doctor-port", &[]);
    assert_eq!(code, Some(0), "{lines:?}");
    let directory = private_directory("doctor-taken");
    let mut command = teatime().command(&["doctor", "--listen", &address]);
    let output = command.env("XDG_RUNTIME_DIR", &directory).output().expect("it is built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("another program listens there"), "{text}");
    assert!(
        text.contains("-> ") && text.lines().last().is_some_and(|last| last.contains("0 failed")),
        "{text}"
    );
    let data = private_directory("doctor-data");
    std::fs::create_dir_all(data.join("log")).expect("there is room");
    std::fs::write(data.join("FORMAT"), "something else").expect("there is room");
    let (code, lines) = doctor("doctor-store", &["--data", data.to_str().expect("UTF-8")]);
    assert_eq!((code, &finding(&lines, "data")["status"]), (Some(1), &Value::from("failed")));
}

#[test]
fn the_reflector_that_a_chat_hosts_is_found_and_its_token_is_not_shown() {
    let directory = private_directory("doctor-chat");
    let mut chat = teatime().command(&["chat", "--json"]);
    chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0");
    let mut chat = crate::support::Program::spawn(&mut chat);
    chat.wait_for("view_info");
    let mut command = teatime().command(&["doctor", "--json", "--listen", "127.0.0.1:0"]);
    let output = command.env("XDG_RUNTIME_DIR", &directory).output().expect("it is built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("a reflector of this user runs") && text.contains("round_trip"),
        "{text}"
    );
    let note = std::fs::read_to_string(directory.join("teatime/reflector.url")).expect("the note");
    let token = note.lines().nth(1).expect("its second line is the token");
    assert!(!text.contains(token), "{text}");
}
