//! Whole-system tests: the models that the simulator plays and how it plays them, and a harness for real programs.

#![deny(missing_debug_implementations, unreachable_pub)]

pub mod book;
pub mod certificates;
pub mod ledger;
pub mod pace;
#[cfg(unix)]
pub mod picture;
pub mod play;
pub mod program;
pub mod proxy;
pub mod reference;
pub mod teatime;
#[cfg(unix)]
pub mod terminal;
pub mod usage;
pub mod vectors;
