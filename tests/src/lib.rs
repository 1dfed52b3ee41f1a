//! Whole-system tests: the models that the simulator plays, what it does with them, and a harness for real
//! programs.

pub mod certificates;
pub mod ledger;
pub mod pace;
pub mod play;
pub mod program;
pub mod proxy;
pub mod usage;
