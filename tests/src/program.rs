//! Runs a program that reads and writes JSON, one object a line, and waits for its output.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pace::PATIENCE;

/// A program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    /// Its process.
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything that it has printed so far.
    pub seen: Vec<Value>,
}

impl Program {
    /// Starts a program, with pipes to its standard input and output.
    pub fn spawn(command: &mut Command) -> Self {
        let mut command = with_default_sigint(command);
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

    /// The next line that it prints. `None` if it ends or takes too long.
    pub fn next_line(&mut self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// Waits for a line that contains `text`, from a program that does not print JSON.
    pub fn wait_for_plain_text(&mut self, text: &str) {
        let mut seen = Vec::new();
        loop {
            match self.next_line() {
                Some(line) if line.contains(text) => return,
                Some(line) => seen.push(line),
                None => panic!("no {text:?} in {seen:#?}"),
            }
        }
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

    /// The next event of this kind.
    pub fn wait_for(&mut self, event: &str) -> Value {
        self.wait_until(event, |value| value["event"] == event)
    }

    /// The newest line of this kind that was printed.
    pub fn last(&self, event: &str) -> &Value {
        let found = self.seen.iter().rev().find(|value| value["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} in {:#?}", self.seen))
    }

    /// Waits until it says that exactly these are typing.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for_typing(&mut self, nicknames: &[&str]) {
        self.wait_until("who is typing", |event: &Value| {
            event["event"] == "typing" && event["nicknames"] == json!(nicknames)
        });
    }

    /// Waits until the program shows this number of participants.
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

    /// Waits until a line of the history ends with this text.
    pub fn wait_for_text(&mut self, text: &str) {
        let stands = |v: &Value| texts(v).iter().any(|line| line.ends_with(text));
        if !self.seen.iter().any(stands) {
            self.wait_until(text, stands);
        }
    }

    /// Sends a command.
    pub fn say(&mut self, line: &Value) {
        self.say_raw(&line.to_string());
    }

    /// Sends any line.
    pub fn say_raw(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").expect("the program reads");
    }

    /// Sends a post.
    pub fn post(&mut self, text: &str) {
        self.say(&json!({ "do": "post", "text": text }));
    }

    /// Closes its input.
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

/// The lines of a history.
pub fn texts(history: &Value) -> Vec<String> {
    let items = history["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["html"].as_str().map(str::to_owned)).collect()
}

/// Runs a command to its end and returns what it has printed; panics with all of it if it fails.
pub fn finish(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}: run tests/run, it installs what is missing"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// Removes from a command the variables that cargo sets for tests. Otherwise build scripts that read them would run
/// again, cargo would rebuild crates, and a program would load libraries from the folder of the tests.
pub fn forget_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command.env_remove("OUT_DIR").env_remove("LD_LIBRARY_PATH");
}

/// A program of the workspace. Cargo builds all of them at once, as `cargo test --workspace` does: a single one asks
/// for fewer features of most crates, and cargo would compile these crates again. With `TEATIME_BUILT` they are built.
pub fn built(name: &str) -> PathBuf {
    static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
        if std::env::var_os("TEATIME_BUILT").is_none() {
            let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
            forget_cargo(&mut cargo);
            let all = ["--workspace", "--exclude", "generate", "--bins"];
            finish(cargo.current_dir(root).args(["build", "--locked"]).args(all));
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map(|target| root.join(target));
        target.unwrap_or_else(|| root.join("target")).join("debug")
    });
    PROGRAMS.join(name)
}

/// The same command, but with SIGINT as a terminal delivers it. A shell makes a test run in the background (`&`, `nohup`)
/// ignore SIGINT, and every child inherits that.
pub fn with_default_sigint(command: &Command) -> Command {
    let ignores = ignores_sigint();
    let mut same = Command::new(if ignores { OsStr::new("env") } else { command.get_program() });
    if ignores {
        same.arg("--default-signal=INT").arg(command.get_program());
    }
    same.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        same.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => same.env(name, value),
            None => same.env_remove(name),
        };
    }
    same
}

/// Whether this process ignores SIGINT. False where only Linux can tell.
fn ignores_sigint() -> bool {
    const SIGINT: u32 = 2;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGINT - 1)) != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Set when the test runs itself with SIGINT ignored.
    const IGNORED: &str = "TEATIME_TEST_IGNORES_SIGINT";

    #[test]
    fn a_program_gets_sigint_even_if_the_test_run_ignores_it() {
        if std::env::var_os(IGNORED).is_some() {
            assert!(ignores_sigint());
            let script = "echo ready; exec sleep 600";
            let mut sleeper = Program::spawn(Command::new("sh").args(["-c", script]));
            assert_eq!(sleeper.next_line().as_deref(), Some("ready"));
            sleeper.signal("INT");
            assert_eq!(sleeper.exit_code(), None);
            return;
        }
        let name = std::thread::current().name().expect("tests have names").to_owned();
        let me = std::env::current_exe().expect("it runs");
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' INT; exec \"$0\" --exact \"$1\""]).arg(me).arg(name);
        finish(shell.env(IGNORED, "1"));
    }
}
