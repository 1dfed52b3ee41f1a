//! Shrinks a plan that fails: takes parts away, as long as it fails in the same way.

use crate::plan::Plan;
use crate::quiet;
use crate::report::Violation;
use crate::scenario::Scenario;
use crate::world;

/// How often to play a plan to see whether it always fails in the same way, and how often to play an unreliable one
/// before it counts as passed.
const TRIES: u32 = 3;

/// A shrunk plan.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smallest plan that fails in the same way.
    pub plan: Plan,
    /// How it fails.
    pub violation: Violation,
    /// Whether the first plan failed in exactly the same way each time it was played again; `None` if it was not. If it
    /// did not, something outside of the plan has an influence.
    pub reproduced: Option<bool>,
}

/// The smallest plan found within `runs` runs that fails by the same bug, and how it fails.
pub fn shrink(scenario: &dyn Scenario, plan: &Plan, violation: &Violation, runs: u32) -> Shrunk {
    quiet::during(|| {
        let is_same = |_| world::play(plan, scenario).as_ref().err() == Some(violation);
        let reproduced = (runs > 0).then(|| (0..TRIES).all(is_same));
        let tries = if reproduced == Some(false) { TRIES } else { 1 };
        let best = (plan.clone(), violation.clone());
        let mut shrinker = Shrinker { scenario, of: violation, runs, tries, best };
        shrinker.all();
        let (plan, violation) = shrinker.best;
        Shrunk { plan, violation, reproduced }
    })
}

struct Shrinker<'a> {
    scenario: &'a dyn Scenario,
    /// How the first plan failed.
    of: &'a Violation,
    runs: u32,
    tries: u32,
    best: (Plan, Violation),
}

impl Shrinker<'_> {
    fn all(&mut self) {
        self.cut_end();
        for simpler in [
            |plan: &mut Plan| plan.rooms = 1,
            |plan: &mut Plan| plan.password = false,
            |plan: &mut Plan| plan.tight = false,
            |plan: &mut Plan| plan.forgetful = false,
            |plan: &mut Plan| plan.noise = false,
            |plan: &mut Plan| plan.clients = plan.clients.min(3),
            |plan: &mut Plan| plan.clients = plan.clients.min(2),
            |plan: &mut Plan| plan.clients = 1,
        ] {
            let mut plan = self.best.0.clone();
            simpler(&mut plan);
            self.attempt(plan);
        }
        let faults = |plan: &Plan| plan.faults.len();
        self.drop_some(faults, |plan, from, size| Plan {
            faults: without(&plan.faults, from, size),
            ..plan.clone()
        });
        self.cut_end();
        self.drop_acts();
        self.cut_end();
    }

    /// Returns whether a plan fails in the same way. Then it is the best so far.
    fn attempt(&mut self, plan: Plan) -> bool {
        if plan == self.best.0 {
            return false;
        }
        for _ in 0..self.tries {
            if self.runs == 0 {
                return false;
            }
            self.runs -= 1;
            match world::play(&plan, self.scenario) {
                Err(violation) if violation.is_like(self.of) => {
                    self.best = (plan, violation);
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Ends the faults just after the violation.
    fn cut_end(&mut self) {
        let (plan, violation) = &self.best;
        let seconds = (violation.at_us / 1_000_000 + 1).min(plan.fault_seconds);
        let mut plan = Plan { fault_seconds: seconds, ..plan.clone() };
        plan.faults.retain(|fault| fault.at_ms <= seconds * 1_000);
        self.attempt(plan);
    }

    /// Takes away the acts of users that the violation does not need.
    fn drop_acts(&mut self) {
        let (plan, violation) = &self.best;
        if plan.acts.is_none() {
            let acts = Some((1..=violation.acts).collect());
            let plan = Plan { acts, ..plan.clone() };
            if !self.attempt(plan) {
                return;
            }
        }
        let acts = |plan: &Plan| plan.acts.as_ref().map_or(0, Vec::len);
        self.drop_some(acts, |plan, from, size| Plan {
            acts: plan.acts.as_ref().map(|acts| without(acts, from, size)),
            ..plan.clone()
        });
    }

    /// Takes elements of a plan's list away: first half of them at a time, then fewer, then one by one.
    fn drop_some(&mut self, length: fn(&Plan) -> usize, without: fn(&Plan, usize, usize) -> Plan) {
        let mut size = length(&self.best.0).div_ceil(2);
        while size > 0 && self.runs > 0 {
            let mut from = 0;
            let mut dropped = false;
            while from < length(&self.best.0) && self.runs > 0 {
                let plan = without(&self.best.0, from, size);
                if self.attempt(plan) {
                    dropped = true;
                } else {
                    from += size;
                }
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !dropped {
                size = 0;
            }
        }
    }
}

fn without<T: Clone>(list: &[T], from: usize, count: usize) -> Vec<T> {
    let end = (from + count).min(list.len());
    [&list[..from], &list[end..]].concat()
}
