//! Whole-system tests: the models that the simulator plays and how it plays them, and a harness for real programs.

#![deny(missing_debug_implementations, unreachable_pub)]

pub mod certificates;
pub mod ledger;
pub mod pace;
pub mod play;
pub mod program;
pub mod proxy;
pub mod teatime;
pub mod usage;
