//! Makes a plan that fails smaller, as long as it fails in the same way.

use super::plan::Plan;
use super::quiet;
use super::report::Violation;
use super::scenario::Scenario;
use super::world;

/// How often a plan is played to see whether it always fails in the same way (by chance it may once); and how often
/// one that does not, before it counts as one that does not fail.
const TRIES: u32 = 3;

/// What was found.
pub struct Shrunk {
    /// The smallest plan that fails in the same way.
    pub plan: Plan,
    /// How it fails.
    pub violation: Violation,
    /// Whether the first plan failed in exactly the same way each time when it was played again, if it was. If not,
    /// something has a part in it that does not follow from the plan.
    pub reproduced: Option<bool>,
}

/// The smallest plan found within so many runs that fails by the same mistake, and how.
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

    /// Whether this one fails in the same way; then it is the best so far.
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

    /// Nothing happens after the violation; and if that takes the faults away that it needs, less.
    fn cut_end(&mut self) {
        let (plan, violation) = &self.best;
        let seconds = (violation.at_us / 1_000_000 + 1).min(plan.fault_seconds);
        let mut plan = Plan { fault_seconds: seconds, ..plan.clone() };
        plan.faults.retain(|fault| fault.at_ms <= seconds * 1_000);
        self.attempt(plan);
    }

    /// Takes away what users do, as far as the violation does not need it. What comes after it is not
    /// numbered.
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

    /// Takes some of a plan's list away, first half of it at a time, then fewer, then each.
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
