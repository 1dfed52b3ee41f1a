//! The XCFramework: a folder with a static library and its header for each of Apple's systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::library::NAME;
use super::order::Package;
use super::{checksums, folder, rust, stand_in, swift, zip};
use crate::files::{Result, at, copy, remove, run, runs, write};
use crate::library::Library;
use crate::workspace::ON_APPLE;

/// A target of Rust, and Apple's names for it.
pub(super) struct Target {
    pub(super) triple: &'static str,
    arch: &'static str,
    system: System,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum System {
    Phone,
    Simulator,
    Mac,
}

pub(super) const TARGETS: [Target; 5] = [
    Target { triple: "aarch64-apple-ios", arch: "arm64", system: System::Phone },
    Target { triple: "aarch64-apple-ios-sim", arch: "arm64", system: System::Simulator },
    Target { triple: "x86_64-apple-ios", arch: "x86_64", system: System::Simulator },
    Target { triple: "aarch64-apple-darwin", arch: "arm64", system: System::Mac },
    Target { triple: "x86_64-apple-darwin", arch: "x86_64", system: System::Mac },
];

/// The oldest systems that the library runs on; the Swift package names the same.
const OLDEST: [(&str, &str); 2] =
    [("IPHONEOS_DEPLOYMENT_TARGET", "16.0"), ("MACOSX_DEPLOYMENT_TARGET", "13.0")];

const FRAMEWORK: &str = "Teatime.xcframework";

/// A static library for one system, with one or more architectures.
struct Slice {
    system: System,
    architectures: Vec<&'static str>,
    libraries: Vec<PathBuf>,
}

/// Makes the package, and with `url` the one that downloads the XCFramework from there. Returns the archives.
pub(super) fn package(
    package: &Package,
    targets: &[&Target],
    url: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let mut slices: Vec<Slice> = Vec::new();
    for target in targets {
        let built = library(package, target.triple)?.build()?.archive()?.to_owned();
        match slices.iter_mut().find(|slice| slice.system == target.system) {
            Some(slice) => {
                slice.architectures.push(target.arch);
                slice.libraries.push(built);
            }
            None => slices.push(Slice {
                system: target.system,
                architectures: vec![target.arch],
                libraries: vec![built],
            }),
        }
    }
    let first =
        slices.first().and_then(|slice| slice.libraries.first()).ok_or("no target to build for")?;
    let swift = package.into.join("teatime-swift");
    let headers = swift::sources(first, &swift)?;
    let framework = swift.join("native").join(FRAMEWORK);
    write_framework(&framework, &slices, &headers, package.is_release())?;
    at(&headers, fs::remove_dir_all(&headers))?;
    package.write_licenses(&framework)?;
    package.write_licenses(&swift)?;
    let version = env!("CARGO_PKG_VERSION");
    let mut names = vec![format!("{FRAMEWORK}.zip"), format!("teatime-swift-{version}.zip")];
    zip::pack(&framework, &package.into.join(&names[0]), true)?;
    zip::pack(&swift, &package.into.join(&names[1]), true)?;
    if let Some(url) = url {
        let url = format!("{}/{FRAMEWORK}.zip", url.trim_end_matches('/'));
        let sum = checksums::sum(&package.into.join(&names[0]))?;
        let downloading = package.into.join("teatime-swift-by-url");
        swift::downloading(&swift, &downloading, &url, &sum)?;
        names.push(format!("teatime-swift-by-url-{version}.zip"));
        zip::pack(&downloading, &package.into.join(&names[2]), true)?;
    }
    checksums::write_checksums(&package.into.join("SHA256SUMS"), &names)?;
    println!("{}", swift.display());
    Ok(names.iter().map(|name| package.into.join(name)).collect())
}

/// What is missing to make the package for all targets, if anything is.
pub(super) fn lacks() -> Option<String> {
    let tools = [tool("lipo"), tool("objcopy")];
    let missing =
        || tools.iter().find(|tool| !runs(tool)).map(|tool| format!("{tool} does not run"));
    // Xcode brings its tools along.
    let stand_in = if ON_APPLE { None } else { stand_in::check().err().or_else(missing) };
    stand_in.or_else(|| TARGETS.iter().find_map(|target| rust::check(target.triple).err()))
}

fn library(package: &Package, triple: &str) -> Result<Library> {
    let mut library = rust::for_target(package.library.clone(), triple)?;
    library.only = Some(("staticlib", Vec::new()));
    for (name, version) in OLDEST {
        library = library.with_environment(name, version);
    }
    if ON_APPLE { Ok(library) } else { stand_in::apple(library, triple) }
}

fn write_framework(
    framework: &Path,
    slices: &[Slice],
    headers: &Path,
    stripped: bool,
) -> Result<()> {
    for slice in slices {
        let folder = framework.join(slice.identifier());
        at(&folder, fs::create_dir_all(&folder))?;
        let library = folder.join(library_file());
        slice.write_library(&library, stripped)?;
        folder::copy(headers, &folder.join("Headers"))?;
    }
    write(&framework.join("Info.plist"), &property_list(slices))
}

fn library_file() -> String {
    format!("lib{NAME}.a")
}

impl Slice {
    /// The name of its folder, in Xcode's form.
    fn identifier(&self) -> String {
        let architectures = self.architectures.join("_");
        match self.system {
            System::Phone => format!("ios-{architectures}"),
            System::Simulator => format!("ios-{architectures}-simulator"),
            System::Mac => format!("macos-{architectures}"),
        }
    }

    fn write_library(&self, to: &Path, stripped: bool) -> Result<()> {
        let mut parts = Vec::new();
        for (library, architecture) in self.libraries.iter().zip(&self.architectures) {
            let part = to.with_extension(architecture);
            copy(library, &part)?;
            slim(&part, stripped)?;
            parts.push(part);
        }
        if let [one] = parts.as_slice() {
            return at(one, fs::rename(one, to));
        }
        run(Command::new(tool("lipo")).arg("-create").args(&parts).arg("-output").arg(to))?;
        parts.iter().try_for_each(|part| remove(part))
    }

    fn property_list(&self) -> String {
        let (platform, variant) = match self.system {
            System::Phone => ("ios", ""),
            System::Simulator => (
                "ios",
                "\t\t\t<key>SupportedPlatformVariant</key>\n\t\t\t<string>simulator</string>\n",
            ),
            System::Mac => ("macos", ""),
        };
        let architectures: String = self
            .architectures
            .iter()
            .map(|one| format!("\t\t\t\t<string>{one}</string>\n"))
            .collect();
        format!(
            "\t\t<dict>\n\
             \t\t\t<key>BinaryPath</key>\n\t\t\t<string>{library}</string>\n\
             \t\t\t<key>HeadersPath</key>\n\t\t\t<string>Headers</string>\n\
             \t\t\t<key>LibraryIdentifier</key>\n\t\t\t<string>{identifier}</string>\n\
             \t\t\t<key>LibraryPath</key>\n\t\t\t<string>{library}</string>\n\
             \t\t\t<key>SupportedArchitectures</key>\n\
             \t\t\t<array>\n{architectures}\t\t\t</array>\n\
             \t\t\t<key>SupportedPlatform</key>\n\t\t\t<string>{platform}</string>\n\
             {variant}\t\t</dict>\n",
            library = library_file(),
            identifier = self.identifier(),
        )
    }
}

fn property_list(slices: &[Slice]) -> String {
    let slices: String = slices.iter().map(Slice::property_list).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \t<key>AvailableLibraries</key>\n\t<array>\n{slices}\t</array>\n\
         \t<key>CFBundlePackageType</key>\n\t<string>XFWK</string>\n\
         \t<key>XCFrameworkFormatVersion</key>\n\t<string>1.0</string>\n\
         </dict>\n</plist>\n"
    )
}

/// Removes the debug information, if asked to, and the bitcode in Rust's standard library: older tools fail on
/// bitcode, and no linker needs it here.
fn slim(library: &Path, stripped: bool) -> Result<()> {
    if ON_APPLE {
        // Xcode's tools ignore bitcode.
        return if stripped { run(Command::new("strip").arg("-S").arg(library)) } else { Ok(()) };
    }
    let mut command = Command::new(tool("objcopy"));
    command.args(
        ["__LLVM,__bitcode", "__LLVM,__cmdline"].map(|one| format!("--remove-section={one}")),
    );
    if stripped {
        command.arg("--strip-debug");
    }
    run(command.arg(library))
}

/// A tool for Apple's files: Xcode's own, or LLVM's under its name in Debian.
fn tool(name: &str) -> String {
    if ON_APPLE { name.to_owned() } else { format!("llvm-{name}-19") }
}
