//! A seed that fails, reported so that a developer knows what to look at.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::plan::Plan;
use crate::report::{Invariant, Violation};

/// Most lines for the story of the smallest plan.
const LINES: usize = 8;

/// A run that failed.
#[derive(Clone, Serialize)]
pub struct Failure(Box<Inner>);

#[derive(Clone, Serialize)]
struct Inner {
    app: String,
    seed: u64,
    violation: Violation,
    plan: Plan,
    smallest: Violation,
    reproduced: Option<bool>,
    faults: usize,
    /// The plan came from the caller or a file, not from a seed.
    is_given: bool,
    #[serde(skip)]
    again: Option<String>,
    kept: Option<Result<PathBuf, String>>,
}

impl Failure {
    pub(crate) fn new(
        app: &str,
        whole: (&Plan, Violation),
        smallest: (Plan, Violation),
        reproduced: Option<bool>,
    ) -> Self {
        Self(Box::new(Inner {
            app: app.to_owned(),
            seed: whole.0.seed,
            violation: whole.1,
            plan: smallest.0,
            smallest: smallest.1,
            reproduced,
            faults: whole.0.faults.len(),
            is_given: false,
            again: None,
            kept: None,
        }))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// What went wrong with the whole plan.
    pub fn violation(&self) -> &Violation {
        &self.0.violation
    }

    /// The smallest plan found that fails in the same way.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// What went wrong with the smallest plan.
    pub fn smallest(&self) -> &Violation {
        &self.0.smallest
    }

    /// Whether the seed failed in exactly the same way when it was played again; `None` if it was not. If it did not,
    /// something outside of the models has an influence.
    pub fn is_reproduced(&self) -> Option<bool> {
        self.0.reproduced
    }

    /// The file of the smallest plan, if it was written.
    pub fn kept(&self) -> Option<&Path> {
        self.0.kept.as_ref()?.as_deref().ok()
    }

    /// Sets the command that runs it again.
    pub(crate) fn set_again(&mut self, again: String) {
        self.0.again = Some(again);
    }

    /// Notes that the plan came from the caller or a file.
    pub(crate) fn mark_given(&mut self) {
        self.0.is_given = true;
    }

    /// Writes the smallest plan into a file of its own in this folder.
    pub(crate) fn save_in(&mut self, folder: &Path) {
        let path = folder.join(self.0.plan.file_name());
        let made = std::fs::create_dir_all(folder);
        let made = made.map_err(|error| format!("{}: {error}", folder.display()));
        self.0.kept = Some(made.and_then(|()| self.0.plan.write(&path)).map(|()| path));
    }
}

impl std::error::Error for Failure {}

/// The same as `Display`: a test that returns a failure, and `unwrap`, print this.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = &*self.0;
        let nothing = match one.smallest.of {
            Invariant::Start => Some("cannot be started"),
            Invariant::Setup => Some("is refused"),
            _ => None,
        };
        if let Some(nothing) = nothing {
            return write!(f, "the simulation of {} {nothing}: {}", one.app, one.smallest.what);
        }
        let what = if one.is_given { "a plan made of seed" } else { "seed" };
        writeln!(f, "{what} {} of the simulation of {} fails", one.seed, one.app)?;
        writeln!(f, "{}", one.smallest)?;
        if one.reproduced == Some(false) {
            writeln!(
                f,
                "played again it went another way: what decides comes from outside of the models, such as a \
                 clock, a static, or the order of a std::collections::HashMap"
            )?;
        }
        if let Some(again) = &one.again {
            writeln!(f, "run it again: {again}")?;
        }
        match &one.kept {
            Some(Ok(path)) => writeln!(f, "what is left of it is kept in {}", path.display())?,
            Some(Err(why)) => writeln!(f, "what is left of it could not be kept: {why}")?,
            None => {}
        }
        let plan = &one.plan;
        let done = one.smallest.acts;
        let acts = plan.acts.as_ref().map_or(done, |acts| acts.len() as u64);
        write!(
            f,
            "what is left of it: {} of {} faults, {acts} actions, at most {} participants, {} s:",
            plan.faults.len(),
            one.faults,
            plan.clients,
            plan.fault_seconds,
        )?;
        let story = &one.smallest.story;
        if story.len() > LINES {
            write!(f, "\n         …")?;
        }
        for (at_us, what) in &story[story.len().saturating_sub(LINES)..] {
            write!(f, "\n{:>8.3} s  {what}", *at_us as f64 / 1e6)?;
        }
        Ok(())
    }
}
