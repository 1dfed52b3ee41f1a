//! Archives that depend on the content of their files only, byte for byte.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipArchive, ZipWriter};

use super::folder;
use crate::files::{Result, at};

/// Packs a folder. If `named`, the name of each file begins with the folder's name; otherwise it is relative to
/// the folder.
pub(crate) fn pack(from: &Path, to: &Path, named: bool) -> Result<()> {
    let base = if named { from.parent().unwrap_or(from) } else { from };
    let mut zip = ZipWriter::new(at(to, File::create(to))?);
    for file in folder::files(from)? {
        let bytes = at(&file, fs::read(&file))?;
        add(&mut zip, &slashes(file.strip_prefix(base).unwrap_or(&file)), &bytes)?;
    }
    finish(zip, to)
}

/// Copies the entries of an archive that `wanted` accepts.
pub(crate) fn filter(from: &Path, to: &Path, wanted: fn(&str) -> bool) -> Result<()> {
    let error = |error: zip::result::ZipError| format!("{}: {error}", from.display());
    let mut source = ZipArchive::new(at(from, File::open(from))?).map_err(error)?;
    let mut zip = ZipWriter::new(at(to, File::create(to))?);
    for index in 0..source.len() {
        let mut entry = source.by_index(index).map_err(error)?;
        let name = entry.name().map_err(error)?.into_owned();
        if entry.is_dir() || !wanted(&name) {
            continue;
        }
        let mut bytes = Vec::new();
        at(from, entry.read_to_end(&mut bytes))?;
        add(&mut zip, &name, &bytes)?;
    }
    finish(zip, to)
}

fn add(zip: &mut ZipWriter<File>, name: &str, bytes: &[u8]) -> Result<()> {
    let how = SimpleFileOptions::default()
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    zip.start_file(name, how).map_err(|error| format!("{name}: {error}"))?;
    zip.write_all(bytes).map_err(|error| format!("{name}: {error}"))
}

fn finish(zip: ZipWriter<File>, path: &Path) -> Result<()> {
    zip.finish().map(drop).map_err(|error| format!("{}: {error}", path.display()))
}

/// A path with slashes, as archives have it on every system.
fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
