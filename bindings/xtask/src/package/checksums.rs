//! SHA-256 of what is handed out, in the format of `sha256sum -c`. Swift packages that name a file
//! of the network want the same sum.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::files::{at, write};

/// Writes the file SHA256SUMS for files in a folder, named relative to it.
pub(crate) fn write_checksums(folder: &Path, names: &[String]) -> Result<()> {
    let mut text = String::new();
    for name in names {
        text += &format!("{}  {name}\n", sum(&folder.join(name))?);
    }
    write(&folder.join("SHA256SUMS"), &text)
}

fn sum(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    at(path, File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)))?;
    Ok(format!("{:x}", hasher.finalize()))
}
