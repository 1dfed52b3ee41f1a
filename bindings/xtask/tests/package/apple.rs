//! The XCFramework and the Swift package around it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::Architecture;
use object::read::macho::{LoadCommandVariant, MachOFile64};

use crate::binary::{check_needed, declared, defined, linked, members};
use crate::cross::{
    build_folder, check_checksums, folder, package, prepare, root, run, succeed, targets,
};

const ALL: [&str; 5] = [
    "aarch64-apple-ios",
    "aarch64-apple-ios-sim",
    "x86_64-apple-ios",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
];

/// The oldest systems: their number in files, and their name for the linker.
const IOS: Platform = Platform { number: object::macho::PLATFORM_IOS, name: "ios", oldest: "16.0" };
const SIMULATOR: Platform = Platform {
    number: object::macho::PLATFORM_IOSSIMULATOR,
    name: "ios-simulator",
    oldest: "16.0",
};
const MAC: Platform =
    Platform { number: object::macho::PLATFORM_MACOS, name: "macos", oldest: "13.0" };

struct Platform {
    number: u32,
    name: &'static str,
    oldest: &'static str,
}

/// A library in the XCFramework, as its property list describes it.
struct Slice {
    library: PathBuf,
    headers: PathBuf,
    platform: Platform,
    architectures: Vec<String>,
}

/// The Swift package has a library for each requested system. Each library defines all functions that the Swift
/// code calls, and imports only functions that the system has.
#[test]
fn package_for_ios_is_complete() {
    let wanted = targets(ALL[0], &ALL);
    if !prepare(&wanted) {
        return;
    }
    let into = folder("package-ios");
    let url = ["--url", "https://example.org/teatime/"];
    package("ios", &url, &wanted, &into, &build_folder("clang"), None);
    let archives =
        ["Teatime.xcframework.zip", "teatime-swift-0.1.0.zip", "teatime-swift-by-url-0.1.0.zip"];
    check_checksums(&into, &archives);
    check_download(&into);
    let swift = into.join("teatime-swift");
    check_oldest(&swift.join("Package.swift"));
    let called = declared(&swift.join("Sources/TeatimeFFI/TeatimeFFI.swift"));
    let framework = swift.join("native/Teatime.xcframework");
    let mut architectures = 0;
    for slice in slices(&framework) {
        check_module(&slice);
        let header = slice.headers.join("TeatimeFFIFFI/TeatimeFFIFFI.h");
        let declared = declared(&header);
        assert!(called.is_subset(&declared), "the code calls what the header lacks");
        for architecture in &slice.architectures {
            check_library(&slice, architecture, &declared, &into);
            architectures += 1;
        }
    }
    assert_eq!(architectures, wanted.len());
    check_archives(&into, &framework);
}

/// Apple demands reasons for calls that could identify a device. The Swift package gives reasons for exactly the
/// calls that the library may make.
#[test]
fn calls_that_need_a_reason_for_apple_are_declared() {
    let calls = [
        (
            "NSPrivacyAccessedAPICategoryFileTimestamp",
            "fgetattrlist fstat fstatat getattrlist getattrlistat getattrlistbulk lstat stat",
        ),
        ("NSPrivacyAccessedAPICategorySystemBootTime", "mach_absolute_time"),
        (
            "NSPrivacyAccessedAPICategoryDiskSpace",
            "fstatfs fstatvfs getattrlist fgetattrlist getattrlistat statfs statvfs",
        ),
    ];
    let needed: BTreeSet<_> =
        include_str!("apple.symbols").lines().skip(1).flat_map(str::split_whitespace).collect();
    let made = calls.iter().filter(|(_, calls)| calls.split(' ').any(|one| needed.contains(one)));
    let wanted: Vec<_> = made.map(|(category, _)| *category).collect();
    let file = root().join("bindings/swift/Sources/Teatime/PrivacyInfo.xcprivacy");
    let list = plist::Value::from_file(file).expect("a property list");
    let list = list.as_dictionary().expect("a dictionary");
    assert_eq!(list["NSPrivacyTracking"].as_boolean(), Some(false));
    let declared = list["NSPrivacyAccessedAPITypes"].as_array().expect("categories");
    let declared: Vec<_> = declared
        .iter()
        .map(|one| {
            let one = one.as_dictionary().expect("a category");
            let reasons = one["NSPrivacyAccessedAPITypeReasons"].as_array().expect("reasons");
            assert!(!reasons.is_empty());
            text(one, "NSPrivacyAccessedAPIType")
        })
        .collect();
    assert_eq!(declared, wanted);
}

/// The libraries that the property list of an XCFramework names.
fn slices(framework: &Path) -> Vec<Slice> {
    let list = plist::Value::from_file(framework.join("Info.plist")).expect("a property list");
    let list = list.as_dictionary().expect("a dictionary");
    assert_eq!(text(list, "CFBundlePackageType"), "XFWK");
    assert_eq!(text(list, "XCFrameworkFormatVersion"), "1.0");
    let libraries = list["AvailableLibraries"].as_array().expect("libraries");
    let slice = |library: &plist::Value| {
        let library = library.as_dictionary().expect("a library");
        let folder = framework.join(text(library, "LibraryIdentifier"));
        assert_eq!(text(library, "BinaryPath"), text(library, "LibraryPath"));
        let platform = match library.get("SupportedPlatformVariant") {
            Some(variant) => format!(
                "{}-{}",
                text(library, "SupportedPlatform"),
                variant.as_string().expect("text")
            ),
            None => text(library, "SupportedPlatform").to_owned(),
        };
        let known = [IOS, SIMULATOR, MAC].into_iter().find(|one| one.name == platform);
        let architectures = library["SupportedArchitectures"].as_array().expect("architectures");
        Slice {
            library: folder.join(text(library, "LibraryPath")),
            headers: folder.join(text(library, "HeadersPath")),
            platform: known.unwrap_or_else(|| panic!("{platform}: unknown")),
            architectures: architectures
                .iter()
                .map(|one| one.as_string().expect("text").to_owned())
                .collect(),
        }
    };
    libraries.iter().map(slice).collect()
}

fn text<'a>(dictionary: &'a plist::Dictionary, key: &str) -> &'a str {
    let value = dictionary.get(key).unwrap_or_else(|| panic!("{key} is missing"));
    value.as_string().unwrap_or_else(|| panic!("{key} is not text"))
}

/// The library is for the architecture and the system, and defines all declared functions. Linked into an app, it
/// imports only functions that the system has.
fn check_library(slice: &Slice, architecture: &str, declared: &BTreeSet<String>, scratch: &Path) {
    let bytes = fs::read(&slice.library).expect("the library");
    let wanted = match architecture {
        "arm64" => Architecture::Aarch64,
        "x86_64" => Architecture::X86_64,
        other => panic!("{other}: unknown"),
    };
    let objects = members(&bytes, wanted);
    check_system(&objects, &slice.platform);
    let missing: Vec<_> = declared.difference(&defined(&objects)).cloned().collect();
    assert!(missing.is_empty(), "declared, but not defined: {missing:?}");

    let app = scratch.join(format!("{}-{architecture}.dylib", slice.platform.name));
    let Platform { name, oldest, .. } = slice.platform;
    succeed(
        Command::new("ld64.lld-19")
            .args(["-dylib", "-dead_strip", "-undefined", "dynamic_lookup", "-all_load"])
            .args(["-arch", architecture, "-platform_version", name, oldest, oldest])
            .args(["-exported_symbol", "_uniffi_*", "-exported_symbol", "_ffi_*", "-o"])
            .arg(&app)
            .arg(&slice.library),
    );
    let (exports, needed) = linked(&fs::read(&app).expect("what was linked"));
    assert!(declared.is_subset(&exports), "some declared functions are not exported");
    check_needed(&needed, if name == "macos" { &["apple", "macos"] } else { &["apple"] });
}

/// All objects are for the system, and the newest is for its oldest supported version.
fn check_system(objects: &[&[u8]], platform: &Platform) {
    let mut latest = 0;
    let mut versioned = 0;
    for data in objects {
        let file: MachOFile64<object::Endianness> = MachOFile64::parse(*data).expect("an object");
        let bitcode = object::Object::section_by_name(&file, "__bitcode");
        assert!(bitcode.is_none(), "found bitcode, which older tools cannot read");
        let mut commands = file.macho_load_commands().expect("load commands");
        while let Some(command) = commands.next().expect("a load command") {
            // Objects with the older command are for systems that are older than the simulator on ARM.
            let LoadCommandVariant::BuildVersion(version) = command.variant().expect("known")
            else {
                continue;
            };
            assert_eq!(version.platform.get(file.endian()), platform.number);
            latest = latest.max(version.minos.get(file.endian()));
            versioned += 1;
        }
    }
    assert!(versioned > 10, "only {versioned} objects name their system");
    assert_eq!(format!("{}.{}", latest >> 16, latest >> 8 & 0xff), platform.oldest);
}

/// A compiler finds the module and a function in it.
fn check_module(slice: &Slice) {
    let source = slice.headers.join("test.m");
    let text = "@import TeatimeFFIFFI;\nvoid *it = &ffi_teatime_ffi_uniffi_contract_version;\n";
    fs::write(&source, text).expect("a source file");
    succeed(
        Command::new("clang-19")
            .args(["-fsyntax-only", "-fmodules", "-target", "arm64-apple-ios16.0", "-nostdlibinc"])
            .arg(format!("-fmodules-cache-path={}", folder("module-cache").display()))
            .arg("-I")
            .arg(&slice.headers)
            .arg(&source),
    );
    fs::remove_file(source).expect("it was written");
}

/// The Swift package and its libraries are for the same systems.
fn check_oldest(package: &Path) {
    let text = fs::read_to_string(package).expect("the package");
    for platform in [".iOS(.v16)", ".macOS(.v13)"] {
        assert!(text.contains(platform), "the package does not support {platform}");
    }
}

/// The package that downloads its library names the place and the checksum, as Swift computes it, and has no library.
fn check_download(into: &Path) {
    let package = into.join("teatime-swift-by-url");
    let sums = fs::read_to_string(into.join("SHA256SUMS")).expect("checksums");
    let sum = sums.lines().find(|line| line.ends_with("  Teatime.xcframework.zip"));
    let sum = sum.and_then(|line| line.split(' ').next()).expect("the checksum");
    let manifest = fs::read_to_string(package.join("Package.swift")).expect("the package");
    let expected = format!(
        ".binaryTarget(name: \"TeatimeFFIFFI\", url: \"https://example.org/teatime/Teatime.xcframework.zip\", \
         checksum: \"{sum}\")"
    );
    assert!(manifest.contains(&expected), "{manifest}");
    assert!(!package.join("native").exists());
    assert!(package.join("Sources/TeatimeFFI/TeatimeFFI.swift").is_file());
    let with_swift = root().join("tests/with-swift");
    let swift = || Command::new(&with_swift);
    if !run(swift().args(["swift", "--version"])).status.success() {
        assert!(std::env::var_os("CI").is_none(), "Swift is not installed");
        return;
    }
    let zip = into.join("Teatime.xcframework.zip");
    let computed =
        run(swift().args(["swift", "package", "compute-checksum"]).arg(zip).current_dir(&package));
    assert_eq!(String::from_utf8_lossy(&computed.stdout).trim(), sum);
    // The manifest as a Mac reads it.
    let manifest = manifest.replace("#if canImport(Darwin)", "#if true");
    fs::write(package.join("Package.swift"), manifest).expect("it was written");
    let read = run(swift().args(["swift", "package", "dump-package"]).current_dir(&package));
    let read = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.contains(&format!("\"checksum\" : \"{sum}\"")), "{read}");
}

/// The archives have the content of the folders, under a folder with the name of the package.
fn check_archives(into: &Path, framework: &Path) {
    let list = fs::read(framework.join("Info.plist")).expect("a property list");
    for (archive, name) in [
        ("Teatime.xcframework.zip", "Teatime.xcframework/Info.plist"),
        ("teatime-swift-0.1.0.zip", "teatime-swift/native/Teatime.xcframework/Info.plist"),
    ] {
        let file = fs::File::open(into.join(archive)).expect("an archive");
        let mut archive = zip::ZipArchive::new(file).expect("an archive");
        let mut packed = Vec::new();
        let mut entry = archive.by_name(name).expect("the property list");
        std::io::copy(&mut entry, &mut packed).expect("it unpacks");
        assert_eq!(packed, list);
    }
    assert!(root().join("bindings/swift/Package.swift").exists());
}
