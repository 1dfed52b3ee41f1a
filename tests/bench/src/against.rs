//! Runs the benchmarks of two programs in turn, and compares them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;
use crate::ratios::{Figures, compare};

/// What is compared, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The `teatime-bench` to compare with: that of the release before.
    old: PathBuf,
    /// The program to measure. Without this, it is this one.
    #[arg(long, value_name = "PATH")]
    new: Option<PathBuf>,
    /// Number of times that each program runs, in turn with the other.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The benchmarks to run. Without this, all that measure CPU time.
    #[arg(long, value_name = "BENCHMARK")]
    only: Option<Benchmark>,
    /// Fail if a row takes more CPU time than the old program by more than this.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    worse_than: f64,
}

/// The benchmarks that measure CPU time.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Benchmark {
    Vm,
    Reflector,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Reflector => "reflector",
        }
    }
}

/// The comparison, for programs and for people.
pub(crate) struct Outcome {
    pub(crate) report: Value,
    pub(crate) table: String,
    /// Number of rows that are worse than is allowed.
    pub(crate) worse: usize,
}

/// Measures both programs. One run of each follows the other, so that both meet the same moods of the machine.
pub(crate) fn run(options: &Options, quick: bool) -> Result<Outcome, Failure> {
    let own = std::env::current_exe()?;
    let new = options.new.as_deref().unwrap_or(&own);
    let benchmarks = match options.only {
        Some(one) => vec![one],
        None => vec![Benchmark::Vm, Benchmark::Reflector],
    };
    let (mut old_figures, mut new_figures) = (Figures::default(), Figures::default());
    for benchmark in benchmarks {
        for _ in 0..options.runs {
            old_figures.add(&measure(&options.old, benchmark, quick)?);
            new_figures.add(&measure(new, benchmark, quick)?);
        }
    }
    let comparison = compare(&old_figures, &new_figures);
    if comparison.rows.is_empty() {
        return Err("the two programs have no row in common".into());
    }
    let worse = comparison.worse_than(options.worse_than).len();
    let mut report = serde_json::to_value(&comparison)?;
    report["runs"] = options.runs.into();
    report["worse_than_percent"] = options.worse_than.into();
    report["worse"] = worse.into();
    Ok(Outcome { report, table: comparison.table(), worse })
}

/// The report of one run of one program.
fn measure(program: &Path, benchmark: Benchmark, quick: bool) -> Result<Value, Failure> {
    let name = format!("{} {}", program.display(), benchmark.name());
    let mut command = Command::new(command_path(program));
    command.args([benchmark.name(), "--json"]).args(quick.then_some("--quick"));
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} failed ({}): {}", output.status, said.trim()).into());
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("expected JSON from {name}: {error}"))?;
    if !report["rows"].is_array() {
        return Err(format!("expected rows in the JSON from {name}, found none").into());
    }
    Ok(report)
}

/// A path without a folder names a file here, not a program of the search path.
fn command_path(program: &Path) -> PathBuf {
    if program.parent().map(Path::as_os_str) == Some(OsStr::new("")) {
        Path::new(".").join(program)
    } else {
        program.to_owned()
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| percent.is_finite() && *percent >= 0.0);
    percent.ok_or_else(|| "expected a percentage of at least 0".into())
}
