//! Many runs, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::failure::Failure;
use super::oracle::{Memory, Time};
use super::plan::{Plan, What};
use super::quiet::Silencer;
use super::report::{Report, Violation};
use super::scenario::Scenario;
use super::shrink::shrink;
use super::world;

/// What many runs were like.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// All of them together.
    pub summary: Summary,
    /// Those that failed, made small, in the order of their plans.
    pub failures: Vec<Failure>,
}

/// What many runs were like together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Runs; that a simulation plays its first seed again is not among them, nor in any number below but `checked`.
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
    /// Events that were accepted, counted at each client that was left.
    pub entries: u64,
    /// How often the app's own checks were asked: once for each client that was left.
    pub checked: u64,
    /// Positions at which a client was compared with another one.
    pub compared: u64,
    /// Inputs after which a client was compared with a twin.
    pub synced: u64,
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

/// How a campaign is played.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Threads; with one, the caller's.
    pub jobs: usize,
    /// Runs that may be spent on making a plan that fails smaller.
    pub shrink_runs: u32,
    /// No more plans are begun once one has failed.
    pub stops: bool,
}

/// A campaign whose plans are made when they are played.
pub(crate) struct Run {
    pub(crate) summary: Summary,
    /// Those that failed, made small, and the places of their plans, in that order.
    pub(crate) failures: Vec<(u64, Failure)>,
    /// What is known of the one that was to be remembered, if it went well.
    pub(crate) remembered: Option<Remembered>,
}

/// What is known of a run that went well.
pub(crate) struct Remembered {
    pub(crate) plan: Plan,
    pub(crate) memory: Memory,
    pub(crate) over: Instant,
}

impl Campaign {
    /// Plays plans. `each` is told of every run.
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
        self.most_log_bytes = self.most_log_bytes.max(report.log_bytes);
        for (what, times) in &report.faults {
            *self.faults.entry(*what).or_default() += times;
        }
    }
}
