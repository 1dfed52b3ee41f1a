//! Builds what Swift and Kotlin on this machine need: the library and the generated code.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::library::{NAME, generate, generate_swift};
use super::swift;
use crate::files::{Result, at, copy, run, write};
use crate::library::{Built, Library};
use crate::workspace::{ON_APPLE, root};

/// What a program that links the static library must link as well.
const NATIVE_LIBRARIES: &str = "-lm -ldl -lpthread";

/// Writes generated Swift, header and module map to `Sources`, and the static library to `native`. `own` is the
/// folder of an app's own copy of the package; without one both go into bindings/swift.
pub(crate) fn make_swift(library: &Library, own: Option<&Path>) -> Result<()> {
    let usual = root().join("bindings/swift");
    let into = own.unwrap_or(&usual);
    if own.is_some() {
        swift::check_copy(into)?;
    }
    let built = library.build()?;
    if own.is_some() {
        swift::copy_written_by_hand(into)?;
    }
    let (code, header) = (into.join("Sources/TeatimeFFI"), into.join("Sources/TeatimeFFIFFI"));
    generate_swift(built.shared()?, &code, &header)?;
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

/// Writes generated Kotlin to bindings/kotlin. The shared library goes to `native` there, or in the app's project
/// `own`, into a folder with JNA's name for the platform.
pub(crate) fn make_kotlin(library: &Library, own: Option<&Path>) -> Result<()> {
    let usual = root().join("bindings/kotlin");
    let built = library.build()?;
    generate("kotlin", built.shared()?, &usual.join("generated"))?;
    copy_native(library, &built, &own.unwrap_or(&usual).join("native"))
}

/// Copies the shared library below a folder, to where JNA looks for it.
pub(crate) fn copy_native(library: &Library, built: &Built, into: &Path) -> Result<()> {
    let native = into.join(jna_platform());
    at(&native, fs::create_dir_all(&native))?;
    let shared = built.shared()?;
    let extension = shared.extension().unwrap_or_default().to_string_lossy().into_owned();
    let target = native.join(format!("lib{NAME}.{extension}"));
    copy(shared, &target)?;
    if library.profile == "release" && !ON_APPLE {
        run(Command::new("strip").arg("--strip-unneeded").arg(&target))?;
    }
    Ok(())
}

/// The folder in which JNA looks for libraries of this platform.
pub(crate) fn jna_platform() -> String {
    let os = if ON_APPLE { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    format!("{os}-{arch}")
}
