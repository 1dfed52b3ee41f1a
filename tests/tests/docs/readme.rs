//! The README: short, with one program that is a real file.

use std::path::Path;

use crate::blocks::blocks;
use crate::read;

const README: &str = "README.md";
const PROGRAM: &str = "core/teatime/examples/race.rs";

#[test]
fn the_readme_is_short_and_its_program_is_the_example() {
    let readme = read(Path::new(README));
    let lines = readme.lines().count();
    assert!(lines <= 130, "{lines} lines");
    let programs: Vec<_> =
        blocks(Path::new(README)).into_iter().filter(|block| block.language == "rust").collect();
    assert_eq!(programs.len(), 1);
    assert_eq!(programs[0].text, read(Path::new(PROGRAM)), "the README is not {PROGRAM}");
    // Lines that only a doc test needs.
    assert!(!readme.lines().any(|line| line.starts_with("# ") && line.ends_with(';')));
}
