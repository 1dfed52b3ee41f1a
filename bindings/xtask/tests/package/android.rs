//! Static libraries for Android, and the AAR. A stand-in for the NDK links it: that tests the packaging, and
//! nothing about Android.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Architecture, Endianness};

use crate::binary::{check_needed, declared, defined, linked, members};
use crate::cross::{build_folder, check_checksums, folder, package, prepare, succeed, targets};
use crate::ndk;

const ALL: [&str; 4] = [
    "aarch64-linux-android",
    "armv7-linux-androideabi",
    "x86_64-linux-android",
    "i686-linux-android",
];

/// Android's name for a target, and its architecture.
fn abi(target: &str) -> (&'static str, Architecture) {
    match target {
        "aarch64-linux-android" => ("arm64-v8a", Architecture::Aarch64),
        "armv7-linux-androideabi" => ("armeabi-v7a", Architecture::Arm),
        "x86_64-linux-android" => ("x86_64", Architecture::X86_64),
        "i686-linux-android" => ("x86", Architecture::I386),
        other => panic!("{other}: unknown"),
    }
}

/// Without the NDK packaging makes static libraries that define all functions that Kotlin calls, and tells the
/// user how to get the rest.
#[test]
fn static_libraries_for_android_are_complete() {
    let wanted = targets(ALL[0], &ALL);
    if !prepare(&wanted) {
        return;
    }
    let into = folder("package-android-static");
    let output = package("android", &[], &wanted, &into, &build_folder("clang"), None);
    assert!(output.contains("ANDROID_NDK_HOME"), "{output}");
    let names: Vec<_> =
        wanted.iter().map(|one| format!("static/{}/libteatime_mobile.a", abi(one).0)).collect();
    check_checksums(&into, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for (target, name) in wanted.iter().zip(&names) {
        let path = into.join(name);
        let declared = called(&path);
        let bytes = fs::read(&path).expect("the library");
        let defined = defined(&members(&bytes, abi(target).1));
        let missing: Vec<_> = declared.difference(&defined).cloned().collect();
        assert!(missing.is_empty(), "called, but not defined: {missing:?}");
    }
}

/// The AAR has all that the build of an app needs. Its library loads on phones with large pages, exports all
/// functions that Kotlin calls, and imports only functions that Android has.
#[test]
fn aar_is_complete() {
    let wanted = targets(ALL[0], &ALL);
    if !prepare(&wanted) {
        return;
    }
    let build = build_folder("ndk");
    let ndk = ndk::stand_in(&build.join("stand-in"));
    let into = folder("package-android");
    package("android", &[], &wanted, &into, &build, Some(&ndk));
    check_checksums(&into, &["teatime-0.1.0.aar", "teatime-0.1.0.pom"]);
    let project = fs::read_to_string(into.join("teatime-0.1.0.pom")).expect("the description");
    for wanted in [
        "<artifactId>teatime-android<",
        "<packaging>aar<",
        "<type>aar<",
        "kotlinx-coroutines-android<",
    ] {
        assert!(project.contains(wanted), "{wanted} is missing: {project}");
    }
    let file = fs::File::open(into.join("teatime-0.1.0.aar")).expect("the AAR");
    let mut archive = zip::ZipArchive::new(file).expect("an archive");
    let manifest = entry(&mut archive, "AndroidManifest.xml");
    let manifest = String::from_utf8(manifest).expect("text");
    assert!(manifest.contains("android:minSdkVersion=\"26\""), "{manifest}");
    assert_eq!(entry(&mut archive, "R.txt"), b"");
    let rules = String::from_utf8(entry(&mut archive, "proguard.txt")).expect("text");
    assert!(rules.contains("-keep class teatime.ffi.**"), "{rules}");
    let jar = crate::cross::root().join("bindings/kotlin/target/teatime-0.1.0.jar");
    if jar.exists() {
        check_classes(entry(&mut archive, "classes.jar"));
    }
    for target in &wanted {
        let library = into.join("libteatime_mobile.so");
        let name = format!("jni/{}/libteatime_mobile.so", abi(target).0);
        fs::write(&library, entry(&mut archive, &name)).expect("a file");
        check_shared(&library, abi(target).1);
    }
    let libraries = names(&archive).iter().filter(|name| name.starts_with("jni/")).count();
    assert_eq!(libraries, wanted.len());
}

/// The jar has the classes of the Kotlin API, and no native libraries.
fn check_classes(jar: Vec<u8>) {
    let jar = zip::ZipArchive::new(std::io::Cursor::new(jar)).expect("a jar");
    let names = names(&jar);
    assert!(names.iter().any(|name| name.ends_with("/Session.class")), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with(".so")), "{names:?}");
}

fn check_shared(path: &Path, architecture: Architecture) {
    let bytes = fs::read(path).expect("the library");
    let file = object::File::parse(bytes.as_slice()).expect("a shared library");
    assert_eq!(object::Object::architecture(&file), architecture);
    match file {
        object::File::Elf64(file) => check_layout(&file),
        object::File::Elf32(file) => check_layout(&file),
        _ => panic!("not an ELF file"),
    }
    let (exports, needed) = linked(&bytes);
    let missing: Vec<_> = called(path).difference(&exports).cloned().collect();
    assert!(missing.is_empty(), "called, but not exported: {missing:?}");
    check_needed(&needed, &["android"]);
    let table = crate::cross::run(
        std::process::Command::new("llvm-readelf-19").arg("--dynamic-table").arg(path),
    );
    let table = String::from_utf8_lossy(&table.stdout);
    assert!(table.contains("soname: [libteatime_mobile.so]"), "{table}");
    let libraries: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.split_once("Shared library: "))
        .map(|one| one.1)
        .collect();
    let known = BTreeSet::from(["[libc.so]", "[libm.so]", "[libdl.so]", "[liblog.so]"]);
    assert!(libraries.contains("[libc.so]") && libraries.is_subset(&known), "{libraries:?}");
}

/// The segments that are loaded are aligned to pages of 16 KB.
fn check_layout<Elf: FileHeader<Endian = Endianness>>(file: &ElfFile<'_, Elf>) {
    let loaded: Vec<u64> = file
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(file.endian()) == object::elf::PT_LOAD)
        .map(|header| header.p_align(file.endian()).into())
        .collect();
    assert!(!loaded.is_empty() && loaded.iter().all(|align| align % 16384 == 0), "{loaded:?}");
}

/// The functions that the Kotlin code generated from a library calls.
fn called(library: &Path) -> BTreeSet<String> {
    let into = folder("kotlin-of-android");
    let cargo = std::env::var_os("CARGO").expect("cargo runs this");
    succeed(
        std::process::Command::new(cargo)
            .current_dir(crate::cross::root())
            .args(["run", "--quiet", "--locked", "--package", "generate", "--", "generate"])
            .args(["--language", "kotlin", "--no-format", "--out-dir"])
            .arg(&into)
            .arg("--library")
            .arg(library),
    );
    declared(&into.join("teatime/ffi/teatime_ffi.kt"))
}

fn names<Reader: Read + std::io::Seek>(archive: &zip::ZipArchive<Reader>) -> Vec<String> {
    archive.file_names().map(|name| name.expect("a name").into_owned()).collect()
}

fn entry(archive: &mut zip::ZipArchive<fs::File>, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut entry = archive.by_name(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    entry.read_to_end(&mut bytes).expect("it unpacks");
    bytes
}
