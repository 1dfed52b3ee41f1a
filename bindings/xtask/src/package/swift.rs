//! The Swift package as apps get it: the content of bindings/swift, and the code that is generated from the
//! library.

use std::fs;
use std::path::{Path, PathBuf};

use super::library::generate_swift;
use super::{LICENSES, folder};
use crate::files::{Result, at, copy, remove, write};
use crate::workspace::root;

/// Writes the package without a library. Returns the folder in it with the library's header: the caller moves it
/// to the library.
pub(super) fn sources(library: &Path, into: &Path) -> Result<PathBuf> {
    copy_written_by_hand(into)?;
    let (code, unused) = (into.join("Sources/TeatimeFFI"), into.join("Sources/TeatimeFFIFFI"));
    folder::renew(&code)?;
    folder::renew(&unused)?;
    at(&unused, fs::remove_dir(&unused))?;
    let headers = into.join("headers");
    // A folder of its own, because Xcode puts the headers of all libraries of an app into one folder.
    let module = headers.join("TeatimeFFIFFI");
    generate_swift(library, &code, &module)?;
    link_frameworks(&module.join("module.modulemap"))?;
    Ok(headers)
}

/// Fails if a folder is neither empty nor a copy of the package: its content will be replaced.
pub(super) fn check_copy(folder: &Path) -> Result<()> {
    let own = root().join("bindings/swift");
    let is_copy = folder.join("Sources/TeatimeFFI").is_dir()
        && at(folder, folder.canonicalize())? != at(&own, own.canonicalize())?;
    if is_copy || at(folder, fs::read_dir(folder))?.next().is_none() {
        return Ok(());
    }
    Err(format!("{}: expected an empty folder, or a copy of the Swift package", folder.display()))
}

/// Copies the content of bindings/swift.
pub(super) fn copy_written_by_hand(into: &Path) -> Result<()> {
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

/// Where the manifest names the XCFramework in the package itself.
const OWN: &str = "path: \"native/Teatime.xcframework\"";

/// Makes the package that downloads the XCFramework, from the one that has it. Swift finds such a package in the
/// repository that has its files at the top.
pub(super) fn downloading(whole: &Path, into: &Path, url: &str, sum: &str) -> Result<()> {
    folder::renew(into)?;
    for name in ["Sources", "Tests"] {
        folder::copy(&whole.join(name), &into.join(name))?;
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT", LICENSES] {
        // Only a release has all of them.
        if whole.join(name).is_file() {
            copy(&whole.join(name), &into.join(name))?;
        }
    }
    let manifest = whole.join("Package.swift");
    let text = at(&manifest, fs::read_to_string(&manifest))?;
    if !text.contains(OWN) {
        return Err(format!("{}: expected {OWN}", manifest.display()));
    }
    let text = text.replace(OWN, &format!("url: \"{url}\", checksum: \"{sum}\""));
    write(&into.join("Package.swift"), &text)
}

/// Links the system's frameworks that the static library needs into each program that imports the module.
fn link_frameworks(map: &Path) -> Result<()> {
    let text = at(map, fs::read_to_string(map))?;
    let body =
        text.trim_end().strip_suffix('}').ok_or("the module map does not end with a brace")?;
    let links =
        ["CoreFoundation", "Security"].map(|name| format!("    link framework \"{name}\"\n"));
    remove(map)?;
    write(map, &format!("{}\n{}}}\n", body.trim_end(), links.concat()))
}
