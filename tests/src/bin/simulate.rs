//! Plays seeds in the simulator, and makes those that fail small.
//!
//! Prints one line of JSON for each seed that fails, with the smallest plan that fails in the same way,
//! and one for all of them together. Ends with 1 if one has failed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use teatime_tests::sim::{self, Bug, Plan};

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
        Some(path) => {
            let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
            let plan = read
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
                .and_then(|plan: Plan| plan.check().map(|()| plan));
            match plan {
                Ok(plan) => vec![plan],
                Err(error) => {
                    eprintln!("{}: {error}", path.display());
                    return ExitCode::from(2);
                }
            }
        }
        None => {
            let seeds = arguments.seed..arguments.seed.saturating_add(arguments.seeds);
            seeds.map(|seed| Plan::new(seed, arguments.hours)).collect()
        }
    };
    let plans: Vec<Plan> = plans
        .into_iter()
        .map(|plan| if let Some(bug) = arguments.bug { plan.with_bug(bug) } else { plan })
        .collect();
    let campaign = sim::Campaign::play(&plans, arguments.jobs, arguments.shrink, |plan, result| {
        if arguments.verbose {
            println!("{}", serde_json::json!({ "seed": plan.seed, "run": result }));
        }
    });
    for failure in &campaign.failures {
        println!("{}", serde_json::json!(failure));
        if let Some(folder) = &arguments.keep {
            let path = folder.join(format!("{}.json", failure.seed));
            let text = serde_json::to_string_pretty(&failure.plan).expect("it is plain data");
            if let Err(error) =
                std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text))
            {
                eprintln!("{}: {error}", path.display());
            }
        }
    }
    println!("{}", serde_json::json!(campaign.summary));
    ExitCode::from(u8::from(!campaign.failures.is_empty()))
}
