//! The `teatime` program: a chat, a reflector and its tools, blobs, recordings, and the start of new apps.

#![deny(missing_debug_implementations, unreachable_pub)]

mod addresses;
mod blobs;
mod branch;
mod chat;
mod codes;
mod descriptors;
mod diff;
mod doctor;
mod examples;
mod joining;
mod limits;
mod new;
mod password;
mod record;
mod reflector;
mod replay;
mod shell;
mod store;
mod terminal;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use terminal::Failure;

/// Replicated computation for native apps: all participants of a session compute the same state.
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
    /// Run a reflector: the server that puts the events of each session in order.
    Reflector(reflector::Arguments),
    /// Store files in a room and fetch them.
    Blobs(blobs::Arguments),
    /// Record a room into a file.
    Record(record::Arguments),
    /// Replay a recording, evidence or stored session, and show its state.
    Replay(replay::Arguments),
    /// Start a new room from the state of another one.
    Branch(branch::Arguments),
    /// Explain evidence: which field of a client diverged, and after which event.
    Diff(diff::Arguments),
    /// Inspect and repair the directory of a reflector, and move sessions.
    Store(store::Arguments),
    /// Find out what stands in the way: on this machine, and on the way to a reflector.
    Doctor(doctor::Arguments),
    /// Create an app with models of its own: Rust models, Swift and Kotlin programs.
    New(new::Arguments),
    /// Print the completions for a shell.
    Completions(shell::Completions),
    /// Write the man pages of all commands.
    Man(shell::Man),
}

fn main() -> ExitCode {
    let parsed = examples::add(Arguments::command())
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let command = match parsed {
        Ok(arguments) => arguments.command,
        Err(error) => terminal::refuse(&error),
    };
    terminal::finish(command.has_json(), command.run())
}

impl Command {
    /// Whether the user asked for JSON.
    fn has_json(&self) -> bool {
        match self {
            Self::Chat(arguments) => arguments.json,
            Self::Reflector(arguments) => arguments.json,
            Self::Blobs(arguments) => arguments.has_json(),
            Self::Record(arguments) => arguments.json,
            Self::Replay(arguments) => arguments.json,
            Self::Branch(arguments) => arguments.json,
            Self::Diff(arguments) => arguments.json,
            Self::Doctor(arguments) => arguments.json,
            Self::Store(_) | Self::New(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }

    fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Chat(_) | Self::Reflector(_) | Self::Blobs(_) | Self::Record(_) => {
                descriptors::prepare()?;
            }
            _ => {}
        }
        match self {
            Self::Chat(arguments) => chat::run(arguments),
            Self::Reflector(arguments) => reflector::run(arguments),
            Self::Blobs(arguments) => blobs::run(arguments),
            Self::Record(arguments) => record::run(arguments),
            Self::Replay(arguments) => replay::run(arguments),
            Self::Branch(arguments) => branch::run(arguments),
            Self::Diff(arguments) => diff::run(arguments),
            Self::Store(arguments) => store::run(arguments),
            Self::Doctor(arguments) => doctor::run(arguments),
            Self::New(arguments) => new::run(arguments),
            Self::Completions(arguments) => shell::complete(Arguments::command(), arguments),
            Self::Man(arguments) => {
                shell::write_pages(examples::add(Arguments::command()), arguments)
            }
        }
    }
}
