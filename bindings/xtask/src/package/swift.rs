//! The Swift package as it is handed out: what bindings/swift holds, with the code that is generated
//! from the library at hand.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder;
use crate::files::{at, copy, remove, write};
use crate::{Result, mobile, root};

/// Writes the package, without a library, and returns the folder in it with the header of the
/// library, to be moved to where that is.
pub(super) fn sources(library: &Path, into: &Path) -> Result<PathBuf> {
    written_by_hand(into)?;
    let (code, unused) = (into.join("Sources/TeatimeFFI"), into.join("Sources/TeatimeFFIFFI"));
    folder::renew(&code)?;
    folder::renew(&unused)?;
    at(&unused, fs::remove_dir(&unused))?;
    let headers = into.join("headers");
    // A folder of its own: Xcode puts the headers of all libraries of an app into one.
    let module = headers.join("TeatimeFFIFFI");
    mobile::swift_code(library, &code, &module)?;
    link_frameworks(&module.join("module.modulemap"))?;
    Ok(headers)
}

/// Writes what bindings/swift holds.
pub(crate) fn written_by_hand(into: &Path) -> Result<()> {
    folder::renew(into)?;
    let from = root().join("bindings/swift");
    copy(&from.join("Package.swift"), &into.join("Package.swift"))?;
    for name in ["Sources", "Tests"] {
        folder::copy(&from.join(name), &into.join(name))?;
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(name), &into.join(name))?;
    }
    Ok(())
}

/// Has whoever imports the module link what the static library needs of the system.
fn link_frameworks(map: &Path) -> Result<()> {
    let text = at(map, fs::read_to_string(map))?;
    let body = text.trim_end().strip_suffix('}').ok_or("the module map has no end")?;
    let links =
        ["CoreFoundation", "Security"].map(|name| format!("    link framework \"{name}\"\n"));
    remove(map)?;
    write(map, &format!("{}\n{}}}\n", body.trim_end(), links.concat()))
}
