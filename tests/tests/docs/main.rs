//! The documentation: links, programs, commands, and pages that are made from the code.

mod blocks;
mod code;
mod drawing;
mod links;
mod protocol;
mod readme;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the repository.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the crate is in the workspace").to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// Every page of the book, by its path below the root.
fn book() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder is there") {
            let entry = entry.expect("the folder can be read");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                // What mdbook makes.
                if path != Path::new("docs/book") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Every page that people read: the book, and the pages beside the code.
fn pages() -> Vec<PathBuf> {
    let beside = [
        "README.md",
        "CONTRIBUTING.md",
        "CODE_OF_CONDUCT.md",
        "RELEASING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "core/store/BENCH.md",
        "core/vm/MODEL.md",
        "core/wire/PROTOCOL.md",
        "bindings/kotlin/README.md",
        "bindings/swift/README.md",
        "clients/kotlin/README.md",
        "clients/swift/README.md",
        "tests/PROMISES.md",
        "tests/vectors/README.md",
    ];
    beside.into_iter().map(PathBuf::from).chain(book()).collect()
}
