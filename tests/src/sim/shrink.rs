//! Makes a plan that fails smaller, as long as it fails in the same way.

use super::plan::{Fault, Plan};
use super::report::{Invariant, Violation};

/// The smallest plan found within so many runs that violates the same invariant, and how.
pub fn shrink(plan: &Plan, violation: &Violation, runs: u32) -> (Plan, Violation) {
    let mut shrinker = Shrinker { of: violation.of, runs, best: (plan.clone(), violation.clone()) };
    shrinker.cut_end();
    for simpler in [
        |plan: &mut Plan| plan.rooms = 1,
        |plan: &mut Plan| plan.password = false,
        |plan: &mut Plan| plan.tight = false,
        |plan: &mut Plan| plan.forgetful = false,
        |plan: &mut Plan| plan.noise = false,
        |plan: &mut Plan| plan.clients = 3,
        |plan: &mut Plan| plan.clients = 2,
    ] {
        let mut plan = shrinker.best.0.clone();
        simpler(&mut plan);
        shrinker.attempt(plan);
    }
    shrinker.drop_faults();
    shrinker.cut_end();
    shrinker.best
}

struct Shrinker {
    of: Invariant,
    runs: u32,
    best: (Plan, Violation),
}

impl Shrinker {
    /// Whether this one fails in the same way; then it is the best so far.
    fn attempt(&mut self, plan: Plan) -> bool {
        if self.runs == 0 || plan == self.best.0 {
            return false;
        }
        self.runs -= 1;
        match super::run(&plan) {
            Err(violation) if violation.of == self.of => {
                self.best = (plan, violation);
                true
            }
            _ => false,
        }
    }

    /// Nothing happens after the violation; and if that takes the faults away that it needs, less.
    fn cut_end(&mut self) {
        let (plan, violation) = &self.best;
        let seconds = (violation.at_us / 1_000_000 + 1).min(plan.fault_seconds);
        let mut plan = Plan { fault_seconds: seconds, ..plan.clone() };
        plan.faults.retain(|fault| fault.at_ms <= seconds * 1_000);
        self.attempt(plan);
    }

    /// Takes faults away, first half of them at a time, then fewer, then each.
    fn drop_faults(&mut self) {
        let mut size = self.best.0.faults.len().div_ceil(2);
        while size > 0 && self.runs > 0 {
            let mut from = 0;
            let mut dropped = false;
            while from < self.best.0.faults.len() && self.runs > 0 {
                let faults = without(&self.best.0.faults, from, size);
                let plan = Plan { faults, ..self.best.0.clone() };
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

fn without(faults: &[Fault], from: usize, count: usize) -> Vec<Fault> {
    let end = (from + count).min(faults.len());
    [&faults[..from], &faults[end..]].concat()
}
