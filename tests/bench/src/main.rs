//! `teatime-bench`: measurements that print JSON. Build with `--release`:
//! `cargo run --release --package teatime-bench -- vm`.

#![deny(missing_debug_implementations, unreachable_pub)]

mod against;
mod blobs;
mod failure;
mod join;
mod load;
mod ratios;
mod reflector;
mod replay;
mod server;
mod statistics;
mod usage;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use failure::Failure;

/// Measure how fast Teatime is on this machine. Prints JSON, with the wanted figure beside each measured one.
#[derive(Parser)]
#[command(name = "teatime-bench", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Print one line of JSON instead of many.
    #[arg(long, global = true)]
    json: bool,
    /// Run less often and shorter: good for a first look, not for a figure to quote.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Subcommand)]
enum What {
    /// The virtual machine: future messages, events, snapshots; and a late joiner.
    Vm,
    /// Replay of a recorded chat, from the file to the hash of the final state.
    Replay,
    /// The reflector: CPU time per delivery, latency, throughput, memory.
    Reflector,
    /// Blobs: throughput of storing and fetching, memory, and the latency of events meanwhile.
    Blobs,
    /// Compare `vm` and `reflector` with another build: medians of CPU time, and their ratios. Prints JSON, and a table
    /// on standard error, the worst row first. Fails if a row is slower than `--worse-than` allows.
    Against(against::Options),
    /// The server of `reflector`, in a process of its own.
    #[command(hide = true)]
    Serve,
    /// The server of `blobs`, in a process of its own.
    #[command(hide = true)]
    ServeBlobs {
        /// Where it stores.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("teatime-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = match &arguments.what {
        What::Vm => {
            let mut rows = vm::run(arguments.quick);
            rows.push(join::run(arguments.quick));
            rows
        }
        What::Replay => replay::run(arguments.quick)?,
        What::Reflector => reflector::run(arguments.quick)?,
        What::Blobs => blobs::run(arguments.quick)?,
        What::Against(options) => return compare(options, arguments),
        What::Serve => return server::serve_load(),
        What::ServeBlobs { directory } => return server::serve_blobs(directory),
    };
    print(&json!({ "machine": machine(), "rows": rows }), arguments);
    Ok(())
}

fn print(report: &Value, arguments: &Arguments) {
    if arguments.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
}

fn compare(options: &against::Options, arguments: &Arguments) -> Result<(), Failure> {
    let against::Outcome { mut report, table, worse } = against::run(options, arguments.quick)?;
    report["machine"] = machine();
    print(&report, arguments);
    eprint!("{table}");
    match worse {
        0 => Ok(()),
        1 => Err("1 row is slower than allowed".into()),
        _ => Err(format!("{worse} rows are slower than allowed").into()),
    }
}

fn machine() -> Value {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "load_at_end": load.split(' ').next(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}
