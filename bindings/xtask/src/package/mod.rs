//! What apps for phones depend on: a package for Xcode and one for Android Studio.

mod android;
mod apple;
pub(crate) mod checksums;
pub(crate) mod folder;
pub(crate) mod host;
pub(crate) mod library;
mod order;
mod rust;
mod stand_in;
mod swift;
pub(crate) mod zip;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::files::{Result, copy, write};
use crate::workspace::root;
pub(crate) use android::Aar;
use order::{How, Package};

#[derive(Subcommand)]
pub(crate) enum Platform {
    /// Makes an XCFramework for iPhones, their simulators and Macs, and a Swift package around it.
    Ios {
        #[command(flatten)]
        how: How,
        /// The web folder that will offer Teatime.xcframework.zip. With it, a second Swift package is made: one without
        /// libraries, which downloads them.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Makes an AAR for Android with the NDK in ANDROID_NDK_HOME. Without an NDK it makes static libraries.
    Android(How),
}

pub(crate) fn make(platform: Platform) -> Result<()> {
    match platform {
        Platform::Ios { how, url } => {
            let wanted = how.among(&apple::TARGETS, |target| target.triple)?;
            apple::package(&how.package("ios")?, &wanted, url.as_deref()).map(drop)
        }
        Platform::Android(how) => {
            let wanted = how.among(&android::TARGETS, |target| target.triple)?;
            android::package(&how.package("android")?, &wanted)
        }
    }
}

/// How a release makes the packages: with all targets.
pub(crate) struct Release<'a> {
    pub(crate) profile: &'a str,
    pub(crate) into: PathBuf,
    /// The licences of everything that the library links.
    pub(crate) licenses: &'a str,
}

/// Makes the Swift package and its XCFramework. Returns the archives.
pub(crate) fn apple_for_release(release: &Release<'_>, url: Option<&str>) -> Result<Vec<PathBuf>> {
    let all: Vec<_> = apple::TARGETS.iter().collect();
    apple::package(&Package::of(release)?, &all, url)
}

/// Makes the AAR with the Kotlin classes in a jar.
pub(crate) fn android_for_release(release: &Release<'_>, jar: &Path) -> Result<Aar> {
    let all: Vec<_> = android::TARGETS.iter().collect();
    android::with_ndk(&Package::of(release)?, &all, jar)
}

/// What is missing to make the package for Swift, if anything is.
pub(crate) fn lacks_apple() -> Option<String> {
    apple::lacks()
}

/// What is missing to make the AAR, if anything is.
pub(crate) fn lacks_android() -> Option<String> {
    android::lacks()
}

/// The kinds of machines that the package for Swift is for, as Rust names them.
pub(crate) fn apple_machines() -> Vec<&'static str> {
    apple::TARGETS.iter().map(|target| target.triple).collect()
}

/// The kinds of machines that the AAR is for.
pub(crate) fn android_machines() -> Vec<&'static str> {
    android::TARGETS.iter().map(|target| target.triple).collect()
}

/// The file with the licences of everything that is linked.
pub(crate) const LICENSES: &str = "LICENSES-OF-PARTS.txt";

/// Writes the licences that must come along with every copy.
pub(crate) fn write_licenses(into: &Path, of_parts: &str) -> Result<()> {
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(name), &into.join(name))?;
    }
    write(&into.join(LICENSES), of_parts)
}
