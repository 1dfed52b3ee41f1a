//! The fingerprint of a model's code: a hash of all sources of the crate that the model is in.
//!
//! It covers what a handler does, constants, functions, nested types, and the files that `include!` and its kind name.
//! Formatting, comments, the order of imports, and tests do not change it. Platforms do not either: code counts whatever its
//! `cfg`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use proc_macro2::TokenStream;

use crate::words::{self, Finding};

/// The sources of a crate.
#[derive(Debug)]
pub(crate) struct Sources {
    /// 64 hexadecimal digits.
    pub(crate) fingerprint: String,
    /// All files that were read.
    pub(crate) files: Vec<PathBuf>,
}

/// What this compiler has read already, by the root of the crate: all models of a crate have the same sources.
static KNOWN: Mutex<BTreeMap<PathBuf, Arc<Sources>>> = Mutex::new(BTreeMap::new());

/// The sources of the crate that this file belongs to, in the package in this directory.
pub(crate) fn of_crate(file: &Path, package: &Path) -> Result<Arc<Sources>, String> {
    let absolute = |path: &Path| {
        fs::canonicalize(path).map_err(|error| format!("cannot find {}: {error}", path.display()))
    };
    let (file, package) = (absolute(file)?, absolute(package)?);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for root in roots(&file, &package) {
        let sources = match known.get(&root) {
            Some(sources) => sources.clone(),
            None => known.entry(root.clone()).or_insert(Arc::new(read_crate(&root)?)).clone(),
        };
        if sources.files.contains(&file) {
            return Ok(sources);
        }
    }
    Err(format!("cannot find the crate that {} belongs to", file.display()))
}

/// The files that may be the root of the crate which has this file, the nearest first.
fn roots(file: &Path, package: &Path) -> impl Iterator<Item = PathBuf> {
    let above = file.ancestors().skip(1).take_while(|one| one.starts_with(package));
    let roots = above.flat_map(|one| [one.join("lib.rs"), one.join("main.rs")]);
    let roots: Vec<_> = roots.filter(|root| root.is_file()).collect();
    roots.into_iter().chain([file.to_owned()])
}

fn read_crate(root: &Path) -> Result<Sources, String> {
    let mut reader = Reader::default();
    let directory = root.parent().unwrap_or(root).to_owned();
    reader.read_module(root, &directory, "crate")?;
    let mut hasher = blake3::Hasher::new_derive_key("teatime v1 sources");
    for (name, content) in &reader.parts {
        for text in [name.as_bytes(), content] {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
    Ok(Sources { fingerprint: hasher.finalize().to_hex().to_string(), files: reader.files })
}

#[derive(Default)]
struct Reader {
    /// The words of each module, and the bytes of each other file, by name.
    parts: BTreeMap<String, Vec<u8>>,
    files: Vec<PathBuf>,
}

impl Reader {
    /// Reads the file of a module. The files of the modules in it are in `directory`.
    fn read_module(&mut self, file: &Path, directory: &Path, name: &str) -> Result<(), String> {
        self.files.push(file.to_owned());
        let (words, found) = words::of(tokens_of(file)?);
        self.parts.insert(name.to_owned(), words.join("\0").into_bytes());
        self.follow(found, (file, directory), name)
    }

    /// Reads what the source of a module refers to.
    fn follow(
        &mut self,
        found: Vec<Finding>,
        (file, directory): (&Path, &Path),
        name: &str,
    ) -> Result<(), String> {
        let beside = file.parent().unwrap_or(directory);
        for one in found {
            match one {
                Finding::Inline(module, found) => {
                    let own = directory.join(&module);
                    self.follow(found, (file, &own), &format!("{name}::{module}"))?;
                }
                Finding::Module(module, path) => {
                    let own = directory.join(&module);
                    let candidates = match path {
                        // Its modules are beside it.
                        Some(path) => vec![(beside.join(path), None)],
                        None => vec![
                            (directory.join(format!("{module}.rs")), Some(own.clone())),
                            (own.join("mod.rs"), Some(own)),
                        ],
                    };
                    self.read_first(candidates, &format!("{name}::{module}"))?;
                }
                Finding::Include(path) => self.read_included(&beside.join(path), name)?,
            }
        }
        Ok(())
    }

    /// Reads the first of these files that exists, as a module with files in a directory, or beside it. What another platform
    /// needs may be missing on this one.
    fn read_first(
        &mut self,
        candidates: Vec<(PathBuf, Option<PathBuf>)>,
        name: &str,
    ) -> Result<(), String> {
        for (file, directory) in candidates {
            let Ok(file) = fs::canonicalize(file) else { continue };
            if self.files.contains(&file) {
                return Ok(());
            }
            let beside = || file.parent().unwrap_or(&file).to_owned();
            let directory = directory.unwrap_or_else(beside);
            return self.read_module(&file, &directory, name);
        }
        Ok(())
    }

    /// Reads a file that a macro includes. If it is missing, the macro is not used, or the crate does not compile.
    fn read_included(&mut self, file: &Path, name: &str) -> Result<(), String> {
        let Ok(file) = fs::canonicalize(file) else { return Ok(()) };
        if self.files.contains(&file) {
            return Ok(());
        }
        self.files.push(file.clone());
        let bytes = if file.extension().is_some_and(|extension| extension == "rs") {
            words::of(tokens_of(&file)?).0.join("\0").into_bytes()
        } else {
            fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?
        };
        let number = self.parts.len();
        self.parts.insert(format!("{name} includes {number}"), bytes);
        Ok(())
    }
}

fn tokens_of(file: &Path) -> Result<TokenStream, String> {
    let wrong = |why: String| format!("cannot read {}: {why}", file.display());
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    // A line that makes a script of it.
    let is_script = text.starts_with("#!") && !text.starts_with("#![");
    let start = if is_script { text.find('\n').unwrap_or(text.len()) } else { 0 };
    text[start..].parse().map_err(|error: proc_macro2::LexError| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fingerprint of a package with these files, and a model in the first.
    fn fingerprint(files: &[(&str, &str)]) -> String {
        let package = tempfile::tempdir().expect("there is room");
        for (name, text) in files {
            let file = package.path().join(name);
            fs::create_dir_all(file.parent().expect("it has one")).expect("there is room");
            fs::write(file, text).expect("there is room");
        }
        let file = package.path().join(files[0].0);
        of_crate(&file, package.path()).expect("it can be read").fingerprint.clone()
    }

    const MODEL: &str = "mod rules; fn handler() { self.points += rules::STEP; }";

    #[test]
    fn every_source_of_the_crate_counts_and_no_other() {
        let base = [
            ("src/game/model.rs", MODEL),
            ("src/game/model/rules.rs", "pub const STEP: u32 = 1;"),
            ("src/game/mod.rs", "mod model; #[path = \"odd.rs\"] mod even;"),
            ("src/game/odd.rs", "mod deep;"),
            ("src/game/deep.rs", "const WORDS: &str = include_str!(\"words.txt\");"),
            ("src/game/words.txt", "one two"),
            ("src/lib.rs", "mod game; mod inner { mod leaf; } #[cfg(windows)] mod missing;"),
            ("src/inner/leaf.rs", "fn helper() -> u8 { 1 }"),
            ("src/main.rs", "fn main() {}"),
            ("tests/all.rs", "fn main() {}"),
        ];
        let before = fingerprint(&base);
        assert_eq!(before, fingerprint(&base), "wherever the package is");
        for at in 0..base.len() {
            let mut changed = base;
            let text = format!("{} const NEW: u8 = 2;", base[at].1);
            changed[at].1 = &text;
            let counts = !["src/main.rs", "tests/all.rs"].contains(&base[at].0);
            assert_eq!(fingerprint(&changed) != before, counts, "{}", base[at].0);
        }
    }

    #[test]
    fn a_crate_besides_the_library_has_its_own_sources() {
        let lib = ("src/lib.rs", "fn lib() {}");
        for root in ["src/main.rs", "src/bin/tool.rs", "src/bin/tool/main.rs", "tests/it.rs"] {
            let one = fingerprint(&[(root, MODEL), lib]);
            assert_eq!(one, fingerprint(&[(root, MODEL), ("src/lib.rs", "fn other() {}")]));
            assert_ne!(one, fingerprint(&[(root, "fn handler() {}"), lib]));
        }
    }

    #[test]
    fn line_ends_comments_and_formatting_change_nothing() {
        let one = fingerprint(&[
            ("src/lib.rs", "mod a;\nfn f() {}\n"),
            ("src/a.rs", "const S: &str = \"x\ny\";"),
        ]);
        let other = [
            ("src/lib.rs", "\u{feff}//! About it.\r\n/* more */ mod a;\r\n\r\nfn f()\r\n{\r\n}"),
            ("src/a.rs", "/// About S.\r\nconst S: &str =\r\n    \"x\r\ny\";"),
        ];
        assert_eq!(one, fingerprint(&other));
    }

    #[test]
    fn a_file_that_is_not_rust_is_an_error_that_names_it() {
        let package = tempfile::tempdir().expect("there is room");
        let file = package.path().join("lib.rs");
        fs::write(&file, "fn f( {").expect("there is room");
        let error = of_crate(&file, package.path()).expect_err("it is not Rust");
        assert!(error.starts_with("cannot read ") && error.contains("lib.rs"), "{error}");
    }
}
