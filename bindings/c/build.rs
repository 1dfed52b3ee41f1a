//! Asks the linker of a release to merge functions with the same code, if it can: generic functions often differ by name only.

use std::path::Path;
use std::process::Command;

/// Rust's own linker on Linux knows it, and so do LLVM's and gold.
const MERGE: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && can_merge() {
        println!("cargo::rustc-link-arg-cdylib={MERGE}");
    }
}

/// Links an empty library, as cargo will link the real one.
fn can_merge() -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (folder, linker, flags) =
        (variable("OUT_DIR"), variable("RUSTC_LINKER"), variable("CARGO_ENCODED_RUSTFLAGS"));
    let source = Path::new(&folder).join("empty.rs");
    if std::fs::write(&source, "").is_err() {
        return false;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--crate-type", "cdylib", "--target", &variable("TARGET"), "--out-dir", &folder]);
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if !linker.is_empty() {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let output = rustc.args(["-C", &format!("link-arg={MERGE}")]).arg(&source).output();
    output.is_ok_and(|output| output.status.success())
}
