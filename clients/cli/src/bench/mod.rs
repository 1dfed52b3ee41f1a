//! `teatime bench`: measurements that print JSON.

use clap::{Args, Subcommand};

use crate::Failure;

/// Flags of `teatime bench`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.what {}
}
