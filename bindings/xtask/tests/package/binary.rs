//! Reads the symbols of libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::read::macho::MachOFatFile32;
use object::{Architecture, Object, ObjectSymbol};

use crate::cross::root;

/// The functions of the library that a generated file names.
pub(crate) fn declared(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).expect("a generated file");
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_' && one != '(');
    let functions = words.filter_map(|word| Some(word.split_once("(")?.0));
    let ours = |name: &&str| ["uniffi_", "ffi_"].iter().any(|start| name.starts_with(start));
    let found: BTreeSet<_> = functions.filter(ours).map(str::to_owned).collect();
    assert!(found.len() > 50, "the file names only {found:?}");
    found
}

/// The objects of a static library, for one of its architectures if it has several.
pub(crate) fn members(archive: &[u8], architecture: Architecture) -> Vec<&[u8]> {
    let archive = match MachOFatFile32::parse(archive) {
        Ok(fat) => fat
            .arches()
            .iter()
            .find(|one| object::read::macho::FatArch::architecture(*one) == architecture)
            .map(|one| object::read::macho::FatArch::data(one, archive).expect("a library"))
            .expect("the architecture"),
        Err(_) => archive,
    };
    let members = ArchiveFile::parse(archive).expect("a static library");
    let data = members.members().map(|one| one.expect("a member").data(archive).expect("data"));
    let objects: Vec<_> = data.filter(|data| object::File::parse(*data).is_ok()).collect();
    assert!(objects.len() > 10, "only {} objects", objects.len());
    for data in &objects {
        let found = object::File::parse(*data).expect("an object").architecture();
        assert_eq!(found, architecture);
    }
    objects
}

/// The names that objects define for others.
pub(crate) fn defined(objects: &[&[u8]]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for data in objects {
        let file = object::File::parse(*data).expect("an object");
        names.extend(
            file.symbols()
                .filter(|one| one.is_global() && !one.is_undefined())
                .map(|one| name(&file, &one)),
        );
    }
    names
}

/// The exports of a shared library, and its imports that are not weak.
pub(crate) fn linked(library: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let file = object::File::parse(library).expect("a shared library");
    let exports = file.exports().expect("exports").into_iter();
    let exports = exports.map(|one| plain(&file, &String::from_utf8_lossy(one.name())));
    let symbols: Vec<_> = match file.format() {
        object::BinaryFormat::Elf => file.dynamic_symbols().collect(),
        _ => file.symbols().collect(),
    };
    let needed = symbols
        .into_iter()
        .filter(|one| one.is_undefined() && !one.is_weak())
        .map(|one| name(&file, &one));
    (exports.collect(), needed.filter(|name| !name.is_empty()).collect())
}

/// Fails if a library imports a name that the lists of the platform do not have.
pub(crate) fn check_needed(needed: &BTreeSet<String>, lists: &[&str]) {
    let known: BTreeSet<_> = lists.iter().flat_map(|list| known(list)).collect();
    let strangers: Vec<_> = needed.difference(&known).collect();
    assert!(strangers.is_empty(), "not in the lists {lists:?}: {strangers:?}");
}

/// The names that a platform has, among those that the library may need.
pub(crate) fn known(platform: &str) -> BTreeSet<String> {
    let path = root().join(format!("bindings/xtask/tests/package/{platform}.symbols"));
    let text = fs::read_to_string(path).expect("the list of the platform's functions");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn name<'data>(file: &object::File<'data>, symbol: &impl ObjectSymbol<'data>) -> String {
    plain(file, symbol.name().expect("a symbol has a name"))
}

/// A name as in C; Apple's files put an underscore before it.
fn plain(file: &object::File<'_>, name: &str) -> String {
    match file.format() {
        object::BinaryFormat::MachO => name.strip_prefix('_').unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    }
}
