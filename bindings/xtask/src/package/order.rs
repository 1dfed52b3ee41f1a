//! Which package to make, and how: from the command line to what the platforms need.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::library::library;
use super::{Release, write_licenses};
use crate::files::{Result, at};
use crate::library::Library;
use crate::workspace::target_folder;

#[derive(Args)]
pub(crate) struct How {
    /// The crate of the library, for an app that has models of its own.
    #[arg(long = "crate", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The folder to write to, by default `package` in cargo's target folder. Its content is replaced.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The build profile: release, or dev for a quick one with checks.
    #[arg(long, default_value = "release")]
    profile: String,
    /// A target, as Rust names it. Without this option all targets are built.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Arguments of cargo, such as features.
    #[arg(last = true, value_name = "ARGUMENT")]
    cargo: Vec<String>,
}

/// A package to make.
pub(super) struct Package {
    pub(super) library: Library,
    pub(super) into: PathBuf,
    /// The licences of everything that the project's own library links. Those of an app's library are up to the app.
    pub(super) licenses: Option<String>,
}

impl How {
    /// The targets that the caller asked for, out of all targets of the platform.
    pub(super) fn among<'a, T>(
        &self,
        all: &'a [T],
        triple: fn(&T) -> &'static str,
    ) -> Result<Vec<&'a T>> {
        let known: Vec<_> = all.iter().map(triple).collect();
        if let Some(unknown) = self.targets.iter().find(|one| !known.contains(&one.as_str())) {
            return Err(format!("{unknown}: not one of {}", known.join(", ")));
        }
        let wanted = |target: &&T| {
            self.targets.is_empty() || self.targets.iter().any(|one| one == triple(target))
        };
        Ok(all.iter().filter(wanted).collect())
    }

    pub(super) fn package(self, platform: &str) -> Result<Package> {
        let into = self.into.unwrap_or_else(|| target_folder().join("package").join(platform));
        at(&into, fs::create_dir_all(&into))?;
        // Some of the programs that write to it run in another folder.
        let into = at(&into, into.canonicalize())?;
        let mut library = library(self.folder, &self.profile)?;
        library.arguments.extend(self.cargo);
        Ok(Package { library, into, licenses: None })
    }
}

impl Package {
    /// The package with the project's own library.
    pub(super) fn of(release: &Release<'_>) -> Result<Self> {
        at(&release.into, fs::create_dir_all(&release.into))?;
        let library = library(None, release.profile)?;
        let licenses = Some(release.licenses.to_owned());
        Ok(Self { library, into: release.into.clone(), licenses })
    }

    /// Writes the licences into a folder that will be packed.
    pub(super) fn write_licenses(&self, into: &Path) -> Result<()> {
        self.licenses.as_deref().map_or(Ok(()), |licenses| write_licenses(into, licenses))
    }

    pub(super) fn is_release(&self) -> bool {
        self.library.profile == "release"
    }
}
