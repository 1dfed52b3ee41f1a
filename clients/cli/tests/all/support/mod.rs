//! Runs the real program and talks to it in JSON.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub mod socket;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub use teatime_tests::program::{Program, texts};

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

/// Starts the program in its several roles.
pub trait Start: Sized {
    fn start(arguments: &[&str]) -> Self;
    fn reflector() -> (Self, String);
    fn chat(url: &str, more: &[&str]) -> Self;
}

impl Start for Program {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    /// A reflector, and where it listens.
    fn reflector() -> (Self, String) {
        let mut reflector = Self::start(&["reflector", "--listen", "127.0.0.1:0", "--json"]);
        let url = reflector.wait_for("listening")["url"].as_str().expect("a string").to_owned();
        (reflector, url)
    }

    /// A chat in JSON that has joined.
    fn chat(url: &str, more: &[&str]) -> Self {
        let mut chat = Self::start(&[&["chat", "--json", "--reflector", url], more].concat());
        chat.wait_for("view_info");
        chat
    }
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
