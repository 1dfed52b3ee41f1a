//! A stand-in for the NDK: programs under the NDK's names, and libraries with empty functions under Android's
//! names. Its output never runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::known;
use crate::cross::succeed;

/// The compilers, and the name in the folders of headers for each.
const COMPILERS: [(&str, &str); 4] = [
    ("aarch64-linux-android26", "aarch64"),
    ("armv7a-linux-androideabi26", "arm"),
    ("x86_64-linux-android26", "x86_64"),
    ("i686-linux-android26", "x86"),
];

/// Makes the stand-in in a folder, and returns the folder.
pub(crate) fn stand_in(folder: &Path) -> PathBuf {
    let programs = folder.join("toolchains/llvm/prebuilt/none/bin");
    fs::create_dir_all(&programs).expect("a folder");
    for tool in ["llvm-ar", "llvm-strip"] {
        let link = programs.join(tool);
        if !link.exists() {
            symlink(format!("/usr/bin/{tool}-19"), &link).expect("a link");
        }
    }
    for (clang, arch) in COMPILERS {
        let libraries = folder.join("lib").join(clang);
        write_libraries(&libraries, clang);
        write_compiler(&programs.join(format!("{clang}-clang")), clang, arch, &libraries);
    }
    folder.to_owned()
}

/// Writes a script that calls clang for Android, with ziglang's headers and these libraries.
fn write_compiler(path: &Path, clang: &str, arch: &str, libraries: &Path) {
    let cache = std::env::var("XDG_CACHE_HOME").ok().filter(|folder| !folder.is_empty());
    let home = || format!("{}/.cache", std::env::var("HOME").expect("a home"));
    let headers = cache.unwrap_or_else(home) + "/teatime/ziglang-0.17.0/include";
    let folders = [format!("{arch}-linux-musl"), "generic-musl".into()];
    let folders = folders.into_iter().chain([format!("{arch}-linux-any"), "any-linux-any".into()]);
    let include: String = folders.map(|one| format!(" -isystem '{headers}/{one}'")).collect();
    let script = format!(
        "#!/bin/sh\nexec clang-19 --target={clang} -Qunused-arguments -nostdlibinc{include} \
         -fuse-ld=lld -nostdlib -L'{}' \"$@\"\n",
        libraries.display()
    );
    fs::write(path, script).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

/// Writes libraries to link with; they are never loaded.
fn write_libraries(folder: &Path, clang: &str) {
    fs::create_dir_all(folder).expect("a folder");
    // The unwinder of the NDK is a static library.
    let (unwinder, libc): (Vec<_>, Vec<_>) =
        known("android").into_iter().partition(|name| name.contains("nwind"));
    let object = assemble(folder, "unwind", clang, &unwinder);
    succeed(Command::new("llvm-ar-19").arg("rcs").arg(folder.join("libunwind.a")).arg(object));
    for (name, symbols) in [("c", libc), ("m", vec![]), ("dl", vec![]), ("log", vec![])] {
        let object = assemble(folder, name, clang, &symbols);
        succeed(
            Command::new("ld.lld-19")
                .args(["-shared", "-soname"])
                .arg(format!("lib{name}.so"))
                .arg("-o")
                .arg(folder.join(format!("lib{name}.so")))
                .arg(object),
        );
    }
}

/// Makes an object with empty functions.
fn assemble(folder: &Path, name: &str, clang: &str, symbols: &[String]) -> PathBuf {
    let source = folder.join(format!("{name}.s"));
    let define = |name: &String| format!(".globl {name}\n.type {name}, %function\n{name}:\n");
    let text: String = symbols.iter().map(define).collect();
    fs::write(&source, format!(".text\n{text}")).expect("a source file");
    let object = folder.join(format!("{name}.o"));
    let target = format!("--target={clang}");
    succeed(Command::new("clang-19").args([&target, "-c", "-o"]).arg(&object).arg(source));
    object
}
