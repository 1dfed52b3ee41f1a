//! Actions and checks of a test, and how their failures are reported.

use std::sync::atomic::{AtomicU64, Ordering};

use teatime::testing::{End, Failure, Invariant};

use crate::board::{Planted, failure, simulation};
use crate::seeds_are_chosen;

#[test]
fn failing_checks_are_reported() {
    let failure = failure(Planted::Miscounts);
    assert_eq!(failure.smallest().of, Invariant::Check, "{failure}");
    assert!(failure.to_string().contains("stones"), "{failure}");
    let says = simulation(Planted::Nothing).check(|_| Err("it is never right")).seeds(1).run();
    let says = says.expect_err("it is never right");
    assert_eq!(says.violation().of, Invariant::Check);
    assert!(says.to_string().contains("it is never right"), "{says}");
}

#[test]
fn failing_actions_are_reported() {
    let fails = |planted: &'static str| {
        simulation(Planted::Nothing).seeds(1).action(1, move |_, user| {
            if user.count("board", "put") < 3 || planted.is_empty() { Ok(()) } else { Err(planted) }
        })
    };
    assert!(fails("").run().is_ok());
    let failure = fails("the printer returned 7").run().expect_err("it says so");
    assert_eq!(failure.smallest().of, Invariant::Act, "{failure}");
    assert!(failure.to_string().contains("an action failed, after "), "{failure}");
    assert!(failure.to_string().contains(": action 3: the printer returned 7"), "{failure}");
    // It needs three stones, and the action itself.
    assert_eq!(failure.plan().acts.as_ref().map(Vec::len), Some(4), "{failure}");
}

/// Shrinking a plan must not change which check fails.
#[test]
fn a_shrunk_plan_fails_as_its_seed_did() {
    let guarded = || {
        let guard = |end: &End<'_>| {
            assert!(end.count("board", "put") > 0, "no stone was put");
        };
        simulation(Planted::Miscounts).check(guard)
    };
    let failure = guarded().run().expect_err("it miscounts");
    assert!(failure.violation().to_string().contains("check 1: "), "{failure}");
    assert!(failure.to_string().contains("stones"), "{failure}");
    assert!(!failure.to_string().contains("no stone"), "{failure}");
    // The same within one check.
    let coded = simulation(Planted::Nothing).check(|end| {
        let puts = end.count("board", "put");
        if puts > 0 { Err("check returned 1") } else { Err("check returned 2") }
    });
    let failure = coded.run().expect_err("it is never right");
    assert!(failure.to_string().contains("check returned 1"), "{failure}");
}

/// The summary counts each call of a check, including those for the second play of the first seed.
#[test]
fn every_call_of_a_check_is_counted() -> Result<(), Failure> {
    let asked = AtomicU64::new(0);
    let counted = simulation(Planted::Nothing).seeds(2).seconds(10).check(|_| {
        asked.fetch_add(1, Ordering::Relaxed);
    });
    let summary = counted.run()?;
    assert_eq!(summary.checked, asked.load(Ordering::Relaxed));
    assert!(summary.runs == 2 || seeds_are_chosen());
    Ok(())
}

/// Also if the only participant has left: then another one joins for the check.
#[test]
fn checks_run_after_every_seed() -> Result<(), Failure> {
    for seed in 1..=30 {
        let alone = simulation(Planted::Nothing).participants(1).seconds(30);
        let plan = alone.plan(seed);
        assert!(alone.play(&plan)?.checked > 0, "seed {seed}");
    }
    Ok(())
}
