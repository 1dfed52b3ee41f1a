//! The `teatime` program.

fn main() {}
