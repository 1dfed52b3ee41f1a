//! What apps for phones take in: a package for Xcode and one for Android Studio.

mod android;
mod apple;
mod checksums;
mod folder;
mod rust;
mod stand_in;
pub(crate) mod swift;
mod zip;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::files::at;
use crate::library::Library;
use crate::{Result, mobile, target_folder};

#[derive(Subcommand)]
pub(crate) enum Platform {
    /// Makes an XCFramework for iPhones, their simulators and Macs, and a Swift package around it.
    Ios(How),
    /// Makes an AAR for Android; needs its NDK, in ANDROID_NDK_HOME. Without one, static libraries.
    Android(How),
}

#[derive(Args)]
pub(crate) struct How {
    /// The crate of the library, for an app that has models of its own.
    #[arg(long = "crate", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where to; if not said `package` in cargo's target folder. What is there is replaced.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The build profile: release, or dev for a quick one with checks.
    #[arg(long, default_value = "release")]
    profile: String,
    /// One of the targets, as Rust names it; if none is said, all of them.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Arguments of cargo, such as features.
    #[arg(last = true, value_name = "ARGUMENT")]
    cargo: Vec<String>,
}

/// A package to be made.
struct Package {
    library: Library,
    into: PathBuf,
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

impl How {
    /// The targets that are wanted, of those that there are.
    fn among<'a, T>(&self, all: &'a [T], triple: fn(&T) -> &'static str) -> Result<Vec<&'a T>> {
        let known: Vec<_> = all.iter().map(triple).collect();
        if let Some(unknown) = self.targets.iter().find(|one| !known.contains(&one.as_str())) {
            return Err(format!("{unknown}: not one of {}", known.join(", ")));
        }
        let wanted = |target: &&T| {
            self.targets.is_empty() || self.targets.iter().any(|one| one == triple(target))
        };
        Ok(all.iter().filter(wanted).collect())
    }

    fn package(self, platform: &str) -> Result<Package> {
        let into = self.into.unwrap_or_else(|| target_folder().join("package").join(platform));
        at(&into, fs::create_dir_all(&into))?;
        // The programs that fill it do not all run in this folder.
        let into = at(&into, into.canonicalize())?;
        let mut library = mobile::library(self.folder, &self.profile)?;
        library.arguments.extend(self.cargo);
        Ok(Package { library, into })
    }
}

impl Package {
    fn is_release(&self) -> bool {
        self.library.profile == "release"
    }
}
