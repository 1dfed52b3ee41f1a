//! The codes are the same in every language.

use std::collections::BTreeMap;

use strum::VariantArray;
use teatime_ffi::tea_status;

/// Names and numbers.
type Table = BTreeMap<String, i32>;

fn table() -> Table {
    tea_status::VARIANTS.iter().map(|code| (code.name().to_owned(), *code as i32)).collect()
}

/// The results of `entry` for the lines of a source.
fn read<'a>(source: &'a str, entry: impl Fn(&'a str) -> Option<(String, &'a str)>) -> Table {
    let entries = source.lines().filter_map(|line| {
        let (name, number) = entry(line.trim())?;
        Some((name, number.parse().ok()?))
    });
    entries.collect()
}

#[test]
fn the_header_has_all_codes() {
    let header = include_str!("../../../bindings/c/include/teatime.h");
    let found = read(header, |line| {
        let (name, number) = line.strip_prefix("TEA_STATUS_")?.split_once(" = ")?;
        Some((name.to_owned(), number.trim_end_matches(',')))
    });
    assert_eq!(found, table());
}

#[test]
fn the_swift_enum_has_all_codes() {
    let swift = include_str!("../../../bindings/swift/Sources/Teatime/TeatimeError+Code.swift");
    let found = read(swift, |line| {
        let (name, number) = line.strip_prefix("case ")?.split_once(" = ")?;
        let upper = name.chars().fold(String::new(), |mut upper, letter| {
            if letter.is_ascii_uppercase() {
                upper.push('_');
            }
            upper.push(letter.to_ascii_uppercase());
            upper
        });
        Some((upper.replace('`', ""), number))
    });
    assert_eq!(found, table());
}

#[test]
fn the_kotlin_enum_has_all_codes() {
    let kotlin = include_str!("../../../bindings/kotlin/src/main/kotlin/teatime/ErrorCode.kt");
    let found = read(kotlin, |line| {
        let (name, number) = line.split_once('(')?;
        let is_name =
            name.chars().all(|letter| letter.is_ascii_uppercase() || "_8".contains(letter));
        is_name.then(|| (name.to_owned(), number.trim_end_matches("),")))
    });
    assert_eq!(found, table());
}
