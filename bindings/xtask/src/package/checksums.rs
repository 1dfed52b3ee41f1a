//! SHA-256 of the files of a release, in the format of `sha256sum -c`.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files::{Result, at, write};

/// Writes the checksums of files into a file beside them; `names` are relative to its folder.
pub(crate) fn write_checksums(file: &Path, names: &[String]) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    let mut text = String::new();
    for name in names {
        text += &format!("{}  {name}\n", sum(&folder.join(name))?);
    }
    write(file, &text)
}

/// The checksum of a file, which is also what a Swift package says about a library to download.
pub(super) fn sum(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    at(path, File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)))?;
    Ok(format!("{:x}", hasher.finalize()))
}
