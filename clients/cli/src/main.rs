//! The `teatime` program: a chat, a reflector, blobs, benchmarks, and the beginnings of apps.

mod bench;
mod blobs;
mod branch;
mod chat;
mod codes;
mod diff;
mod joining;
mod new;
mod record;
mod reflector;
mod replay;
mod store;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Replicated computation for native apps: everyone in a room computes the same.
#[derive(Parser)]
#[command(name = "teatime", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Chat in a room.
    Chat(chat::Arguments),
    /// Run a reflector: the server that gives the events of each session one order.
    Reflector(reflector::Arguments),
    /// Store files beside a room, and fetch them.
    Blobs(blobs::Arguments),
    /// Say which model and field of a client that diverged went wrong, and after which event.
    Diff(diff::Arguments),
    /// Write down what happens in a room.
    Record(record::Arguments),
    /// Play a recording, evidence, or what a reflector has kept, up to any point, and show the state there.
    Replay(replay::Arguments),
    /// Begin a new room with the state at some point of another.
    Branch(branch::Arguments),
    /// Look at what a reflector has kept, and move sessions.
    Store(store::Arguments),
    /// Make the beginnings of an app with models of its own: in Rust, with Swift and Kotlin programs.
    New(new::Arguments),
    /// Measure how fast this machine is at it.
    Bench(bench::Arguments),
}

/// How a command ended when it did not end well.
pub(crate) enum Failure {
    /// Something failed: exit status 1.
    Failed(String),
    /// The same, with the name that programs know it by.
    Coded(&'static str, String),
    /// It was called wrongly: exit status 2.
    Usage(String),
    /// It has said so already.
    Told,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Reflector(arguments) => reflector::run(&arguments),
        Command::Blobs(arguments) => blobs::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Branch(arguments) => branch::run(&arguments),
        Command::Store(arguments) => store::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::from(1),
        Err(Failure::Failed(message) | Failure::Coded(_, message)) => {
            tell_user(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            tell_user(&message);
            ExitCode::from(2)
        }
    }
}

/// A line for whoever sits there, on standard error.
pub(crate) fn tell_user(message: &dyn std::fmt::Display) {
    let message = printable(&message.to_string().replace('\n', " "));
    // Nobody may be there to see it.
    let _ = writeln!(std::io::stderr(), "teatime: {message}");
}

/// Without what a terminal would obey: texts may come from anywhere.
pub(crate) fn printable(text: &str) -> String {
    text.replace(
        |character: char| character.is_control() && !['\n', '\t'].contains(&character),
        "\u{fffd}",
    )
}

/// A line of JSON.
pub(crate) fn say(line: &serde_json::Value) {
    // Whoever does not read any more needs no more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Sends logs to standard error; `RUST_LOG` says which.
pub(crate) fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
