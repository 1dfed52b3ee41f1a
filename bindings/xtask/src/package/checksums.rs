//! SHA-256 of the files of a release, in the format of `sha256sum -c`.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files::{Result, at, write};

/// Writes SHA256SUMS for files in a folder; `names` are relative to the folder.
pub(crate) fn write_checksums(folder: &Path, names: &[String]) -> Result<()> {
    let mut text = String::new();
    for name in names {
        text += &format!("{}  {name}\n", sum(&folder.join(name))?);
    }
    write(&folder.join("SHA256SUMS"), &text)
}

/// The checksum of a file, which is also what a Swift package says about a library to download.
pub(super) fn sum(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    at(path, File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)))?;
    Ok(format!("{:x}", hasher.finalize()))
}
