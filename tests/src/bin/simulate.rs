//! Plays seeds in the simulator, and makes those that fail small.
//!
//! Prints one line of JSON for each seed that fails, with the smallest plan that fails in the same way,
//! and one for all of them together. Ends with 1 if one has failed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use teatime_simulator::{Bug, Campaign, How, Plan};
use teatime_tests::play::Books;

/// Plays seeds in the simulator, and makes those that fail small.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many virtual hours a steady one has.
    #[arg(long, default_value_t = 1)]
    hours: u64,
    /// Plays this plan instead: a file of JSON, as it was printed or kept.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "hours"])]
    plan: Option<PathBuf>,
    /// Plants a mistake: JSON, such as '"enters_twice"' or '{"model":"hash_order"}'.
    #[arg(long, value_parser = parse_bug)]
    bug: Option<Bug>,
    /// Where plans that fail are kept, a file each.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// How many runs may be spent on making one smaller.
    #[arg(long, default_value_t = 200)]
    shrink: u32,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Plays under the sync test, with this distance.
    #[arg(long)]
    sync: Option<u64>,
    /// Says of each seed what it was like.
    #[arg(long)]
    verbose: bool,
}

fn parse_bug(text: &str) -> Result<Bug, serde_json::Error> {
    serde_json::from_str(text)
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
    let plans: Vec<Plan> = plans
        .into_iter()
        .map(|plan| if let Some(bug) = arguments.bug.clone() { plan.with_bug(bug) } else { plan })
        .collect();
    let mut books = Books::new();
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
