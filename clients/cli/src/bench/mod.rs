//! `teatime bench`: measurements that print JSON.

mod blobs;
mod join;
mod load;
mod reflector;
mod replay;
mod usage;
mod vm;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Failure;

/// Flags of `teatime bench`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// One line of JSON instead of many.
    #[arg(long, global = true)]
    json: bool,
    /// Fewer and shorter runs: good for a first look, not for a figure.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Subcommand)]
enum What {
    /// The virtual machine: future messages, events, snapshots; and a late joiner.
    Vm,
    /// Replay of a recording of the chat from its file to the hash of its end.
    Replay,
    /// The reflector: CPU time per delivery, latency, throughput, memory.
    Reflector,
    /// Blobs: how fast they are stored and fetched, and in how much memory.
    Blobs,
    /// The server of `bench reflector`, in a process of its own.
    #[command(hide = true)]
    Serve,
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = match arguments.what {
        What::Vm => {
            let mut rows = vm::run(arguments.quick);
            rows.push(join::run(arguments.quick));
            rows
        }
        What::Replay => replay::run(arguments.quick)?,
        What::Reflector => reflector::run(arguments.quick)?,
        What::Blobs => blobs::run(arguments.quick)?,
        What::Serve => return reflector::serve(),
    };
    let report = json!({ "machine": machine(), "rows": rows });
    if arguments.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    Ok(())
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

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
