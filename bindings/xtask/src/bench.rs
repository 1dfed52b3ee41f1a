//! Measures the time of calls of the C library, and its size.

use std::process::Command;

use crate::files::{Result, at, run};
use crate::install;
use crate::library::Library;
use crate::workspace::{root, target_folder};

/// Installs the library without and with TLS into the build folder, and runs the benchmark in C against it.
/// Prints the benchmark's line of JSON, with the sizes of both stripped libraries added.
pub(crate) fn bench(profile: &str) -> Result<()> {
    let target = target_folder();
    let (prefix, with_tls) = (target.join("bench-c"), target.join("bench-c-tls"));
    install::install(&with_tls, &Library::for_c(profile))?;
    install::install(&prefix, &Library::for_c(profile).with(&["--no-default-features"]))?;
    let (lib, program) = (prefix.join("lib"), prefix.join("bench"));
    run(Command::new("cc")
        .args(["-O2", "-std=c11", "-o"])
        .arg(&program)
        .arg(root().join("tests/c/bench.c"))
        .arg(format!("-I{}", prefix.join("include").display()))
        .arg(format!("-L{}", lib.display()))
        .arg(format!("-Wl,-rpath,{}", lib.display()))
        .arg("-lteatime"))?;
    let output = at(&program, Command::new(&program).output())?;
    let line = String::from_utf8_lossy(&output.stdout);
    let mut report: serde_json::Value = serde_json::from_str(&line).map_err(|_| {
        format!("the benchmark failed: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    for (name, prefix) in [("library_bytes", &prefix), ("library_with_tls_bytes", &with_tls)] {
        let library = prefix.join("lib/libteatime.so");
        report[name] = at(&library, std::fs::metadata(&library))?.len().into();
    }
    report["target"] = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS).into();
    println!("{report}");
    Ok(())
}
