//! Makes every build of the tests give third-party crates the same features.
//!
//! Cargo gives a crate the features that the packages of one command ask for. Built alone, the C library asks
//! for fewer than the whole workspace does, and cargo would compile most third-party crates again for it. This package
//! asks for all of them: `cargo build --package teatime-c --package teatime-third-party` takes what is built already.
