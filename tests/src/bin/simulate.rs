//! Plays seeds in the simulator, and shrinks the plans that fail.
//!
//! Prints one line of JSON for each seed that fails, with the smallest plan that fails in the same way, and one for all
//! runs together. Exit status 1: a seed failed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use teatime::testing::Plan;
use teatime_simulator::harness::{Campaign, How};
use teatime_tests::play::{Books, Bug};

/// Play seeds in the simulator, and shrink the plans that fail.
#[derive(Parser)]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Virtual hours of a steady run.
    #[arg(long, default_value_t = 1)]
    hours: u64,
    /// Play this plan instead: a JSON file, as printed or written by --keep.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "hours"])]
    plan: Option<PathBuf>,
    /// Plant a bug, such as enters_twice or hash_order.
    #[arg(long)]
    bug: Option<Bug>,
    /// Folder for the plans that fail, one file each.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Most runs for shrinking a plan.
    #[arg(long, default_value_t = 200)]
    shrink: u32,
    /// Number of threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Play under the sync test, with this distance.
    #[arg(long)]
    sync: Option<u64>,
    /// Print a line for every seed.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plans: Vec<Plan> = match &arguments.plan {
        Some(path) => match Plan::read(path) {
            Ok(plan) => vec![plan],
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        },
        None => {
            let seeds = arguments.seed..arguments.seed.saturating_add(arguments.seeds);
            seeds.map(|seed| Plan::new(seed, arguments.hours)).collect()
        }
    };
    let mut books = Books::new();
    if let Some(bug) = arguments.bug {
        books = books.with_bug(bug);
    }
    if let Some(distance) = arguments.sync {
        books = books.synced(distance);
    }
    let how = How { jobs: arguments.jobs, shrink_runs: arguments.shrink, stops: false };
    let campaign = Campaign::play(&books, &plans, how, |plan, result| {
        if arguments.verbose {
            println!("{}", serde_json::json!({ "seed": plan.seed, "run": result }));
        }
    });
    for failure in &campaign.failures {
        println!("{}", serde_json::json!(failure));
        if let Some(folder) = &arguments.keep {
            let path = folder.join(format!("{}.json", failure.seed()));
            let made = std::fs::create_dir_all(folder).map_err(|error| error.to_string());
            if let Err(error) = made.and_then(|()| failure.plan().write(&path)) {
                eprintln!("{error}");
            }
        }
    }
    println!("{}", serde_json::json!(campaign.summary));
    ExitCode::from(u8::from(!campaign.failures.is_empty()))
}
