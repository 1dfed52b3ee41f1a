//! Writes the vectors that other implementations check themselves by: `cargo run --package teatime-tests --bin vectors`. A
//! test fails if the files in the repository differ from what the code makes and reads.

use std::process::ExitCode;

use clap::Parser;
use teatime_tests::vectors;

/// Writes the vectors into tests/vectors.
#[derive(Parser)]
#[command(name = "vectors")]
struct Arguments {
    /// Writes nothing: fails if a file differs from the code.
    #[arg(long)]
    check: bool,
}

fn run(check: bool) -> Result<(), String> {
    for file in vectors::all() {
        if check {
            file.check()?;
        } else {
            let path = file.path();
            std::fs::write(&path, file.text())
                .map_err(|why| format!("{}: {why}", path.display()))?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    // A handler of the board panics on purpose.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.to_string();
        if !message.ends_with("is odd") {
            eprintln!("{message}");
        }
    }));
    match run(Arguments::parse().check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("vectors: {why}");
            ExitCode::FAILURE
        }
    }
}
