//! Many runs, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;
use crate::oracle::{Memory, Time};
use crate::plan::Plan;
use crate::quiet::Silencer;
use crate::report::{Report, Violation};
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::what::What;
use crate::world;

/// The result of many runs.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The sums over all runs.
    pub summary: Summary,
    /// The failures, with shrunk plans, in the order of the plans.
    pub failures: Vec<Failure>,
}

/// Sums over many runs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Number of runs. The second run of the first seed counts only in `checked`.
    pub runs: u64,
    /// Number of failed runs.
    pub failed: u64,
    /// Virtual hours of all clients together, without the lossy ones.
    pub client_hours: f64,
    /// The same after stored events may have been lost, so that less could be checked.
    pub lossy_client_hours: f64,
    /// Runs that ended early, because a majority had voted for a wrong state while the others were away.
    pub usurped: u64,
    /// Virtual seconds of all runs together.
    pub simulated_s: f64,
    /// Seconds that it took.
    pub real_s: f64,
    /// Virtual time over real time.
    pub speed: f64,
    /// Longest virtual time from the end of the faults until all had converged, in seconds.
    pub slowest_convergence_s: f64,
    /// Accepted events, counted at each remaining client.
    pub entries: u64,
    /// How often the app's own checks ran: once for each remaining client.
    pub checked: u64,
    /// Positions at which a client was compared with another one.
    pub compared: u64,
    /// Inputs after which a client was compared with a twin.
    pub synced: u64,
    /// Unanimous votes.
    pub unanimous: u64,
    /// Clients that diverged, learned it, and continued.
    pub healed: u64,
    /// Panics that were undone, counted at each client.
    pub undone: u64,
    /// Liars that the reflector disconnected.
    pub liars_closed: u64,
    /// How often senders were held back.
    pub held: u64,
    /// How often the reflector disconnected a client that did not read.
    pub dropped_slow: u64,
    /// How often an event could not be stored and was withdrawn.
    pub taken_back: u64,
    /// Most bytes of logs and snapshots that a reflector had.
    pub most_log_bytes: u64,
    /// Joins of attackers that were refused because another party has signed them.
    pub replays_refused: u64,
    /// Forged states that a participant has contradicted.
    pub forgeries_contradicted: u64,
    /// Lies of the reflector that were found out in time.
    pub lies_found: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<What, u64>,
}

/// How a campaign is played.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Number of threads. With 1 the caller's thread plays.
    pub jobs: usize,
    /// Most runs that shrink a plan.
    pub shrink_runs: u32,
    /// Begin no more plans once one has failed.
    pub stops: bool,
}

/// A campaign that makes its plans when it plays them.
pub(crate) struct Run {
    pub(crate) summary: Summary,
    /// The failures, with shrunk plans, and the numbers of their plans, in that order.
    pub(crate) failures: Vec<(u64, Failure)>,
    /// The memory of the plan that is played twice, if it passed.
    pub(crate) remembered: Option<Remembered>,
}

/// A run that passed, for comparison with a second run.
pub(crate) struct Remembered {
    pub(crate) plan: Plan,
    pub(crate) memory: Memory,
    pub(crate) over: Instant,
}

impl Campaign {
    /// Plays plans. Calls `each` after every run.
    pub fn play(
        scenario: &dyn Scenario,
        plans: &[Plan],
        how: How,
        each: impl Fn(&Plan, &Result<Report, Violation>) + Sync,
    ) -> Self {
        let plan = |at| usize::try_from(at).ok().and_then(|at| plans.get(at)).cloned();
        let run = Run::of(scenario, plan, how, None, each);
        let failures = run.failures.into_iter().map(|(_, failure)| failure).collect();
        Self { summary: run.summary, failures }
    }
}

impl Run {
    /// Plays the plans at the places 0, 1, 2, …, up to the first place that has none. The one at the place `remember`
    /// is remembered.
    pub(crate) fn of(
        scenario: &dyn Scenario,
        plan: impl Fn(u64) -> Option<Plan> + Sync,
        how: How,
        remember: Option<u64>,
        each: impl Fn(&Plan, &Result<Report, Violation>) + Sync,
    ) -> Self {
        let _silencer = scenario.is_quiet().then(Silencer::new);
        let started = Instant::now();
        let remembered = Mutex::new(None);
        let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let done = Mutex::new((Summary::default(), Vec::new()));
        let work = || {
            while !is_over.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(plan) = plan(at) else { break };
                let is_remembered = remember == Some(at);
                let time = if is_remembered { Time::First } else { Time::Only };
                let played = world::play_for(&plan, scenario, time);
                let result = played.map(|(report, memory)| {
                    if is_remembered {
                        let over = Instant::now();
                        let one = Remembered { plan: plan.clone(), memory, over };
                        *remembered.lock().unwrap_or_else(PoisonError::into_inner) = Some(one);
                    }
                    report
                });
                each(&plan, &result);
                if how.stops && result.is_err() {
                    is_over.store(true, Ordering::Relaxed);
                }
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.0.add(&result);
                if let Err(violation) = result {
                    done.1.push((at, plan, violation));
                }
            }
        };
        if how.jobs <= 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                (0..how.jobs).for_each(|_| drop(scope.spawn(work)));
            });
        }
        let (mut summary, mut failed) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.sort_by_key(|(at, ..)| *at);
        failed.truncate(if how.stops { 1 } else { usize::MAX });
        let smaller = |(at, plan, violation): (u64, Plan, Violation)| {
            let small = shrink(scenario, &plan, &violation, how.shrink_runs);
            let smallest = (small.plan, small.violation);
            let app = scenario.app().id();
            (at, Failure::new(app, (&plan, violation), smallest, small.reproduced))
        };
        let failures = failed.into_iter().map(smaller).collect();
        summary.real_s = started.elapsed().as_secs_f64();
        summary.speed = summary.simulated_s / summary.real_s;
        let remembered = remembered.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self { summary, failures, remembered }
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
        self.checked += report.checked;
        self.compared += report.compared;
        self.synced += report.synced;
        self.unanimous += report.unanimous;
        self.healed += report.healed;
        self.undone += report.undone;
        self.liars_closed += report.liars_closed;
        self.held += report.held;
        self.dropped_slow += report.dropped_slow;
        self.taken_back += report.taken_back;
        self.replays_refused += report.replays_refused;
        self.forgeries_contradicted += report.forgeries_contradicted;
        self.lies_found += report.lies_found;
        self.most_log_bytes = self.most_log_bytes.max(report.log_bytes);
        for (what, times) in &report.faults {
            *self.faults.entry(*what).or_default() += times;
        }
    }
}
