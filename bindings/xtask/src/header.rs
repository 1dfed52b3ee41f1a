//! The C headers: generated, committed, and checked for drift.

use std::fs;
use std::path::PathBuf;

use crate::files::{Result, at};
use crate::workspace::root;

/// The committed header of the library.
pub(crate) fn path() -> PathBuf {
    root().join("bindings/c/include/teatime.h")
}

/// The committed header of what only the library for tests has.
pub(crate) fn testing_path() -> PathBuf {
    root().join("bindings/c-testing/include/teatime_testing.h")
}

/// Generates the headers and writes them.
pub(crate) fn write() -> Result<()> {
    for (path, header) in generated()? {
        at(&path, fs::write(&path, header))?;
    }
    Ok(())
}

/// Fails if a committed header differs from the generated one.
pub(crate) fn check() -> Result<()> {
    for (path, header) in generated()? {
        if at(&path, fs::read(&path))? != header {
            let path = path.display();
            return Err(format!("{path} does not match ffi/src: run `cargo xtask header`"));
        }
    }
    Ok(())
}

fn generated() -> Result<[(PathBuf, Vec<u8>); 2]> {
    let library = root().join("ffi");
    let all = cbindgen::Builder::new().with_crate(&library);
    // From this file alone: the types of the other header are declared there.
    let testing = cbindgen::Builder::new().with_src(library.join("src/simulate.rs"));
    Ok([
        (path(), generate(all, "cbindgen.toml")?),
        (testing_path(), generate(testing, "cbindgen-testing.toml")?),
    ])
}

fn generate(of: cbindgen::Builder, settings: &str) -> Result<Vec<u8>> {
    let config = cbindgen::Config::from_file(root().join("ffi").join(settings))?;
    let bindings = of.with_config(config).generate().map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    Ok(header)
}
