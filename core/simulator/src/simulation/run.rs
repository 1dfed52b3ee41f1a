//! Plays a simulation: all its plans, the first seed a second time, and the report of a failure.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use super::lineup::{Given, LineUp, quoted, read_plans};
use super::{MOST_SECONDS, Simulation};
use crate::campaign::{How, Remembered, Run, Summary};
use crate::failure::Failure;
use crate::oracle::Time;
use crate::plan::Plan;
use crate::report::{Invariant, Report, Violation};
use crate::world;

/// The first seed is played again this long after it was over, so that a clock of seconds shows another time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Simulation<'_> {
    /// Plays all seeds.
    ///
    /// # Errors
    /// The first seed that failed, with its shrunk plan.
    pub fn run(self) -> Result<Summary, Failure> {
        if self.seconds > MOST_SECONDS {
            let what = format!("{} seconds: expected at most {MOST_SECONDS}", self.seconds);
            return Err(self.refused(what));
        }
        let (seed, seeds) = (self.number("TEATIME_SEED")?, self.number("TEATIME_SEEDS")?);
        if let Some(path) = std::env::var_os("TEATIME_PLAN") {
            let path = PathBuf::from(path);
            let plan = Plan::read(&path).map_err(|why| self.refused(why))?;
            if self.is_own(&plan) {
                let given = vec![Given { plan: self.fit(plan), file: Some(path) }];
                return self.play_all(&LineUp::new(given, 0, 0));
            }
        }
        if let Some(seed) = seed {
            return self.play_all(&LineUp::new(Vec::new(), seed, 1));
        }
        let mut given = Vec::new();
        if let Some(folder) = &self.keep_in {
            given = read_plans(folder).map_err(|why| self.refused(why))?;
            given.retain(|one| self.is_own(&one.plan));
            let fit = |one: Given| Given { plan: self.fit(one.plan), ..one };
            given = given.into_iter().map(fit).collect();
        }
        self.play_all(&LineUp::new(given, 1, seeds.unwrap_or(self.seeds)))
    }

    /// A number from the environment.
    fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = std::env::var_os(name) else { return Ok(None) };
        match text.to_str().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.refused(format!("{name} is {text:?}: expected a number"))),
        }
    }

    fn is_own(&self, plan: &Plan) -> bool {
        plan.app.as_deref().is_none_or(|app| app == self.app.id())
    }

    /// A plan from another simulation or an earlier day, without what this simulation excludes.
    fn fit(&self, mut plan: Plan) -> Plan {
        plan.faults.retain(|fault| !self.without.contains(&fault.what));
        plan.clients = plan.clients.min(self.participants);
        plan
    }

    /// Plays a plan, such as one in the folder of [`keep_in`](Self::keep_in), exactly as it is: also with faults that
    /// this simulation is [without](Self::without), and with more [participants](Self::participants).
    ///
    /// # Errors
    /// How it failed. The plan is not shrunk.
    pub fn play(mut self, plan: &Plan) -> Result<Summary, Failure> {
        (self.shrink_runs, self.keep_in) = (0, None);
        plan.check().map_err(|why| self.refused(why))?;
        let given = vec![Given { plan: plan.clone(), file: None }];
        self.play_all(&LineUp::new(given, 0, 0))
    }

    fn play_all(&self, plans: &LineUp) -> Result<Summary, Failure> {
        self.options.clone().map_err(|why| self.refused(format!("the options: {why}")))?;
        if let Some(Err(why)) = &self.begins_with {
            return Err(
                self.refused(format!("the data that an older version has persisted: {why}"))
            );
        }
        if plans.length() == 0 {
            return Err(self.refused("no seed is played".to_owned()));
        }
        if self.actions.iter().all(|(weight, _)| *weight == 0) {
            let what = "users do nothing: no action has a weight above 0";
            return Err(self.refused(what.to_owned()));
        }
        let jobs = plans.length().min(self.threads as u64) as usize;
        let how = How { jobs, shrink_runs: self.shrink_runs, stops: true };
        let first_seed = plans.first_seed_at();
        let mut run = Run::of(self, |at| plans.plan(self, at), how, Some(first_seed), |_, _| {});
        let mut failed = run.failures.pop();
        if let (None, Some(first)) = (&failed, &run.remembered) {
            match self.play_again(first) {
                Ok(report) => run.summary.checked += report.checked,
                Err(failure) => failed = Some((first_seed, failure)),
            }
        }
        let Some((at, mut failure)) = failed else {
            if plans.is_whole() {
                self.check_shown(&run.summary).map_err(|what| self.refused(what))?;
            }
            return Ok(run.summary);
        };
        let given = plans.given(at);
        let variable = match given {
            Some(Given { file: None, .. }) => None,
            Some(Given { file: Some(path), .. }) => {
                Some(format!("TEATIME_PLAN={}", quoted(&path.display().to_string())))
            }
            None => Some(format!("TEATIME_SEED={}", failure.seed())),
        };
        if let Some(variable) = variable {
            // The name of a thread that runs a test is that of the test.
            let thread = std::thread::current();
            failure.set_again(match thread.name().filter(|name| *name != "main") {
                Some(test) => format!("{variable} cargo test {test}"),
                None => variable,
            });
        }
        match &self.keep_in {
            _ if given.is_some() => failure.mark_given(),
            // Only the first seed is played twice, so a stored plan could not show this failure.
            _ if failure.violation().of == Invariant::Again => {}
            Some(folder) => failure.save_in(folder),
            None => {}
        }
        Err(failure)
    }

    /// Plays a seed again, at a time when a clock of seconds shows another value at each of its events.
    fn play_again(&self, first: &Remembered) -> Result<Report, Failure> {
        std::thread::sleep(AGAIN_AFTER.saturating_sub(first.over.elapsed()));
        let played = world::play_for(&first.plan, self, Time::Second(&first.memory));
        played.map(|(report, _)| report).map_err(|violation| {
            // A run takes a second each time, so the plan is not shrunk.
            let smallest = (first.plan.clone(), violation.clone());
            Failure::new(self.app.id(), (&first.plan, violation), smallest, Some(false))
        })
    }

    /// A simulation in which nothing happens proves nothing.
    fn check_shown(&self, summary: &Summary) -> Result<(), String> {
        if summary.entries == 0 {
            return Err("nothing that users do has published anything".to_owned());
        }
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        match topics.iter().find(|(_, is_heard)| !**is_heard) {
            Some(((scope, event), _)) => Err(format!("no model has subscribed to {scope}/{event}")),
            None => Ok(()),
        }
    }

    fn refused(&self, what: String) -> Failure {
        let plan = self.plan(1);
        let violation = Violation::new(Invariant::Setup, what);
        Failure::new(self.app.id(), (&plan, violation.clone()), (plan.clone(), violation), None)
    }
}
