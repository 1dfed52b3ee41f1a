//! Every promise has a test that names its number.

use std::collections::BTreeSet;
use std::path::Path;

/// The numbers in names such as `acceptance_4_5_what`, in all tests of the workspace.
fn proved(directory: &Path, numbers: &mut BTreeSet<u32>) {
    for entry in std::fs::read_dir(directory).expect("it is a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                proved(&path, numbers);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for (_, name) in
                text.match_indices("acceptance_").map(|(at, m)| (at, &text[at + m.len()..]))
            {
                numbers.extend(name.split('_').map_while(|part| part.parse::<u32>().ok()));
            }
        }
    }
}

#[test]
fn every_promise_is_proved_by_a_test_that_names_it() {
    let promises: BTreeSet<u32> = include_str!("../PROMISES.md")
        .lines()
        .filter_map(|line| line.split_once(". ")?.0.parse().ok())
        .collect();
    assert_eq!(promises, (1..=44).collect());
    let mut numbers = BTreeSet::new();
    proved(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut numbers);
    let missing: Vec<_> = promises.difference(&numbers).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}
