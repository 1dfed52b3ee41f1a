//! The vectors in tests/vectors: what another implementation must compute, made by this one.
//!
//! [`all`] makes them. [`check`] reads them as they stand in the repository, with the code that reads what
//! comes from others.

mod blobs;
pub mod board;
mod joins;
mod keys;
mod maths;
mod messages;
mod random;
mod run;
mod seals;
mod session;
mod snapshots;
mod text;
mod values;

use std::path::PathBuf;

use serde_json::Value;

/// A file of vectors.
#[derive(Debug)]
pub struct File {
    /// Its name, in tests/vectors.
    pub name: &'static str,
    /// What the code makes.
    pub content: Value,
    /// Reads it, and says what is wrong.
    check: fn(&Value) -> Result<(), String>,
}

fn file(name: &'static str, content: Value, check: fn(&Value) -> Result<(), String>) -> File {
    File { name, content, check }
}

/// All files.
pub fn all() -> Vec<File> {
    vec![
        file("blobs.json", blobs::make(), blobs::check),
        file("joins.json", joins::make(), joins::check),
        file("keys.json", keys::make(), keys::check),
        file("maths.json", maths::make(), maths::check),
        file("messages.json", messages::make(), messages::check),
        file("random.json", random::make(), random::check),
        file("run.json", run::make(), run::check),
        file("seals.json", seals::make(), seals::check),
        file("session.json", session::make(), session::check),
        file("snapshots.json", snapshots::make(), snapshots::check),
        file("values.json", values::make(), values::check),
    ]
}

impl File {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(self.name)
    }

    /// The text that the code makes.
    pub fn text(&self) -> String {
        text::write(&self.content)
    }

    /// Reads the file, and compares it both ways: with what the code makes, and with what the code reads in it.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self) -> Result<(), String> {
        let path = self.path();
        let wrong = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let content: Value =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        (self.check)(&content).map_err(wrong)?;
        let own = self.text();
        if text == own {
            return Ok(());
        }
        let mut lines = own.lines().zip(text.lines());
        let (own, found) = lines.find(|(own, found)| own != found).unwrap_or_default();
        Err(wrong(format!("differs from what the code makes\nmade:  {own}\nfound: {found}")))
    }
}
