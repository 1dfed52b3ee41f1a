//! Runs the real program and talks to it in JSON.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is killed when the test is done with it.
pub struct Program {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything that was printed so far.
    pub seen: Vec<Value>,
}

/// A directory of this test alone, so that programs of different tests do not find each other.
pub fn private_directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teatime"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("NO_COLOR");
    command
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    pub fn spawn(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().expect("the program is built");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, lines, seen: Vec::new() }
    }

    /// A reflector, and where it listens.
    pub fn reflector() -> (Self, String) {
        let mut reflector = Self::start(&["reflector", "--listen", "127.0.0.1:0", "--json"]);
        let url = reflector.wait_for("listening")["url"].as_str().expect("a string").to_owned();
        (reflector, url)
    }

    /// A chat in JSON that has joined.
    pub fn chat(url: &str, more: &[&str]) -> Self {
        let mut chat = Self::start(&[&["chat", "--json", "--reflector", url], more].concat());
        chat.wait_for("view_info");
        chat
    }

    pub fn next_line(&mut self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// The next line for which `wanted` is true.
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(rest) else {
                panic!("no {what} in {:#?}", self.seen);
            };
            let value: Value = serde_json::from_str(&line).expect("every line is JSON");
            self.seen.push(value.clone());
            if wanted(&value) {
                return value;
            }
        }
    }

    pub fn wait_for(&mut self, event: &str) -> Value {
        self.wait_until(event, |value| value["event"] == event)
    }

    /// The newest line of this kind that was printed.
    pub fn last(&self, event: &str) -> &Value {
        let found = self.seen.iter().rev().find(|value| value["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} in {:#?}", self.seen))
    }

    pub fn wait_for_participants(&mut self, number: u64) -> Value {
        if self.last("view_info")["participants"] == number {
            return self.last("view_info").clone();
        }
        let wanted = |v: &Value| v["event"] == "view_info" && v["participants"] == number;
        self.wait_until("number of participants", wanted)
    }

    /// Waits until the history ends with this text, and returns the texts of all lines.
    pub fn wait_for_line(&mut self, text: &str) -> Vec<String> {
        let ends = |value: &Value| {
            let last = value["items"].as_array().and_then(|items| items.last());
            value["event"] == "history"
                && last.is_some_and(|last| last["html"].as_str().is_some_and(|l| l.ends_with(text)))
        };
        let known = self.seen.iter().rev().find(|value| value["event"] == "history");
        let history = match known.filter(|value| ends(value)) {
            Some(known) => known.clone(),
            None => self.wait_until(text, ends),
        };
        texts(&history)
    }

    /// Waits until this text stands anywhere in the history.
    pub fn wait_for_text(&mut self, text: &str) {
        let stands = |v: &Value| texts(v).iter().any(|line| line.ends_with(text));
        if !self.seen.iter().any(stands) {
            self.wait_until(text, stands);
        }
    }

    pub fn say(&mut self, line: &Value) {
        self.say_raw(&line.to_string());
    }

    pub fn say_raw(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").expect("the program reads");
    }

    pub fn post(&mut self, text: &str) {
        self.say(&json!({ "do": "post", "text": text }));
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Waits for the end and returns the exit status.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn texts(history: &Value) -> Vec<String> {
    let items = history["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["html"].as_str().map(str::to_owned)).collect()
}

/// Runs a command to its end: exit status, standard output, standard error.
pub fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = command(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program is built");
    let mut stdin = child.stdin.take().expect("it is piped");
    // It may end without reading.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let _ = stderr.read_to_string(&mut errors);
        errors
    });
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text, reader.join().expect("it only reads"))
}
