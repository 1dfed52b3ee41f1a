//! The program of this package, for the tests.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub mod socket;

use std::path::PathBuf;

use teatime_tests::teatime::{Ended, Teatime};

pub use teatime_tests::program::{Program, texts};
pub use teatime_tests::teatime::listening;

/// The program.
pub fn teatime() -> Teatime {
    Teatime::at(env!("CARGO_BIN_EXE_teatime"))
}

/// Runs a command to its end.
pub fn run(arguments: &[&str], input: &str) -> Ended {
    teatime().run(arguments, input)
}

/// A directory of one test alone.
pub fn private_directory(name: &str) -> PathBuf {
    teatime_tests::teatime::private_directory(env!("CARGO_TARGET_TMPDIR"), name)
}
