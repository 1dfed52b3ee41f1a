//! Packages for Debian and its relatives, by dpkg-deb.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::VERSION;
use crate::files::{Result, at, copy, run, write};

/// Whether this machine can make such packages.
pub(crate) fn is_here() -> bool {
    Command::new("dpkg-deb").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The package `teatime`: the program, and the unit of a reflector, which it does not start.
pub(crate) fn package_program(staged: &Path, work: &Path, into: &Path) -> Result<()> {
    package("teatime", "net", "chat, reflector and tools", staged, work, into)
}

/// The package `libteatime-dev`: everything to build programs in C.
pub(crate) fn package_library(staged: &Path, work: &Path, into: &Path) -> Result<()> {
    package("libteatime-dev", "libdevel", "library for C", staged, work, into)
}

fn package(
    name: &str,
    section: &str,
    what: &str,
    staged: &Path,
    work: &Path,
    into: &Path,
) -> Result<()> {
    let root = work.join(name);
    copy_folder(staged, &root.join("usr"))?;
    let machine = machine()?;
    let control = root.join("DEBIAN");
    at(&control, fs::create_dir_all(&control))?;
    write(
        &control.join("control"),
        &format!(
            "Package: {name}\nVersion: {VERSION}\nArchitecture: {machine}\nSection: {section}\nPriority: optional\n\
             Maintainer: Teatime\nDepends: libc6, libgcc-s1\n\
             Description: replicated computation for native apps: {what}\n \
             All participants of a session compute the same state. A small server, the reflector,\n \
             gives all events one order and one time.\n"
        ),
    )?;
    let file = into.join(format!("{name}_{VERSION}_{machine}.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&root).arg(&file))
}

/// Debian's name of this kind of machine.
fn machine() -> Result<String> {
    let output = Command::new("dpkg").arg("--print-architecture").output();
    let output = output.map_err(|error| format!("dpkg: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Copies a folder with its links.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    at(to, fs::create_dir_all(to))?;
    for entry in at(from, fs::read_dir(from))? {
        let entry = at(from, entry)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = at(&from, entry.file_type())?;
        if kind.is_dir() {
            copy_folder(&from, &to)?;
        } else if kind.is_symlink() {
            run(Command::new("cp").args(["-P"]).arg(&from).arg(&to))?;
        } else {
            copy(&from, &to)?;
        }
    }
    Ok(())
}
