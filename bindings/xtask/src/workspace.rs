//! Where things are in the workspace.

use std::path::{Path, PathBuf};

/// Whether this machine has Apple's tools, and builds Apple's kinds of libraries.
pub(crate) const ON_APPLE: bool = cfg!(target_vendor = "apple");

/// The top of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The folder in which cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(|target| root().join(target));
    target.unwrap_or_else(|| root().join("target"))
}
