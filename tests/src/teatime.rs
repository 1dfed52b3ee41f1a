//! The program `teatime` in its several roles.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{Program, with_default_sigint};

/// Where a reflector listens if a test does not care.
const ANY_PORT: &str = "127.0.0.1:0";

/// The built program.
#[derive(Debug, Clone)]
pub struct Teatime(PathBuf);

/// How a command ended.
pub type Ended = (Option<i32>, String, String);

impl Teatime {
    /// The program in this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A command that the environment of the tests does not influence.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(arguments).env_remove("RUST_LOG").env_remove("NO_COLOR");
        command.env_remove("TEATIME_PASSWORD");
        command
    }

    /// Starts the program, which prints JSON.
    pub fn start(&self, arguments: &[&str]) -> Program {
        Program::spawn(&mut self.command(arguments))
    }

    /// Starts a reflector on a free port, and returns its address.
    pub fn reflector(&self, more: &[&str]) -> (Program, String) {
        self.reflector_at(ANY_PORT, more)
    }

    /// Starts a reflector that stores in `data`, on a free port, and returns its address.
    pub fn reflector_with(&self, data: &Path, more: &[&str]) -> (Program, String) {
        self.reflector(&[&["--data", data.to_str().expect("UTF-8")], more].concat())
    }

    /// Starts a reflector that listens at `listen`, and returns its address.
    pub fn reflector_at(&self, listen: &str, more: &[&str]) -> (Program, String) {
        let flags = ["reflector", "--json", "--listen", listen];
        listening(&mut self.command(&[&flags[..], more].concat()))
    }

    /// Starts a chat in JSON, and waits until it has joined.
    pub fn chat(&self, url: &str, more: &[&str]) -> Program {
        let mut chat = self.start(&[&["chat", "--json", "--reflector", url], more].concat());
        chat.wait_for("view_info");
        chat
    }

    /// Runs a command to its end: exit status, standard output, standard error.
    pub fn run(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = with_default_sigint(&self.command(arguments));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program is built");
        let mut stdin = child.stdin.take().expect("it is piped");
        // The program may end without reading.
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
}

/// Starts a reflector by this command, and returns its address.
pub fn listening(command: &mut Command) -> (Program, String) {
    let mut reflector = Program::spawn(command);
    let url = reflector.wait_for("listening")["url"].as_str().expect("a string").to_owned();
    (reflector, url)
}

/// An empty directory `name` in `parent`, for one test alone: programs of different tests must not find each other.
pub fn private_directory(parent: &str, name: &str) -> PathBuf {
    let directory = Path::new(parent).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}
