//! What a simulation plays, and in which order.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Simulation;
use crate::plan::Plan;

/// All plans, in order: first those from files or the caller, then those of seeds.
pub(super) struct LineUp {
    given: Vec<Given>,
    /// The first seed, and the number of seeds.
    first: u64,
    seeds: u64,
}

/// A plan that is not that of a seed.
pub(super) struct Given {
    pub(super) plan: Plan,
    /// The file that it comes from, if any.
    pub(super) file: Option<PathBuf>,
}

impl LineUp {
    pub(super) fn new(given: Vec<Given>, first: u64, seeds: u64) -> Self {
        Self { given, first, seeds }
    }

    /// The number of the plan of the first seed.
    pub(super) fn first_seed_at(&self) -> u64 {
        self.given.len() as u64
    }

    pub(super) fn length(&self) -> u64 {
        self.seeds.saturating_add(self.first_seed_at())
    }

    pub(super) fn given(&self, at: u64) -> Option<&Given> {
        self.given.get(usize::try_from(at).ok()?)
    }

    pub(super) fn plan(&self, of: &Simulation<'_>, at: u64) -> Option<Plan> {
        if let Some(given) = self.given(at) {
            return Some(given.plan.clone());
        }
        let number = at - self.first_seed_at();
        (number < self.seeds).then(|| of.plan(self.first.saturating_add(number)))
    }

    /// Whether something must happen: a shrunk plan may do nothing once its bug is gone.
    pub(super) fn is_whole(&self) -> bool {
        self.seeds > 0 || self.given.iter().any(|given| given.plan.acts.is_none())
    }
}

/// A text, quoted as one word for a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "./-_+".contains(letter);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The plans in a folder. A folder that does not exist has none.
pub(super) fn read_plans(folder: &Path) -> Result<Vec<Given>, String> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| Ok(Given { plan: Plan::read(&path)?, file: Some(path) });
    paths.into_iter().map(read).collect()
}
