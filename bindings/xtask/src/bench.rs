//! Measures what calls of the C library cost, and how large it is.

use std::process::Command;

use crate::{Result, at, install, root};

/// Installs the release into the build folder, builds the benchmark in C against it, runs it, and
/// prints its one line of JSON with the size of the stripped library added.
pub(crate) fn bench() -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(|target| root().join(target));
    let prefix = target.unwrap_or_else(|| root().join("target")).join("bench-c");
    install::install(&prefix, "release", "")?;
    let (lib, program) = (prefix.join("lib"), prefix.join("bench"));
    install::run(
        Command::new("cc")
            .args(["-O2", "-std=c11", "-o"])
            .arg(&program)
            .arg(root().join("tests/c/bench.c"))
            .arg(format!("-I{}", prefix.join("include").display()))
            .arg(format!("-L{}", lib.display()))
            .arg(format!("-Wl,-rpath,{}", lib.display()))
            .arg("-lteatime"),
    )?;
    let output = at(&program, Command::new(&program).output())?;
    let line = String::from_utf8_lossy(&output.stdout);
    let mut report: serde_json::Value = serde_json::from_str(&line).map_err(|_| {
        format!("the benchmark failed: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let library = lib.join("libteatime.so");
    report["library_bytes"] = at(&library, std::fs::metadata(&library))?.len().into();
    report["target"] = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS).into();
    println!("{report}");
    Ok(())
}
