//! Writes the pages of the reference that are made from the code: `cargo run --package teatime-tests --bin reference`. A
//! test fails if a page in the repository differs.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use teatime_tests::program::built;
use teatime_tests::reference::pages;
use teatime_tests::teatime::Teatime;

/// Writes the limits, error codes and commands into docs/reference.
#[derive(Parser)]
#[command(name = "reference")]
struct Arguments {
    /// Writes nothing: fails if a page differs from the code.
    #[arg(long)]
    check: bool,
}

fn run(check: bool) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the crate has no parent")?;
    for (file, page) in pages(root, &Teatime::at(built("teatime")))? {
        let path = root.join(&file);
        if !check {
            std::fs::write(&path, page).map_err(|why| format!("{}: {why}", file.display()))?;
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&page) {
            return Err(format!(
                "{} differs from the code: run this without --check",
                file.display()
            ));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(Arguments::parse().check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("reference: {why}");
            ExitCode::FAILURE
        }
    }
}
