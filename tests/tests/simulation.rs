//! Runs of the simulator: every promise holds under every fault, and every planted bug is found.

use std::collections::BTreeSet;
use std::path::Path;

use teatime::testing::{Invariant, Pace, Plan, What};
use teatime_simulator::harness::{self, Campaign, How, shrink};
use teatime_simulator::play;
use teatime_tests::ledger;
use teatime_tests::play::{Books, Bug, run};

/// Most runs for shrinking a plan that fails.
const SHRINK: u32 = 200;

/// Number of threads: one per processor of the machines on which this usually runs.
const JOBS: usize = 2;

/// `TEATIME_SEEDS=N` plays N seeds instead.
fn seeds() -> std::ops::Range<u64> {
    let seeds = std::env::var("TEATIME_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    1..1 + seeds.unwrap_or(100)
}

/// The promises about sessions, in thousands of client hours full of trouble.
#[test]
fn no_seed_diverges_loses_doubles_or_unpairs_anything() {
    let plans: Vec<_> = seeds().map(|seed| Plan::new(seed, 3)).collect();
    let how = How { jobs: JOBS, shrink_runs: SHRINK, stops: false };
    let campaign = Campaign::play(&Books::new(), &plans, how, |_, _| {});
    for failure in &campaign.failures {
        println!("{}", serde_json::json!(failure));
    }
    println!("{}", serde_json::json!(campaign.summary));
    assert!(campaign.failures.is_empty(), "{} seeds fail: see above", campaign.failures.len());
    let summary = campaign.summary;
    if plans.len() >= 80 {
        // 230 plans give at least this much of each, and fewer plans a share of it.
        let of_these = |times: u64| times * plans.len() as u64 / 230;
        let hours = of_these(1_000) as f64;
        assert!(summary.client_hours >= hours, "only {} hours", summary.client_hours);
        // A simulation in which nothing happens proves nothing.
        for (what, _) in What::ALL {
            let times = summary.faults.get(&what).copied().unwrap_or_default();
            assert!(times >= of_these(50), "hardly any {what:?}: {times}");
        }
        for (what, times) in [
            ("entries", summary.entries),
            ("comparisons", summary.compared),
            ("unanimous votes", summary.unanimous),
            ("healed clients", summary.healed),
            ("undone panics", summary.undone),
            ("liars closed", summary.liars_closed),
            ("held senders", summary.held),
            ("failed commits", summary.taken_back),
            ("refused replays", summary.replays_refused),
            ("contradicted forgeries", summary.forgeries_contradicted),
        ] {
            assert!(times >= of_these(100), "hardly any {what}: {times}");
        }
        // A participant is alarmed once of a kind, and a lie that a fault cuts short proves nothing.
        assert!(summary.lies_found >= of_these(20), "hardly any lies: {}", summary.lies_found);
        assert!(summary.usurped <= summary.runs / 20, "{} usurped runs", summary.usurped);
    }
}

/// The sync test changes nothing in a run, and the ledger never differs from its twin.
#[test]
fn under_the_sync_test_the_same_happens_and_every_model_bug_is_found() {
    let (mut synced, bare) = (0, Books::new());
    let books = Books::new().synced(1);
    for seed in 1..=12 {
        let plan = Plan::new(seed, 1);
        let report = play(&plan, &books).unwrap_or_else(|violation| panic!("{seed}: {violation}"));
        assert_eq!(report.trace, play(&plan, &bare).expect("it holds").trace);
        synced += report.synced;
    }
    assert!(synced > 30_000, "only {synced} comparisons");
    // State that is missing in snapshots, or outside of the model, shows in the twin.
    for bug in [ledger::Bug::ForgetsField, ledger::Bug::KeepsPanic, ledger::Bug::HashOrder] {
        let books = Books::new().synced(1).with_bug(Bug::Model(bug));
        let violation = (1..=60).find_map(|seed| play(&Plan::new(seed, 1), &books).err());
        let violation = violation.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let clash = violation.clash.as_ref().unwrap_or_else(|| panic!("{violation}"));
        // Now and then another participant gets there before the twin.
        let of = [Invariant::Sync, Invariant::Agreement];
        assert!(of.contains(&violation.of), "{bug:?}: {violation}");
        assert_eq!(clash.model.as_ref().map(|(_, kind)| &**kind), Some("ledger"), "{violation}");
        assert_eq!(clash.field, "sum", "{violation}");
    }
}

#[test]
fn the_same_plan_gives_the_same_run() {
    for seed in [1, 2, 16] {
        let plan = Plan::new(seed, 1);
        assert_eq!(run(&plan).expect("it holds"), run(&plan).expect("it holds"));
    }
    let trace = |seed| run(&Plan::new(seed, 1)).expect("it holds").trace;
    assert_ne!(trace(1), trace(2));
}

/// The simulator itself must be checked as well.
#[test]
fn every_planted_bug_is_found_as_what_it_is() {
    let mut found = BTreeSet::new();
    for bug in Bug::all() {
        let expected = bug.shows_as();
        let books = Books::new().with_bug(bug);
        // A log without snapshots takes its time to grow.
        let hours = if bug == Bug::System(harness::Bug::NeverSnapshots) { 5 } else { 1 };
        let mut shown = BTreeSet::new();
        for seed in 1..=60 {
            if let Err(violation) = play(&Plan::new(seed, hours), &books) {
                assert!(expected.contains(&violation.of), "{bug:?}: {violation}");
                shown.insert(violation.of);
            }
            if shown.len() == expected.len() {
                break;
            }
        }
        assert_eq!(shown.len(), expected.len(), "{bug:?} is found as {shown:?} only");
        found.append(&mut shown);
    }
    // core/teatime/tests/testing plants bugs of apps and their simulations.
    found.extend([Invariant::Start, Invariant::Sync, Invariant::Snapshot]);
    found.extend([Invariant::Again, Invariant::Act, Invariant::Setup]);
    let unchecked: Vec<_> = Invariant::ALL.into_iter().filter(|of| !found.contains(of)).collect();
    assert!(unchecked.is_empty(), "no bug is planted for {unchecked:?}");
}

#[test]
fn a_failing_plan_gets_smaller_and_fails_in_the_same_way() {
    let books = Books::new().with_bug(Bug::Model(ledger::Bug::ForgetsField));
    let failing = (1..=60).map(|seed| Plan::new(seed, 1)).find_map(|plan| {
        let violation = play(&plan, &books).err()?;
        (plan.pace == Pace::Brisk && plan.faults.len() > 20).then_some((plan, violation))
    });
    let (plan, violation) = failing.expect("the bug shows in one of them");
    let found = shrink(&books, &plan, &violation, SHRINK);
    let (small, smallest) = (found.plan, found.violation);
    assert_eq!(found.reproduced, Some(true));
    // All that this bug needs is a participant who joins after an entry.
    assert!(small.faults.len() <= 4, "{small:?}");
    assert_eq!((smallest.of, play(&small, &books).err()), (violation.of, Some(smallest.clone())));
    // As text it is the same plan.
    let text = serde_json::to_string(&small).expect("it is plain data");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("it was written"), small);
}

/// Plans that once failed, each because of a real bug.
#[test]
fn what_once_failed_does_not_fail_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let files = std::fs::read_dir(&folder).expect("the folder is there");
    let mut played = 0;
    for file in files {
        let path = file.expect("it can be listed").path();
        let plan = Plan::read(&path).expect("it is a plan");
        if let Err(violation) = run(&plan) {
            panic!("{}: {violation}", path.display());
        }
        played += 1;
    }
    assert!(played >= 5, "only {played} plans");
}
