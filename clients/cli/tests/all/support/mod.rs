//! The program of this package, for the tests.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub(crate) mod recordings;
pub(crate) mod socket;

use std::path::PathBuf;

use teatime_tests::teatime::{Ended, Teatime};

pub(crate) use teatime_tests::program::{Program, texts};
pub(crate) use teatime_tests::teatime::listening;

/// The program.
pub(crate) fn teatime() -> Teatime {
    Teatime::at(env!("CARGO_BIN_EXE_teatime"))
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Ended {
    teatime().run(arguments, input)
}

/// A directory of one test alone.
pub(crate) fn private_directory(name: &str) -> PathBuf {
    teatime_tests::teatime::private_directory(env!("CARGO_TARGET_TMPDIR"), name)
}
