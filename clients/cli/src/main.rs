//! The `teatime` program: a chat, a reflector and its tools, blobs, recordings, and the start of new apps.

#![deny(missing_debug_implementations, unreachable_pub)]

mod blobs;
mod branch;
mod chat;
mod codes;
mod diff;
mod joining;
mod limits;
mod new;
mod password;
mod record;
mod reflector;
mod replay;
mod store;
mod terminal;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Create an app with models of its own: Rust models, Swift and Kotlin programs.
    New(new::Arguments),
}

fn main() -> ExitCode {
    terminal::finish(match Arguments::parse().command {
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Reflector(arguments) => reflector::run(&arguments),
        Command::Blobs(arguments) => blobs::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Branch(arguments) => branch::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Store(arguments) => store::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
    })
}
