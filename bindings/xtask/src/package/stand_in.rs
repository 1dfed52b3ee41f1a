//! Replaces Xcode and the NDK where they are missing, by clang with headers from the package ziglang. Both are
//! installed by tests/cross-setup. That is enough to compile the parts in C, but not to link.

use std::path::PathBuf;

use crate::files::{Result, runs};
use crate::library::Library;

/// The compiler, under its name in Debian. Older versions cannot read these headers.
const CLANG: &str = "clang-19";
const AR: &str = "llvm-ar-19";

/// The folder of this release of ziglang; tests/cross-setup uses the same name.
const HEADERS: &str = "teatime/ziglang-0.17.0";

/// Sets up the C compiler for Apple's systems.
pub(crate) fn apple(library: Library, triple: &str) -> Result<Library> {
    Ok(tools(library, triple).with_environment("SDKROOT", headers()?.join("apple-sdk")))
}

/// Sets up the C compiler for Android. Its own headers are in the NDK; the library needs so little of them that
/// those of another libc for Linux are enough.
pub(crate) fn android(library: Library, triple: &str, clang: &str, arch: &str) -> Result<Library> {
    let headers = headers()?.join("include");
    let mut flags = format!("--target={clang} -nostdlibinc");
    for folder in [
        format!("{arch}-linux-musl"),
        "generic-musl".to_owned(),
        format!("{arch}-linux-any"),
        "any-linux-any".to_owned(),
    ] {
        flags += &format!(" -isystem {}", headers.join(folder).display());
    }
    let name = format!("CFLAGS_{}", triple.replace('-', "_"));
    Ok(tools(library, triple).with_environment(&name, flags))
}

fn tools(library: Library, triple: &str) -> Library {
    let suffix = triple.replace('-', "_");
    library
        .with_environment(&format!("CC_{suffix}"), CLANG)
        .with_environment(&format!("AR_{suffix}"), AR)
}

/// Fails if it is not installed.
pub(super) fn check() -> Result<()> {
    headers()?;
    match [CLANG, AR].iter().find(|tool| !runs(tool)) {
        Some(tool) => Err(format!("{tool} does not run: run tests/cross-setup")),
        None => Ok(()),
    }
}

fn headers() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = cache.map(PathBuf::from).or_else(home).ok_or("HOME is not set")?.join(HEADERS);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(format!(
        "{}: not found: run tests/cross-setup, or build on a machine with Xcode or an NDK",
        folder.display()
    ))
}
