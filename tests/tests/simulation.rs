//! The simulator's runs: no divergence, nothing lost or doubled, joins and exits paired.

use std::time::Instant;

use teatime_tests::sim::{Plan, Report, run};

/// `TEATIME_SEEDS=N` plays more; `TEATIME_SEED=S` plays one again.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("TEATIME_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("TEATIME_SEEDS").unwrap_or(200),
    }
}

fn play(seed: u64) -> Report {
    match run(Plan::new(seed)) {
        Ok(report) => report,
        Err(violation) => panic!("TEATIME_SEED={seed}: {violation}"),
    }
}

#[test]
fn no_seed_diverges_loses_doubles_or_unpairs_anything() {
    let started = Instant::now();
    let reports: Vec<_> = seeds().map(play).collect();
    let sum = |part: fn(&Report) -> u64| reports.iter().map(part).sum::<u64>();
    let simulated = sum(|report| report.simulated_us) as f64 / 1e6;
    let real = started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {simulated:.0} s in {real:.1} s ({:.0} times faster than life): \
         {} entries, {} comparisons, {} unanimous votes, {} cuts, {} crashes",
        reports.len(),
        simulated / real,
        sum(|report| report.entries),
        sum(|report| report.compared),
        sum(|report| report.unanimous),
        sum(|report| report.cuts),
        sum(|report| report.crashes),
    );
    if reports.len() > 10 {
        // A simulator in which nothing happens proves nothing.
        for (what, part) in [
            ("entries", (|report| report.entries) as fn(&Report) -> u64),
            ("comparisons", |report| report.compared),
            ("votes", |report| report.unanimous),
            ("cuts", |report| report.cuts),
            ("crashes", |report| report.crashes),
            ("restarts", |report| report.restarts),
            ("full disks", |report| report.full_disks),
            ("votes cast", |report| report.votes_cast),
        ] {
            assert!(sum(part) > reports.len() as u64, "hardly any {what}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 8] {
        assert_eq!(play(seed), play(seed));
    }
    assert_ne!(play(3).trace, play(4).trace);
}

#[test]
fn a_planted_bug_is_found() {
    let found = (1..=20).find_map(|seed| run(Plan { buggy: true, ..Plan::new(seed) }).err());
    let violation = found.expect("a field that snapshots forget makes joiners differ");
    assert!(violation.what.contains("diverged"), "{violation}");
}
