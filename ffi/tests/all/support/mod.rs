//! Installs the library as a user would, and builds C programs against it.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod exports;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

pub use teatime_tests::program::finish as run;
use teatime_tests::program::forget_cargo;
use teatime_tests::teatime::Teatime;

/// The library, installed.
pub static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| install("prefix", ""));

/// The same with `tea_inject_panic`.
pub static PANICKING: LazyLock<PathBuf> = LazyLock::new(|| install("panicking", "panic-injection"));

/// The top of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// A place for what the tests build.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The folder of what is built.
pub fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder")
}

/// Cargo, at the top of the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    forget_cargo(&mut command);
    command.current_dir(root());
    command
}

/// One at a time: cargo builds both under one name.
static INSTALLING: Mutex<()> = Mutex::new(());

fn install(name: &str, features: &str) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock();
    let prefix = scratch(name);
    let installed = cargo()
        .args(["xtask", "install", "--profile", "dev", "--features", features, "--prefix"])
        .arg(&prefix)
        .status();
    assert!(installed.expect("cargo is there").success());
    prefix
}

/// How pkg-config says that programs are built with some packages, ours among them.
fn pkg_config(prefix: &Path, packages: &str) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = run(command.args(["--cflags", "--libs"]).args(packages.split(' ')));
    flags.split_whitespace().map(str::to_owned).collect()
}

/// Compiles C as the README does: with what pkg-config says of some packages.
pub fn compile(
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
pub fn client(name: &str) -> PathBuf {
    let program = scratch(name);
    let source = root().join("clients/c").join(name).with_extension("c");
    compile("cc", &PREFIX, "teatime", &["-std=c11"], &[source], &program);
    program
}

/// The program `teatime`.
pub fn teatime() -> Teatime {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        run(cargo().args(["build", "--locked", "--package", "teatime-cli"]));
        target().join("debug/teatime")
    });
    Teatime::at(&*BUILT)
}
