//! What a store needs of a file system, and the two file systems that offer it.

#[expect(clippy::module_inception, reason = "the file has the trait `Disk`")]
pub(crate) mod disk;
mod faults;
pub(crate) mod memory;
pub(crate) mod real;
