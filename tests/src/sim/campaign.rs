//! Many runs, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::plan::{Plan, What};
use super::report::{Report, Violation};
use super::{run, shrink};

/// What many runs were like.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// All of them together.
    pub summary: Summary,
    /// Those that failed, made small, in the order of their seeds.
    pub failures: Vec<Failure>,
}

/// A run that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong with the whole plan.
    pub violation: Violation,
    /// The smallest plan that fails in the same way.
    pub plan: Plan,
    /// What went wrong with that one.
    pub smallest: Violation,
}

/// What many runs were like together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Of them failed.
    pub failed: u64,
    /// Virtual hours of all clients together.
    pub client_hours: f64,
    /// Those after what was stored may have been lost are not among them: these.
    pub lossy_client_hours: f64,
    /// Runs that ended early because a majority had voted for a wrong state: those who were right were away.
    pub usurped: u64,
    /// Virtual seconds of all runs together.
    pub simulated_s: f64,
    /// Seconds that it took.
    pub real_s: f64,
    /// Virtual time over real time.
    pub speed: f64,
    /// Longest virtual time from the end of the faults until all had converged, in seconds.
    pub slowest_convergence_s: f64,
    /// Entries that models counted.
    pub entries: u64,
    /// Positions at which a client was compared with another one.
    pub compared: u64,
    /// Votes that ended with everybody agreeing.
    pub unanimous: u64,
    /// Clients that diverged, were told, and went on.
    pub healed: u64,
    /// Panics that were undone, counted at each client.
    pub undone: u64,
    /// Liars who were shown the door.
    pub liars_closed: u64,
    /// How often senders were held back.
    pub held: u64,
    /// How often somebody who does not read was dropped.
    pub dropped_slow: u64,
    /// How often something could not be stored and was taken back.
    pub taken_back: u64,
    /// Most bytes of logs and snapshots that a reflector had.
    pub most_log_bytes: u64,
    /// What was done, how often.
    pub faults: BTreeMap<What, u64>,
}

impl Campaign {
    /// Plays plans on so many threads. Those that fail are made smaller, with so many runs each. `each` is
    /// told of every run.
    pub fn play(
        plans: &[Plan],
        jobs: usize,
        shrink_runs: u32,
        each: impl Fn(&Plan, &Result<Report, Violation>) + Sync,
    ) -> Self {
        let started = Instant::now();
        let next = AtomicUsize::new(0);
        let done = Mutex::new((Summary::default(), Vec::new()));
        let work = || {
            while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = run(plan);
                each(plan, &result);
                let failure = result.as_ref().err().map(|violation| {
                    let (smallest_plan, smallest) = shrink(plan, violation, shrink_runs);
                    let violation = violation.clone();
                    Failure { seed: plan.seed, violation, plan: smallest_plan, smallest }
                });
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.0.add(&result);
                done.1.extend(failure);
            }
        };
        std::thread::scope(|scope| {
            (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work)));
        });
        let (mut summary, mut failures) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.sort_by_key(|failure: &Failure| failure.seed);
        summary.real_s = started.elapsed().as_secs_f64();
        summary.speed = summary.simulated_s / summary.real_s;
        Self { summary, failures }
    }
}

impl Summary {
    fn add(&mut self, result: &Result<Report, Violation>) {
        self.runs += 1;
        let Ok(report) = result else {
            self.failed += 1;
            return;
        };
        self.client_hours += report.client_us as f64 / 3.6e9;
        self.lossy_client_hours += report.lossy_client_us as f64 / 3.6e9;
        self.usurped += report.usurped;
        self.simulated_s += report.simulated_us as f64 / 1e6;
        let converged_s = report.converged_us as f64 / 1e6;
        self.slowest_convergence_s = self.slowest_convergence_s.max(converged_s);
        self.entries += report.entries;
        self.compared += report.compared;
        self.unanimous += report.unanimous;
        self.healed += report.healed;
        self.undone += report.undone;
        self.liars_closed += report.liars_closed;
        self.held += report.held;
        self.dropped_slow += report.dropped_slow;
        self.taken_back += report.taken_back;
        self.most_log_bytes = self.most_log_bytes.max(report.log_bytes);
        for (what, times) in &report.faults {
            *self.faults.entry(*what).or_default() += times;
        }
    }
}
