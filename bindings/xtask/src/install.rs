//! Builds the C library and installs it as C and C++ programs expect it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, at, header, root};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a program that links the static library must link besides: Rust's standard library says so.
const NATIVE_LIBRARIES: &str = if cfg!(target_vendor = "apple") {
    "-liconv -lSystem -lc -lm"
} else {
    "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
};

/// How the libraries are built.
#[derive(Default)]
pub(crate) struct Build {
    pub(crate) profile: String,
    pub(crate) features: String,
    pub(crate) without_tls: bool,
}

/// The libraries as cargo leaves them.
struct Built {
    shared: PathBuf,
    archive: PathBuf,
}

pub(crate) fn install(prefix: &Path, how: &Build) -> Result<()> {
    let built = build(how)?;
    at(prefix, fs::create_dir_all(prefix))?;
    let prefix = at(prefix, prefix.canonicalize())?;
    let lib = prefix.join("lib");
    for folder in [prefix.join("include"), lib.join("pkgconfig"), lib.join("cmake/teatime")] {
        at(&folder, fs::create_dir_all(&folder))?;
    }
    copy(&header::path(), &prefix.join("include/teatime.h"))?;
    install_shared(&built.shared, &lib, how.profile == "release")?;
    install_archive(&built.archive, &lib)?;
    write(&lib.join("pkgconfig/teatime.pc"), &pkg_config("-L${libdir} -lteatime", ""))?;
    let whole = format!("${{libdir}}/libteatime.a {NATIVE_LIBRARIES}");
    write(&lib.join("pkgconfig/teatime-static.pc"), &pkg_config(&whole, ", as a static library"))?;
    write(&lib.join("cmake/teatime/teatime-config.cmake"), &cmake_package())?;
    write(&lib.join("cmake/teatime/teatime-config-version.cmake"), &cmake_version())
}

/// Has cargo build the libraries, and learns from it where they are.
fn build(how: &Build) -> Result<Built> {
    let Build { profile, features, without_tls } = how;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        .current_dir(root())
        .args(["build", "--locked", "--package", "teatime-c", "--profile", profile])
        .args(["--features", features, "--message-format", "json-render-diagnostics"])
        .args(without_tls.then_some("--no-default-features"))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo: {error}"))?;
    let mut files = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(|error| format!("cargo: {error}"))?;
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if message["target"]["name"] == "teatime_c" {
            let names = message["filenames"].as_array().into_iter().flatten();
            files.extend(names.filter_map(|name| name.as_str().map(PathBuf::from)));
        }
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    let find = |extensions: &[&str]| {
        let is = |file: &&PathBuf| {
            file.extension().is_some_and(|one| extensions.iter().any(|wanted| one == *wanted))
        };
        files.iter().find(is).cloned()
    };
    match (status.success(), find(&["so", "dylib"]), find(&["a"])) {
        (true, Some(shared), Some(archive)) => Ok(Built { shared, archive }),
        (true, ..) => Err("this platform is not known here: cargo has built no library".into()),
        (false, ..) => Err("the library was not built".into()),
    }
}

/// The shared library, under its full version and the names that lead to it.
fn install_shared(built: &Path, lib: &Path, stripped: bool) -> Result<()> {
    if built.extension().is_some_and(|extension| extension == "dylib") {
        return copy(built, &lib.join("libteatime.dylib"));
    }
    let file = format!("libteatime.so.{VERSION}");
    let target = lib.join(&file);
    copy(built, &target)?;
    if stripped {
        run(Command::new("strip").arg("--strip-unneeded").arg(&target))?;
    }
    let abi = VERSION.rsplit_once('.').map_or(VERSION, |(abi, _)| abi);
    let so_name = format!("libteatime.so.{abi}");
    link(&file, &lib.join(&so_name))?;
    link(&so_name, &lib.join("libteatime.so"))
}

/// The static library as one object in which only the exports are visible: two libraries written in
/// Rust can then be linked into one program.
fn install_archive(built: &Path, lib: &Path) -> Result<()> {
    let archive = lib.join("libteatime.a");
    if cfg!(target_vendor = "apple") {
        return copy(built, &archive);
    }
    let object = lib.join("teatime.o");
    let whole = ["-r", "--whole-archive", "-o"];
    run(Command::new("ld").args(whole).arg(&object).arg(built))?;
    // The bitcode in Rust's standard library is of no use here, and older tools stumble over it.
    let visible = ["--wildcard", "--keep-global-symbol=tea_*", "--strip-debug"];
    let bitcode = ["--remove-section=.llvmbc", "--remove-section=.llvmcmd"];
    run(Command::new("objcopy").args(visible).args(bitcode).arg(&object))?;
    remove(&archive)?;
    run(Command::new("ar").arg("rcs").arg(&archive).arg(&object))?;
    remove(&object)
}

fn pkg_config(libs: &str, how: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: Teatime\nDescription: Replicated computation for native apps{how}\n\
         Version: {VERSION}\nCflags: -I${{includedir}}\nLibs: {libs}\n"
    )
}

fn cmake_package() -> String {
    let shared = if cfg!(target_vendor = "apple") { "libteatime.dylib" } else { "libteatime.so" };
    format!(
        "# Gives the targets teatime::teatime (shared) and teatime::teatime-static.\n\
         get_filename_component(_teatime_prefix \"${{CMAKE_CURRENT_LIST_DIR}}/../../..\" ABSOLUTE)\n\
         foreach(_teatime_kind SHARED STATIC)\n  \
         if(_teatime_kind STREQUAL SHARED)\n    \
         set(_teatime_target teatime::teatime)\n    \
         set(_teatime_file {shared})\n    \
         set(_teatime_needs \"\")\n  \
         else()\n    \
         set(_teatime_target teatime::teatime-static)\n    \
         set(_teatime_file libteatime.a)\n    \
         set(_teatime_needs {NATIVE_LIBRARIES})\n    \
         separate_arguments(_teatime_needs)\n  \
         endif()\n  \
         if(NOT TARGET ${{_teatime_target}})\n    \
         add_library(${{_teatime_target}} ${{_teatime_kind}} IMPORTED)\n    \
         set_target_properties(${{_teatime_target}} PROPERTIES\n      \
         IMPORTED_LOCATION \"${{_teatime_prefix}}/lib/${{_teatime_file}}\"\n      \
         INTERFACE_INCLUDE_DIRECTORIES \"${{_teatime_prefix}}/include\"\n      \
         INTERFACE_LINK_LIBRARIES \"${{_teatime_needs}}\")\n  \
         endif()\n\
         endforeach()\n"
    )
}

fn cmake_version() -> String {
    format!(
        "# Before 1.0 every minor version may change what programs see.\n\
         set(PACKAGE_VERSION {VERSION})\n\
         if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION\n   \
         AND PACKAGE_FIND_VERSION_MAJOR EQUAL {major}\n   \
         AND (PACKAGE_FIND_VERSION_COUNT LESS 2 OR PACKAGE_FIND_VERSION_MINOR EQUAL {minor}))\n  \
         set(PACKAGE_VERSION_COMPATIBLE TRUE)\n\
         endif()\n\
         if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)\n  \
         set(PACKAGE_VERSION_EXACT TRUE)\n\
         endif()\n",
        major = env!("CARGO_PKG_VERSION_MAJOR"),
        minor = env!("CARGO_PKG_VERSION_MINOR"),
    )
}

/// Puts a new file in the place of the old one, so that programs that use that one go on.
fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    at(from, fs::copy(from, to)).map(|_| ())
}

fn write(path: &Path, text: &str) -> Result<()> {
    at(path, fs::write(path, text))
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => at(path, Err(error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn link(file: &str, name: &Path) -> Result<()> {
    remove(name)?;
    at(name, std::os::unix::fs::symlink(file, name))
}

#[cfg(not(unix))]
fn link(_: &str, name: &Path) -> Result<()> {
    Err(format!("{}: this platform has no symbolic links", name.display()))
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
