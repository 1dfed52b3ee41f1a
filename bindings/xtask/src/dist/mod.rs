//! What a release offers for this kind of machine: archives, Debian packages, crates, a list of all parts, checksums.

mod debian;
mod parts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{Result, at, copy, run, write};
use crate::install;
use crate::library::Library;
use crate::package::checksums::write_checksums;
use crate::workspace::{root, target_folder};

/// The version of everything in this repository.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes everything, in a folder that must not exist or be empty.
pub(crate) fn make(into: &Path, profile: &str) -> Result<()> {
    at(into, fs::create_dir_all(into))?;
    let into = &at(into, into.canonicalize())?;
    if at(into, fs::read_dir(into))?.next().is_some() {
        return Err(format!("{}: expected an empty folder", into.display()));
    }
    let machine = machine()?;
    let work = &into.join("work");
    let program = work.join(format!("teatime-{VERSION}-{machine}"));
    stage_program(&program, profile)?;
    let library = work.join(format!("teatime-c-{VERSION}-{machine}"));
    stage_library(&library, profile)?;
    for folder in [&program, &library] {
        archive(folder, into)?;
    }
    if debian::is_here() {
        debian::package_program(&program, work, into)?;
        debian::package_library(&library, work, into)?;
    }
    write(&into.join("teatime.cdx.json"), &parts::list()?)?;
    pack_crates(into)?;
    at(work, fs::remove_dir_all(work))?;
    let mut names: Vec<_> = at(into, fs::read_dir(into))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    write_checksums(into, &names)
}

/// The kind of machine that the compiler builds for.
fn machine() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| format!("rustc -vV: expected a line \"host:\", found:\n{text}"))
}

/// Cargo, at the top of the workspace.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root());
    cargo
}

/// The program with its man pages and completions, as it lies below `/usr`.
fn stage_program(folder: &Path, profile: &str) -> Result<()> {
    run(cargo().args(["build", "--locked", "--package", "teatime-cli", "--profile", profile]))?;
    let built =
        target_folder().join(if profile == "dev" { "debug" } else { profile }).join("teatime");
    let make = |name: &str| {
        let folder = folder.join(name);
        at(&folder, fs::create_dir_all(&folder)).map(|()| folder)
    };
    let program = make("bin")?.join("teatime");
    copy(&built, &program)?;
    run(Command::new("strip").arg(&program))?;
    run(Command::new(&program).arg("man").arg(make("share/man/man1")?))?;
    for (shell, folder, file) in [
        ("bash", "share/bash-completion/completions", "teatime"),
        ("zsh", "share/zsh/vendor-completions", "_teatime"),
        ("fish", "share/fish/vendor_completions.d", "teatime.fish"),
    ] {
        let script = Command::new(&program).args(["completions", shell]).output();
        let script = script.map_err(|error| format!("{}: {error}", program.display()))?;
        let file = make(folder)?.join(file);
        at(&file, fs::write(&file, script.stdout))?;
    }
    let unit = make("lib/systemd/system")?.join("teatime.service");
    copy(&root().join("clients/cli/packaging/teatime.service"), &unit)?;
    copy_papers(&make("share/doc/teatime")?)
}

/// Header, libraries, pkg-config and CMake files for C.
fn stage_library(folder: &Path, profile: &str) -> Result<()> {
    install::install(folder, &Library::for_c(profile))?;
    let papers = folder.join("share/doc/libteatime-dev");
    at(&papers, fs::create_dir_all(&papers))?;
    copy_papers(&papers)
}

/// What must come along with every copy.
fn copy_papers(into: &Path) -> Result<()> {
    for name in ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
        copy(&root().join(name), &into.join(name))?;
    }
    Ok(())
}

/// Makes an archive of a folder, under the folder's name.
fn archive(folder: &Path, into: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default();
    let file = into.join(format!("{}.tar.gz", name.to_string_lossy()));
    let parent = folder.parent().unwrap_or(folder);
    run(Command::new("tar").arg("-czf").arg(&file).arg("-C").arg(parent).arg(name))
}

/// The packages for crates.io. `cargo package` in the tests has compiled them.
fn pack_crates(into: &Path) -> Result<()> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output = output.map_err(|error| format!("cargo: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names: Vec<_> = packages
        .filter(|package| package["publish"].is_null())
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut package = cargo();
    package.args(["package", "--no-verify", "--allow-dirty"]);
    for name in &names {
        package.args(["--package", name]);
    }
    run(&mut package)?;
    for name in names {
        let file = format!("{name}-{VERSION}.crate");
        copy(&target_folder().join("package").join(&file), &into.join(&file))?;
    }
    Ok(())
}

/// The folder to write to by default.
pub(crate) fn default_folder() -> PathBuf {
    target_folder().join("dist")
}
