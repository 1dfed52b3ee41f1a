//! Whole-system tests: a simulator that plays sessions in virtual time, and the models it plays.

pub mod ledger;
pub mod sim;
