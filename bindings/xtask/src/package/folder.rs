//! Folders that are emptied and filled.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{Result, at};
use crate::workspace::target_folder;

/// Makes an empty folder, and removes what was there.
pub(crate) fn renew(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => at(folder, Err(error))?,
        _ => {}
    }
    at(folder, fs::create_dir_all(folder))
}

/// The folder to write to: the one that the caller names, if it is empty, or this one in the target folder, whose content
/// is removed.
pub(crate) fn destination(into: Option<&Path>, usual: &str) -> Result<PathBuf> {
    let Some(into) = into else {
        let usual = target_folder().join(usual);
        renew(&usual)?;
        return at(&usual, usual.canonicalize());
    };
    at(into, fs::create_dir_all(into))?;
    if at(into, fs::read_dir(into))?.next().is_some() {
        return Err(format!("{}: expected an empty folder", into.display()));
    }
    at(into, into.canonicalize())
}

/// All files below a folder, sorted, so that the order on the disk does not matter.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in at(folder, fs::read_dir(folder))? {
        let path = at(folder, entry)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies all files below a folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from).unwrap_or(&file));
        if let Some(parent) = target.parent() {
            at(parent, fs::create_dir_all(parent))?;
        }
        at(&file, fs::copy(&file, &target))?;
    }
    Ok(())
}
