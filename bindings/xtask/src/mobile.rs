//! What a checkout needs to build Swift and Kotlin on this machine: the library, and the code that
//! is generated from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{at, copy, run, write};
use crate::library::{self, Library};
use crate::{Result, package, root};

/// The name of the library, whatever crate it comes from: the packages for Swift and Kotlin look for
/// it.
pub(crate) const NAME: &str = "teatime_mobile";

/// What a program that links the static library must link besides.
const NATIVE_LIBRARIES: &str = "-lm -ldl -lpthread";

/// The library of an app's own crate, or the one that comes with the project.
pub(crate) fn library(folder: Option<PathBuf>, profile: &str) -> Result<Library> {
    let folder = folder.unwrap_or_else(|| root().join("bindings/mobile"));
    Ok(Library::new(&at(&folder, folder.canonicalize())?, profile))
}

/// Generates code for a language from a library.
pub(crate) fn generate(language: &str, library: &Path, into: &Path) -> Result<()> {
    at(into, fs::create_dir_all(into))?;
    run(Command::new(library::program("generate")?)
        // It asks cargo about the packages of the workspace.
        .current_dir(root())
        .arg("generate")
        .args(["--language", language, "--no-format", "--out-dir"])
        .arg(into)
        .arg("--library")
        .arg(library))
}

/// Generated Swift, header and module map to `Sources`, the static library to `native`; into bindings/swift,
/// or a package of its own for an app.
pub(crate) fn swift(library: &Library, own: Option<&Path>) -> Result<()> {
    let usual = root().join("bindings/swift");
    let into = own.unwrap_or(&usual);
    let built = library.build()?;
    if own.is_some() {
        package::swift::written_by_hand(into)?;
    }
    let (code, header) = (into.join("Sources/TeatimeFFI"), into.join("Sources/TeatimeFFIFFI"));
    swift_code(built.shared()?, &code, &header)?;
    let native = into.join("native");
    at(&native, fs::create_dir_all(&native))?;
    copy(built.archive()?, &native.join(format!("lib{NAME}.a")))?;
    let package = format!(
        "Name: Teatime\nDescription: The library behind the Swift package\nVersion: {}\n\
         Libs: -L${{pcfiledir}} -l{NAME} {NATIVE_LIBRARIES}\n",
        env!("CARGO_PKG_VERSION")
    );
    write(&native.join("teatime-mobile.pc"), &package)
}

/// Generated Swift to one folder, header and module map to another.
pub(crate) fn swift_code(library: &Path, code: &Path, header: &Path) -> Result<()> {
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

/// Generated Kotlin to bindings/kotlin; the shared library to `native` there or in an app's own project, in a
/// folder that is named as JNA names the platform.
pub(crate) fn kotlin(library: &Library, own: Option<&Path>) -> Result<()> {
    let usual = root().join("bindings/kotlin");
    let built = library.build()?;
    generate("kotlin", built.shared()?, &usual.join("generated"))?;
    let native = own.unwrap_or(&usual).join("native").join(jna_platform());
    at(&native, fs::create_dir_all(&native))?;
    let shared = built.shared()?;
    let extension = shared.extension().unwrap_or_default().to_string_lossy().into_owned();
    let target = native.join(format!("lib{NAME}.{extension}"));
    copy(shared, &target)?;
    if library.profile == "release" && cfg!(not(target_vendor = "apple")) {
        run(Command::new("strip").arg("--strip-unneeded").arg(&target))?;
    }
    Ok(())
}

/// The folder in which JNA looks for libraries of this platform.
fn jna_platform() -> String {
    let os = if cfg!(target_vendor = "apple") { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    format!("{os}-{arch}")
}
