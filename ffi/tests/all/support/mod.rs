//! Installs the library as a user would, and builds C programs against it.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod exports;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

pub(crate) use teatime_tests::program::finish as run;
use teatime_tests::program::{built, forget_cargo};
use teatime_tests::teatime::Teatime;

/// The prefix of the installed library.
pub(crate) static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| install("prefix", ""));

/// The prefix of the library with `tea_inject_panic`.
pub(crate) static PANICKING: LazyLock<PathBuf> =
    LazyLock::new(|| install("panicking", "panic-injection"));

/// The top of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// A folder for what the tests build.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Cargo's target folder.
pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder")
}

/// Cargo, at the top of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    forget_cargo(&mut command);
    command.current_dir(root());
    command
}

/// `cargo xtask`, which builds libraries from the crates that are compiled already.
pub(crate) fn xtask() -> Command {
    let mut command = Command::new(built("teatime-xtask"));
    forget_cargo(&mut command);
    command.current_dir(root()).env("TEATIME_ALONG", "teatime-third-party");
    command
}

/// One at a time: cargo builds both under one name.
static INSTALLING: Mutex<()> = Mutex::new(());

fn install(name: &str, features: &str) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock();
    let prefix = scratch(name);
    let installed = xtask()
        .args(["install", "--profile", "dev", "--features", features, "--prefix"])
        .arg(&prefix)
        .status();
    assert!(installed.expect("it is built").success());
    prefix
}

/// The flags that pkg-config prints for some packages, ours among them.
fn pkg_config(prefix: &Path, packages: &str) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = run(command.args(["--cflags", "--libs"]).args(packages.split(' ')));
    flags.split_whitespace().map(str::to_owned).collect()
}

/// Compiles C as the README does: with the flags that pkg-config prints.
pub(crate) fn compile(
    cc: &str,
    prefix: &Path,
    packages: &str,
    flags: &[&str],
    files: &[PathBuf],
    to: &Path,
) {
    let mut command = Command::new(cc);
    command.args(["-g", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]).args(flags);
    command.args(files).args(pkg_config(prefix, packages));
    let search = format!("-Wl,-rpath,{}", prefix.join("lib").display());
    run(command.args([&search, "-o"]).arg(to));
}

/// A C program of the clients, built against the shared library.
pub(crate) fn client(name: &str) -> PathBuf {
    let program = scratch(name);
    let source = root().join("clients/c").join(name).with_extension("c");
    compile("cc", &PREFIX, "teatime", &["-std=c11"], &[source], &program);
    program
}

/// The program `teatime`.
pub(crate) fn teatime() -> Teatime {
    Teatime::at(built("teatime"))
}
