//! Builds the C library and installs it in the layout that C and C++ programs expect.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{Result, at, copy, remove, run, write};
use crate::header;
use crate::library::Library;
use crate::workspace::ON_APPLE;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a program that links the static library must link as well: the needs of Rust's standard library.
const NATIVE_LIBRARIES: &str = if ON_APPLE {
    "-liconv -lSystem -lc -lm"
} else {
    "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
};

/// Installs the library that programs ship with.
pub(crate) fn install(prefix: &Path, library: &Library) -> Result<()> {
    let prefix = &install_library(prefix, library, "teatime")?;
    let lib = prefix.join("lib");
    copy(&header::path(), &prefix.join("include/teatime.h"))?;
    write(&lib.join("cmake/teatime/teatime-config.cmake"), &cmake_package())?;
    write(&lib.join("cmake/teatime/teatime-config-version.cmake"), &cmake_version())
}

/// Installs, beside it, the library that tests link in its place.
pub(crate) fn install_testing(prefix: &Path, library: &Library) -> Result<()> {
    let prefix = &install_library(prefix, library, "teatime-testing")?;
    copy(&header::testing_path(), &prefix.join("include/teatime_testing.h"))
}

/// Installs both kinds of a library and the pkg-config files. Returns the absolute path of the prefix.
fn install_library(prefix: &Path, library: &Library, name: &str) -> Result<PathBuf> {
    let built = library.build()?;
    at(prefix, fs::create_dir_all(prefix))?;
    let prefix = at(prefix, prefix.canonicalize())?;
    let lib = prefix.join("lib");
    for folder in [prefix.join("include"), lib.join("pkgconfig"), lib.join("cmake/teatime")] {
        at(&folder, fs::create_dir_all(&folder))?;
    }
    install_shared(built.shared()?, &lib, name, library.profile == "release")?;
    install_archive(built.archive()?, &lib, name)?;
    let is = if name == "teatime" { "" } else { ", with its simulator" };
    let shared = pkg_config(&format!("-L${{libdir}} -l{name}"), is);
    write(&lib.join(format!("pkgconfig/{name}.pc")), &shared)?;
    let whole = format!("${{libdir}}/lib{name}.a {NATIVE_LIBRARIES}");
    let whole = pkg_config(&whole, &format!("{is}, as a static library"));
    write(&lib.join(format!("pkgconfig/{name}-static.pc")), &whole)?;
    Ok(prefix)
}

/// Installs the shared library under its full version, and the links to it.
fn install_shared(built: &Path, lib: &Path, name: &str, stripped: bool) -> Result<()> {
    if built.extension().is_some_and(|extension| extension == "dylib") {
        return copy(built, &lib.join(format!("lib{name}.dylib")));
    }
    let file = format!("lib{name}.so.{VERSION}");
    let target = lib.join(&file);
    copy(built, &target)?;
    if stripped {
        run(Command::new("strip").arg("--strip-unneeded").arg(&target))?;
    }
    let abi = VERSION.rsplit_once('.').map_or(VERSION, |(abi, _)| abi);
    let so_name = format!("lib{name}.so.{abi}");
    link(&file, &lib.join(&so_name))?;
    link(&so_name, &lib.join(format!("lib{name}.so")))
}

/// Installs the static library as one object in which only the exports are visible. So a program can link two
/// libraries that are written in Rust.
fn install_archive(built: &Path, lib: &Path, name: &str) -> Result<()> {
    let archive = lib.join(format!("lib{name}.a"));
    if ON_APPLE {
        return copy(built, &archive);
    }
    let object = lib.join(format!("{name}.o"));
    let whole = ["-r", "--whole-archive", "-o"];
    run(Command::new("ld").args(whole).arg(&object).arg(built))?;
    // Older tools fail on the bitcode in Rust's standard library, and no linker of C needs it.
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
    let shared = if ON_APPLE { "dylib" } else { "so" };
    format!(
        "# Defines the targets teatime::teatime (shared) and teatime::teatime-static. If the library for tests is\n\
         # installed as well: teatime::teatime-testing and teatime::teatime-testing-static.\n\
         get_filename_component(_teatime_prefix \"${{CMAKE_CURRENT_LIST_DIR}}/../../..\" ABSOLUTE)\n\
         foreach(_teatime_library teatime teatime-testing)\n\
         foreach(_teatime_kind SHARED STATIC)\n  \
         if(\"${{_teatime_kind}}\" STREQUAL \"SHARED\")\n    \
         set(_teatime_target teatime::${{_teatime_library}})\n    \
         set(_teatime_file \"${{_teatime_prefix}}/lib/lib${{_teatime_library}}.{shared}\")\n    \
         set(_teatime_needs \"\")\n  \
         else()\n    \
         set(_teatime_target teatime::${{_teatime_library}}-static)\n    \
         set(_teatime_file \"${{_teatime_prefix}}/lib/lib${{_teatime_library}}.a\")\n    \
         set(_teatime_needs {NATIVE_LIBRARIES})\n    \
         separate_arguments(_teatime_needs)\n  \
         endif()\n  \
         if(NOT TARGET ${{_teatime_target}}\n     \
         AND (\"${{_teatime_library}}\" STREQUAL \"teatime\" OR EXISTS \"${{_teatime_file}}\"))\n    \
         add_library(${{_teatime_target}} ${{_teatime_kind}} IMPORTED)\n    \
         set_target_properties(${{_teatime_target}} PROPERTIES\n      \
         IMPORTED_LOCATION \"${{_teatime_file}}\"\n      \
         INTERFACE_INCLUDE_DIRECTORIES \"${{_teatime_prefix}}/include\"\n      \
         INTERFACE_LINK_LIBRARIES \"${{_teatime_needs}}\")\n  \
         endif()\n\
         endforeach()\n\
         endforeach()\n"
    )
}

fn cmake_version() -> String {
    format!(
        "# Before 1.0 a minor version may change the interface.\n\
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

#[cfg(unix)]
fn link(file: &str, name: &Path) -> Result<()> {
    remove(name)?;
    at(name, std::os::unix::fs::symlink(file, name))
}

#[cfg(not(unix))]
fn link(_: &str, name: &Path) -> Result<()> {
    Err(format!("{}: this platform has no symbolic links", name.display()))
}
