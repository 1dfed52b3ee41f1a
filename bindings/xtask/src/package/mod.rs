//! What apps for phones depend on: a package for Xcode and one for Android Studio.

mod android;
mod apple;
pub(crate) mod checksums;
mod folder;
pub(crate) mod host;
pub(crate) mod library;
mod order;
mod rust;
mod stand_in;
mod swift;
mod zip;

use clap::Subcommand;

use crate::files::Result;
use order::How;

#[derive(Subcommand)]
pub(crate) enum Platform {
    /// Makes an XCFramework for iPhones, their simulators and Macs, and a Swift package around it.
    Ios(How),
    /// Makes an AAR for Android with the NDK in ANDROID_NDK_HOME. Without an NDK it makes static libraries.
    Android(How),
}

pub(crate) fn make(platform: Platform) -> Result<()> {
    match platform {
        Platform::Ios(how) => {
            let wanted = how.among(&apple::TARGETS, |target| target.triple)?;
            apple::package(&how.package("ios")?, &wanted)
        }
        Platform::Android(how) => {
            let wanted = how.among(&android::TARGETS, |target| target.triple)?;
            android::package(&how.package("android")?, &wanted)
        }
    }
}
