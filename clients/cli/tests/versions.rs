//! Who chats with an older version of the chat hears that a newer one is there.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Program, Start, command};
use teatime::{App, Config, ConnectionState, Driver};
use teatime_chat::{APP_ID, Chat, ChatOptions};

/// Somebody with the next version of the chat, who is live and stays as long as this is kept.
fn newer(url: &str) -> Driver {
    let app = App::builder::<Chat>(APP_ID).version(2).build().expect("it is sound");
    let config = Config::new(app, "versions", &ChatOptions::default()).expect("it is sound");
    let mut driver = Driver::join(config, url, Arc::new(|| {})).expect("the address is right");
    let until = Instant::now() + Duration::from_secs(20);
    while driver.client().connection_state() != ConnectionState::Live {
        assert!(Instant::now() < until, "{:?}", driver.client().connection_state());
        driver.wait(Duration::from_millis(5));
        driver.step(Duration::from_millis(50));
        while driver.poll_event().is_some() {}
    }
    driver
}

#[test]
fn the_chat_says_when_a_newer_version_of_it_comes_or_is_there() {
    let (_reflector, url) = Program::reflector();
    let mut old = Program::chat(&url, &["--name", "versions"]);
    let driver = newer(&url);
    let told = old.wait_for("newer_version");
    assert_eq!((told["version"].as_u64(), told["own"].as_u64()), (Some(2), Some(1)));
    let word = "a newer version of this app (2) is used in this room: what you do here stays in the session of version 1";
    assert!(told["message"].as_str().is_some_and(|said| said.starts_with(word)), "{told}");
    // Who comes later is told as well, as text.
    let arguments = ["chat", "--plain", "--reflector", &url, "--name", "versions"];
    let mut plain = command(&arguments);
    let plain = plain.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut plain = plain.spawn().expect("the program is built");
    let said = BufReader::new(plain.stderr.take().expect("it is piped"));
    let heard = said.lines().map_while(Result::ok).any(|line| line.contains(word));
    assert!(heard, "it ends without having said so");
    // At the end of its input it leaves.
    drop(plain.stdin.take());
    assert!(plain.wait().is_ok_and(|status| status.success()));
    drop(driver);
}
