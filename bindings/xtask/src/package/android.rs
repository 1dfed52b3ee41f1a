//! The AAR that Android apps depend on: shared libraries for each architecture, and the Kotlin code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::library::NAME;
use super::order::Package;
use super::{checksums, folder, rust, stand_in, zip};
use crate::files::{Result, at, copy, run, write};
use crate::library::Library;
use crate::workspace::root;

/// A target of Rust, and Android's name for it.
pub(super) struct Target {
    pub(super) triple: &'static str,
    abi: &'static str,
    /// The name in the compilers of the NDK.
    clang: &'static str,
    /// The name in the folders of ziglang's headers.
    arch: &'static str,
}

pub(super) const TARGETS: [Target; 4] = [
    Target {
        triple: "aarch64-linux-android",
        abi: "arm64-v8a",
        clang: "aarch64-linux-android",
        arch: "aarch64",
    },
    Target {
        triple: "armv7-linux-androideabi",
        abi: "armeabi-v7a",
        clang: "armv7a-linux-androideabi",
        arch: "arm",
    },
    Target {
        triple: "x86_64-linux-android",
        abi: "x86_64",
        clang: "x86_64-linux-android",
        arch: "x86_64",
    },
    Target { triple: "i686-linux-android", abi: "x86", clang: "i686-linux-android", arch: "x86" },
];

/// The API level of Android 8.0, the oldest version that the library runs on.
const OLDEST: u32 = 26;

/// A package for Android, and its description for Maven.
pub(crate) struct Aar {
    pub(crate) file: PathBuf,
    pub(crate) pom: PathBuf,
}

pub(super) fn package(package: &Package, targets: &[&Target]) -> Result<()> {
    if ndk().is_none() {
        return static_only(package, targets);
    }
    let jar = format!("bindings/kotlin/target/teatime-{}.jar", env!("CARGO_PKG_VERSION"));
    with_ndk(package, targets, &root().join(jar)).map(drop)
}

/// Makes the AAR with the classes in a jar.
pub(super) fn with_ndk(package: &Package, targets: &[&Target], jar: &Path) -> Result<Aar> {
    let ndk = ndk().ok_or("ANDROID_NDK_HOME is not set")?;
    whole(package, targets, &programs(&ndk)?, jar)
}

/// What is missing to make the AAR for all targets, if anything is.
pub(super) fn lacks() -> Option<String> {
    let Some(ndk) = ndk() else { return Some("ANDROID_NDK_HOME is not set".to_owned()) };
    let programs = match programs(&ndk) {
        Ok(programs) => programs,
        Err(why) => return Some(why),
    };
    let compilers = TARGETS.iter().map(|target| format!("{}{OLDEST}-clang", target.clang));
    let needed = compilers.chain(["llvm-ar", "llvm-strip"].map(str::to_owned));
    let missing = needed.map(|name| programs.join(name)).find(|program| !program.exists());
    missing
        .map(|program| format!("{}: not found", program.display()))
        .or_else(|| TARGETS.iter().find_map(|target| rust::check(target.triple).err()))
}

fn ndk() -> Option<PathBuf> {
    let folder = std::env::var_os("ANDROID_NDK_HOME").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
}

/// Makes the static libraries: without Android's linker and libraries no more is possible.
fn static_only(package: &Package, targets: &[&Target]) -> Result<()> {
    let mut names = Vec::new();
    let top = package.into.join("static");
    folder::renew(&top)?;
    for target in targets {
        let clang = format!("{}{OLDEST}", target.clang);
        let library = rust::for_target(package.library.clone(), target.triple)?;
        let mut library = stand_in::android(library, target.triple, &clang, target.arch)?;
        library.only = Some(("staticlib", Vec::new()));
        let built = library.build()?;
        let name = format!("static/{}/lib{}.a", target.abi, NAME);
        let to = package.into.join(&name);
        at(&to, fs::create_dir_all(top.join(target.abi)))?;
        copy(built.archive()?, &to)?;
        names.push(name);
    }
    checksums::write_checksums(&package.into.join("SHA256SUMS"), &names)?;
    println!("{}", top.display());
    eprintln!(
        "xtask: made static libraries only. The shared libraries and the AAR need the Android NDK: set \
         ANDROID_NDK_HOME to its folder"
    );
    Ok(())
}

/// Makes the AAR with the shared libraries.
fn whole(package: &Package, targets: &[&Target], programs: &Path, jar: &Path) -> Result<Aar> {
    let content = package.into.join("aar");
    folder::renew(&content)?;
    for target in targets {
        let built = shared(package, target, programs)?.build()?;
        let folder = content.join("jni").join(target.abi);
        at(&folder, fs::create_dir_all(&folder))?;
        let library = folder.join(format!("lib{}.so", NAME));
        copy(built.shared()?, &library)?;
        if package.is_release() {
            let strip = programs.join("llvm-strip");
            run(Command::new(strip).arg("--strip-unneeded").arg(&library))?;
        }
    }
    describe(&content)?;
    package.write_licenses(&content)?;
    classes(jar, &content.join("classes.jar"))?;
    let names = ["aar", "pom"].map(|kind| format!("teatime-{}.{kind}", env!("CARGO_PKG_VERSION")));
    let [file, pom] = names.clone().map(|name| package.into.join(name));
    zip::pack(&content, &file, false)?;
    at(&content, fs::remove_dir_all(&content))?;
    write(&pom, &project()?)?;
    println!("{}", file.display());
    checksums::write_checksums(&package.into.join("SHA256SUMS"), &names)?;
    Ok(Aar { file, pom })
}

/// A shared library that the NDK compiles and links.
fn shared(package: &Package, target: &Target, programs: &Path) -> Result<Library> {
    let clang = programs.join(format!("{}{OLDEST}-clang", target.clang));
    let suffix = target.triple.replace('-', "_");
    let mut library = rust::for_target(package.library.clone(), target.triple)?
        .with_environment(&format!("CC_{suffix}"), &clang)
        .with_environment(&format!("AR_{suffix}"), programs.join("llvm-ar"))
        .with_environment(&format!("CARGO_TARGET_{}_LINKER", suffix.to_uppercase()), &clang);
    let name = format!("-Clink-arg=-Wl,-soname,lib{}.so", NAME);
    // Newer phones have memory pages of 16 KB, and cannot load a library that is aligned to smaller ones.
    let pages = "-Clink-arg=-Wl,-z,max-page-size=16384".to_owned();
    library.only = Some(("cdylib", vec![name, pages]));
    Ok(library)
}

/// The folder with the compilers of an NDK.
fn programs(ndk: &Path) -> Result<PathBuf> {
    let hosts = ndk.join("toolchains/llvm/prebuilt");
    let mut found = at(&hosts, fs::read_dir(&hosts))?;
    let host = found.next().ok_or_else(|| {
        format!("{}: expected a folder with compilers, found none", hosts.display())
    })?;
    Ok(at(&hosts, host)?.path().join("bin"))
}

/// Writes the files that describe an AAR.
fn describe(content: &Path) -> Result<()> {
    let manifest = format!(
        "<manifest xmlns:android=\"http://schemas.android.com/apk/res/android\" \
         package=\"io.github.teatime\">\n    \
         <uses-sdk android:minSdkVersion=\"{OLDEST}\" />\n    \
         <uses-permission android:name=\"android.permission.INTERNET\" />\n\
         </manifest>\n"
    );
    write(&content.join("AndroidManifest.xml"), &manifest)?;
    // The build of an app demands the list of resources, even if it is empty.
    write(&content.join("R.txt"), "")?;
    write(&content.join("proguard.txt"), KEEP)
}

/// What a shrinker must not rename, because native code looks for it by name.
const KEEP: &str = include_str!("../../../kotlin/src/main/resources/META-INF/proguard/teatime.pro");

/// Describes the AAR for Maven and Gradle, from the description of the jar: other coordinates, and the kinds of its
/// dependencies that Android needs.
fn project() -> Result<String> {
    let jar = root().join("bindings/kotlin/pom.xml");
    let mut text = at(&jar, fs::read_to_string(&jar))?;
    for (from, to) in [
        ("<artifactId>teatime</artifactId>", "<artifactId>teatime-android</artifactId>"),
        ("<packaging>jar</packaging>", "<packaging>aar</packaging>"),
        (
            "<version>${jna.version}</version>",
            "<version>${jna.version}</version>\n      <type>aar</type>",
        ),
        ("kotlinx-coroutines-core-jvm", "kotlinx-coroutines-android"),
    ] {
        if text.matches(from).count() != 1 {
            return Err(format!("{}: expected {from} once", jar.display()));
        }
        text = text.replace(from, to);
    }
    // The build is not that of the jar. Profiles, too, are only for it.
    let start = text.find("  <build>").ok_or("bindings/kotlin/pom.xml: expected <build>")?;
    Ok(text[..start].trim_end().to_owned() + "\n</project>\n")
}

/// Copies the Kotlin classes from a jar, without any native libraries in it.
fn classes(jar: &Path, to: &Path) -> Result<()> {
    if !jar.exists() {
        eprintln!("xtask: {}: not found, so the AAR is without Kotlin code", jar.display());
        return Ok(());
    }
    zip::filter(jar, to, |name| ![".so", ".dylib", ".dll"].iter().any(|end| name.ends_with(end)))
}
