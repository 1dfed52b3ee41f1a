//! The C header: generated, committed, and checked for drift.

use std::fs;
use std::path::PathBuf;

use crate::files::at;
use crate::{Result, root};

/// Where the header is kept.
pub(crate) fn path() -> PathBuf {
    root().join("bindings/c/include/teatime.h")
}

/// Generates the header and writes it.
pub(crate) fn write() -> Result<()> {
    let path = path();
    at(&path, fs::write(&path, generate()?))
}

/// Fails if the header that is there is not the one that would be generated.
pub(crate) fn check() -> Result<()> {
    let path = path();
    if at(&path, fs::read(&path))? == generate()? {
        return Ok(());
    }
    Err(format!("{} is not what ffi/src says: run `cargo xtask header`", path.display()))
}

fn generate() -> Result<Vec<u8>> {
    let library = root().join("ffi");
    let config = cbindgen::Config::from_file(library.join("cbindgen.toml"))?;
    let bindings = cbindgen::Builder::new()
        .with_crate(&library)
        .with_config(config)
        .generate()
        .map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    Ok(header)
}
