//! Finds a Rust that builds for a target: one with the standard library of the target, or with its source.

use std::path::Path;
use std::process::Command;

use crate::files::Result;
use crate::library::Library;

/// Debian's packages rustc-web, cargo-web and rust-web-src.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// A library, to be built for a target.
pub(crate) fn for_target(library: Library, triple: &str) -> Result<Library> {
    check(triple)?;
    let library = library.with(&["--target", triple]);
    Ok(if is_installed(triple) { library } else { from_source(library) })
}

/// Fails if no Rust here builds for a target.
pub(crate) fn check(triple: &str) -> Result<()> {
    let debian = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_SOURCE];
    if is_installed(triple) || debian.iter().all(|file| Path::new(file).exists()) {
        return Ok(());
    }
    Err(format!(
        "Rust's standard library for {triple} is missing: run `rustup target add {triple}`, or \
         tests/cross-setup on Debian"
    ))
}

/// Whether the compiler has the standard library of a target.
fn is_installed(triple: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", triple]).output();
    output.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists()
    })
}

/// Builds the standard library too; RUSTC_BOOTSTRAP lets a stable compiler do so. It unwinds, because the library
/// catches panics.
fn from_source(library: Library) -> Library {
    let mut library = library
        .with(&["-Zbuild-std=std,panic_unwind"])
        .with_environment("RUSTC", DEBIAN_RUSTC)
        .with_environment("RUSTC_BOOTSTRAP", "1");
    library.cargo = Some(DEBIAN_CARGO.into());
    library
}
