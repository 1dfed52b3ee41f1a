//! Runs the packaging with the tools that tests/cross-setup installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// Settings to compile fast: these tests do not depend on the speed of the library.
const QUICK: [&str; 8] = [
    "--config",
    "profile.dev.package.\"*\".opt-level=0",
    "--config",
    "profile.dev.opt-level=0",
    "--config",
    "profile.dev.debug=false",
    "--config",
    "profile.dev.incremental=false",
];

/// The top of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// A folder in cargo's target folder that stays from run to run.
pub(crate) fn build_folder(name: &str) -> PathBuf {
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder inside the target folder");
    target.join("cross").join(name)
}

/// A new empty folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The targets to build: all of them with TEATIME_RELEASE.
pub(crate) fn targets<'a>(usual: &'a str, all: &[&'a str]) -> Vec<&'a str> {
    if std::env::var_os("TEATIME_RELEASE").is_some() { all.to_vec() } else { vec![usual] }
}

/// Installs the tools to build for targets. Returns false if that is not possible, and fails with CI=true.
pub(crate) fn prepare(targets: &[&str]) -> bool {
    // Two tests at once would both install.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let output = Command::new(root().join("tests/cross-setup")).args(targets).output();
    let output = output.expect("tests/cross-setup runs");
    let why = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => true,
        Some(77) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("skipped: {why}");
            false
        }
        _ => panic!("tests/cross-setup: {}: {why}", output.status),
    }
}

/// Runs `cargo xtask package` for targets, with this NDK or with none, and expects success. Returns its standard
/// error.
pub(crate) fn package(
    platform: &str,
    options: &[&str],
    targets: &[&str],
    into: &Path,
    build: &Path,
    ndk: Option<&Path>,
) -> String {
    let mut command = xtask();
    command.args(["package", platform, "--profile", "dev", "--into"]).arg(into);
    command.args(options);
    for target in targets {
        command.args(["--target", target]);
    }
    match ndk {
        Some(ndk) => command.env("ANDROID_NDK_HOME", ndk),
        None => command.env_remove("ANDROID_NDK_HOME"),
    };
    let output = run(command.arg("--").args(QUICK).arg("--target-dir").arg(build));
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {messages}", output.status);
    messages
}

/// The program under test.
pub(crate) fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-xtask"));
    command.current_dir(root());
    command
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program and expects success.
pub(crate) fn succeed(command: &mut Command) {
    let output = run(command);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {messages}", output.status);
}

/// Checks the checksums in a folder with `sha256sum`. They must be those of exactly these files.
pub(crate) fn check_checksums(folder: &Path, names: &[&str]) {
    let text = fs::read_to_string(folder.join("SHA256SUMS")).expect("checksums");
    let named: Vec<_> = text.lines().filter_map(|line| Some(line.split_once("  ")?.1)).collect();
    assert_eq!(named, names);
    let strict = ["--check", "--strict", "SHA256SUMS"];
    succeed(Command::new("sha256sum").args(strict).current_dir(folder));
}
