//! The chat reports that a newer version of it is in use, and that something cannot be persisted.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::support::teatime;
use teatime::{App, Config, ConnectionState, Driver};
use teatime_chat::{APP_ID, Chat, ChatOptions};
use teatime_tests::pace::PATIENCE;
use teatime_tests::proxy::Proxy;
use teatime_wire::{NotPersisted, ServerMessage};

/// A live participant with the next version of the chat, until this is dropped.
fn newer(url: &str) -> Driver {
    let app = App::builder::<Chat>(APP_ID).version(2).build().expect("it is sound");
    let config = Config::new(app, "versions", &ChatOptions::default()).expect("it is sound");
    let mut driver = Driver::join(config, url, Arc::new(|| {})).expect("the address is right");
    let until = Instant::now() + PATIENCE;
    while driver.connection_state() != ConnectionState::Live {
        assert!(Instant::now() < until, "{:?}", driver.connection_state());
        driver.wait(Duration::from_millis(5));
        driver.step(Duration::from_millis(50));
        while driver.poll_event().is_some() {}
    }
    driver
}

#[test]
fn the_chat_reports_a_newer_version_that_joins_or_is_there() {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut old = teatime().chat(&url, &["--name", "versions"]);
    let driver = newer(&url);
    let notice = old.wait_for("newer_version");
    assert_eq!((notice["version"].as_u64(), notice["own"].as_u64()), (Some(2), Some(1)));
    let word = "a newer version of this app (2) is used in this room: what you do here stays in the session of version 1";
    assert!(notice["message"].as_str().is_some_and(|said| said.starts_with(word)), "{notice}");
    // A later joiner learns it as well, as text.
    let arguments = ["chat", "--plain", "--reflector", &url, "--name", "versions"];
    let mut plain = teatime().command(&arguments);
    let plain = plain.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut plain = plain.spawn().expect("the program is built");
    let said = BufReader::new(plain.stderr.take().expect("it is piped"));
    let heard = said.lines().map_while(Result::ok).any(|line| line.contains(word));
    assert!(heard, "no such message at its end");
    // It leaves at the end of its input.
    drop(plain.stdin.take());
    assert!(plain.wait().is_ok_and(|status| status.success()));
    drop(driver);
}

/// The tests of all clients show it for JSON and text.
#[cfg(target_os = "linux")]
#[test]
fn the_chat_on_a_whole_terminal_shows_what_cannot_be_persisted() {
    let (_reflector, url) = teatime().reflector(&[]);
    let proxy = Proxy::to(url.trim_start_matches("ws://").parse().expect("an address"));
    let mut other = teatime().chat(&url, &["--name", "room"]);
    let program = env!("CARGO_BIN_EXE_teatime");
    let chat = format!("{program} chat --name room --reflector {}", proxy.url());
    // `script` makes a terminal.
    let mut script = Command::new("script");
    script.args(["-qefc", &format!("stty rows 30 cols 140; exec {chat}"), "/dev/null"]);
    let mut script =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is there");
    other.wait_for_participants(2);
    proxy.tell(&ServerMessage::NotPersisted(NotPersisted {
        seq: 1,
        failure: Some("the disk is full"),
    }));
    other.post("in the meantime");
    let mut output = script.stdout.take().expect("it is piped");
    let (sender, parts) = mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut part) {
            // The receiver has gone when the test has seen enough.
            let _ = sender.send(part[..length].to_vec());
        }
    });
    let mut shown = Vec::new();
    let word = b"cannot be stored for now: the disk is full";
    while !shown.windows(word.len()).any(|window| window == word) {
        match parts.recv_timeout(PATIENCE) {
            Ok(part) => shown.extend(part),
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&shown)),
        }
    }
    // Ctrl-C.
    script.stdin.take().expect("it is piped").write_all(b"\x03").expect("it is open");
    assert!(script.wait().is_ok_and(|status| status.success()));
}
