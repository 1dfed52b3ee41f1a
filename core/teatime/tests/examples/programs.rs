//! The examples as programs, each run by two users.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::headless;

const PATIENCE: Duration = Duration::from_secs(120);

/// An example that runs. Dropping it kills it.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

/// The file of an example. `cargo test` builds all examples beside the tests.
fn file(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("it runs");
    let target = me.ancestors().nth(2).expect("a test is in a folder of the target directory");
    let file = target.join("examples").join(name);
    assert!(file.exists(), "{} is not built: run cargo build --examples first", file.display());
    file
}

impl Example {
    /// Starts an example that finds only what others with this directory host.
    fn start(name: &str, arguments: &[&str], directory: &Path) -> Self {
        let mut command = Command::new(file(name));
        command.args(arguments).env("XDG_RUNTIME_DIR", directory).env("TEATIME_PORT", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let input = child.stdin.take();
        Self { child, input, output }
    }

    fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").expect("it reads");
    }

    /// Waits for a line that contains `text`.
    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(rest) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no {text:?} in {seen:#?}"),
            }
        }
    }

    /// Ends the input, and waits for a good end.
    fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().expect("it is our child").success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory() -> TempDir {
    TempDir::new().expect("there is room for a directory")
}

#[test]
fn two_drivers_of_the_race_see_each_others_laps() {
    let directory = directory();
    let mut violet = Example::start("race", &[], directory.path());
    let hello = violet.wait_for("Press Enter");
    let me = hello.split_whitespace().nth(2).expect("a name").trim_end_matches('.').to_owned();
    let mut shrew = Example::start("race", &[], directory.path());
    shrew.wait_for("Press Enter");
    violet.type_line("");
    let first = format!("{me}: 1");
    assert_eq!(shrew.wait_for(&me), first);
    assert_eq!(violet.wait_for(&me), first);
    shrew.type_line("");
    violet.wait_for(": 1");
    violet.type_line("");
    shrew.wait_for(&format!("{me}: 2"));
    // The first one hosts the reflector.
    shrew.end();
    violet.end();
}

#[test]
fn two_players_see_the_same_dice() {
    let directory = directory();
    let mut violet = Example::start("dice", &[], directory.path());
    violet.wait_for("empty");
    let shrew = Example::start("dice", &[], directory.path());
    shrew.wait_for("empty");
    violet.type_line("");
    assert_eq!(violet.wait_for("roll 1: ["), shrew.wait_for("roll 1: ["));
    shrew.end();
    violet.end();
}

#[test]
fn a_cursor_moves_for_all_and_goes_with_its_participant() {
    let directory = directory();
    let violet = Example::start("cursors", &["Violet"], directory.path());
    violet.wait_for("Violet has not moved");
    let mut shrew = Example::start("cursors", &["Shrew"], directory.path());
    shrew.wait_for("Violet has not moved; Shrew has not moved");
    shrew.type_line("10 20");
    violet.wait_for("Shrew at 10,20");
    shrew.type_line("Vole");
    violet.wait_for("Vole at 10,20");
    shrew.end();
    assert_eq!(violet.wait_for("Violet"), "Violet has not moved");
    violet.end();
}

#[test]
fn a_list_is_shared_by_those_who_know_its_password() {
    let directory = directory();
    let mut violet = Example::start("todo", &["home", "two sugars"], directory.path());
    violet.wait_for("0 items");
    violet.type_line("add buy milk");
    violet.wait_for("[ ] 1. buy milk");
    let mut shrew = Example::start("todo", &["home", "two sugars"], directory.path());
    shrew.wait_for("[ ] 1. buy milk");
    shrew.type_line("done 1");
    violet.wait_for("[x] 1. buy milk");
    violet.type_line("clear");
    shrew.wait_for("0 items");
    shrew.end();
    violet.end();
}

#[test]
fn a_stroke_is_drawn_for_all_and_its_author_takes_it_back() {
    let directory = directory();
    let mut violet = Example::start("whiteboard", &[], directory.path());
    violet.wait_for("....");
    let mut shrew = Example::start("whiteboard", &[], directory.path());
    shrew.wait_for("....");
    violet.type_line("0,0 2,0");
    shrew.wait_for("a.a.");
    shrew.type_line("1,0");
    violet.wait_for("aba.");
    violet.type_line("undo");
    shrew.wait_for(".a..");
    shrew.end();
    violet.end();
}

#[test]
fn version_2_begins_with_what_version_1_has_persisted() {
    let directory = directory();
    let upgrade = Example::start("upgrade", &[], directory.path());
    assert_eq!(upgrade.wait_for("version 1"), "version 1: [\"milk\"]");
    assert_eq!(upgrade.wait_for("version 2"), "version 2: [\"milk\", \"tea\"]");
    upgrade.end();
}

#[test]
fn two_participants_without_a_screen_get_the_same_result() {
    let server = teatime::server::Server::bind("127.0.0.1:0", Default::default());
    let server = server.expect("there is a free port");
    let take_part = |choice: &'static str| {
        let url = server.url();
        std::thread::spawn(move || {
            let done = headless::take_part(&url, choice, |result| {
                result.contains("\"tea\":1") && result.contains("\"coffee\":1")
            });
            done.map_err(|why| why.to_string())
        })
    };
    for one in [take_part("tea"), take_part("coffee")] {
        assert_eq!(one.join().expect("it does not panic"), Ok(()));
    }
}
