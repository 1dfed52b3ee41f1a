//! The tests of the benchmarks, in one program.

mod against;
mod rows;
