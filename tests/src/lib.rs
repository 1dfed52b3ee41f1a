//! Whole-system tests: a simulator that plays sessions in virtual time, the models it plays, and a
//! harness for real programs.

pub mod certificates;
pub mod ledger;
pub mod program;
pub mod proxy;
pub mod sim;
pub mod usage;
