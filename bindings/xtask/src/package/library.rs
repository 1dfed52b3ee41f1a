//! The library for Swift and Kotlin, and the code that uniffi generates from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{Result, at, run};
use crate::library::{Library, program};
use crate::workspace::root;

/// The name of the library, whatever crate it comes from: the Swift and Kotlin packages look for it.
pub(super) const NAME: &str = "teatime_mobile";

/// The library of an app's own crate, or the one that comes with the project.
pub(crate) fn library(folder: Option<PathBuf>, profile: &str) -> Result<Library> {
    let folder = folder.unwrap_or_else(|| root().join("bindings/mobile"));
    Ok(Library::new(&at(&folder, folder.canonicalize())?, profile))
}

/// Generates the code that calls a library, in a language.
pub(crate) fn generate(language: &str, library: &Path, into: &Path) -> Result<()> {
    at(into, fs::create_dir_all(into))?;
    run(Command::new(program("generate", "generate", "dev")?)
        // It asks cargo about the packages of the workspace.
        .current_dir(root())
        .arg("generate")
        .args(["--language", language, "--no-format", "--out-dir"])
        .arg(into)
        .arg("--library")
        .arg(library))
}

/// Generates Swift into one folder, its header and module map into another.
pub(super) fn generate_swift(library: &Path, code: &Path, header: &Path) -> Result<()> {
    generate("swift", library, code)?;
    at(header, fs::create_dir_all(header))?;
    for (from, to) in
        [("TeatimeFFIFFI.h", "TeatimeFFIFFI.h"), ("TeatimeFFIFFI.modulemap", "module.modulemap")]
    {
        let (from, to) = (code.join(from), header.join(to));
        at(&from, fs::rename(&from, &to))?;
    }
    Ok(())
}
