//! Programs that say that they go to the background, and that the system then freezes, continues late, or ends.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teatime_tests::pace::PATIENCE;
use teatime_tests::program::Program;

use crate::support::{PREFIX, compile, root, scratch, teatime};

/// A participant whose connection is lost stays this long: longer than any test waits.
const GHOST: &[&str] = &["--rejoin-limit", "10m"];

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = scratch("background");
    let source = |name: &str| root().join("tests/c").join(name);
    let files = [source("background.c"), source("support.c")];
    compile("gcc", &PREFIX, "teatime cmocka", &["-std=c11"], &files, &program);
    program
});

/// A reflector, a chat that watches, and a participant in C that can go to the background.
fn two() -> (Program, String, Program, Program) {
    let (reflector, url) = teatime().reflector(GHOST);
    let mut watcher = teatime().chat(&url, &[]);
    let mut phone = Program::spawn(Command::new(&*PROGRAM).arg(&url));
    phone.wait_for("ready");
    watcher.wait_for_participants(2);
    (reflector, url, watcher, phone)
}

/// Goes to the background, and is frozen as soon as the reflector knows.
fn freeze(phone: &mut Program, pause: Duration) {
    phone.say_raw(&format!("away {}", pause.as_millis()));
    phone.wait_for("away");
    phone.signal("STOP");
}

/// Asks until the participant says this of itself.
fn until(phone: &mut Program, wanted: &Value) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        phone.say_raw("look");
        let found = phone.wait_for("state");
        if found == *wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found}, not {wanted}");
    }
}

fn is_live(participants: u32) -> Value {
    json!({ "event": "state", "live": true, "participants": participants })
}

fn leave(mut phone: Program, watcher: &mut Program) {
    phone.end_input();
    assert_eq!(phone.exit_code(), Some(0));
    watcher.wait_for_participants(1);
}

#[test]
fn a_program_that_is_frozen_in_the_background_leaves_in_time_and_comes_back_when_it_says_so() {
    const PAUSE: Duration = Duration::from_millis(1_500);
    let (_reflector, url, mut watcher, mut phone) = two();
    let begun = Instant::now();
    freeze(&mut phone, PAUSE);
    watcher.wait_for_participants(1);
    let left = begun.elapsed();
    assert!(left >= PAUSE && left < PAUSE + Duration::from_secs(20), "{left:?}");
    // It runs again without having said that it is back: nothing of it returns.
    phone.signal("CONT");
    until(&mut phone, &json!({ "event": "state", "live": false, "participants": 0 }));
    let mut newcomer = teatime().chat(&url, &[]);
    assert_eq!(newcomer.last("joined")["participants"], 2);
    newcomer.post("meanwhile");
    watcher.wait_for_line("meanwhile");
    phone.say_raw("back");
    watcher.wait_for_participants(3);
    until(&mut phone, &is_live(3));
    newcomer.end_input();
    assert_eq!(newcomer.exit_code(), Some(0));
    watcher.wait_for_participants(2);
    leave(phone, &mut watcher);
}

#[test]
fn a_program_that_comes_back_in_time_after_it_was_frozen_was_there_all_the_time_for_the_others() {
    let (_reflector, _url, mut watcher, mut phone) = two();
    freeze(&mut phone, Duration::from_secs(600));
    watcher.post("meanwhile");
    watcher.wait_for_line("meanwhile");
    let seen = watcher.seen.len();
    phone.signal("CONT");
    phone.say_raw("back");
    phone.wait_for("reconnecting");
    phone.wait_for("live");
    until(&mut phone, &is_live(2));
    watcher.post("afterwards");
    watcher.wait_for_line("afterwards");
    assert!(watcher.seen[seen..].iter().all(|line| line["event"] != "view_info"));
    leave(phone, &mut watcher);
}

#[test]
fn a_program_that_the_system_ends_in_the_background_leaves_no_ghost() {
    let (_reflector, _url, mut watcher, mut phone) = two();
    freeze(&mut phone, Duration::from_millis(500));
    phone.signal("KILL");
    watcher.wait_for_participants(1);
}
