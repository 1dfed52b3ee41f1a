//! The bugs that a simulation finds in models, and how it reports them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use teatime::testing::{Failure, Invariant, Summary, What};

use crate::board::{Planted, Put, failure, simulation};
use crate::seeds_are_chosen;

#[test]
fn a_correct_model_passes_all_seeds() -> Result<(), Failure> {
    let summary: Summary = simulation(Planted::Nothing).run()?;
    assert_eq!(summary.failed, 0);
    assert!(summary.runs == 30 || seeds_are_chosen());
    // It proves nothing if nothing happened.
    assert!(summary.entries > 10_000, "{} events", summary.entries);
    assert!(summary.synced > 10_000, "{} comparisons with a twin", summary.synced);
    assert!(summary.compared > 10_000, "{} comparisons", summary.compared);
    for what in [What::Crashes, What::Partition, What::DownBlocked, What::ReflectorCrashes] {
        assert!(summary.faults.get(&what).is_some_and(|times| *times > 10), "{what:?}");
    }
    for what in [What::LiarStarts, What::Diverges, What::Panics] {
        assert_eq!(summary.faults.get(&what), None);
    }
    Ok(())
}

#[test]
fn what_comes_from_outside_is_found_at_the_first_event_and_named() {
    for (planted, field, event) in [
        (Planted::HashOrder, "order", "event board/put"),
        (Planted::Clock, "number", "event board/put"),
        (Planted::Static, "number", "event board/put"),
        (Planted::LaterOnly, "number", "future message"),
    ] {
        // The order of a map with two entries may be the same a few times.
        let failure = (0..5).map(|_| failure(planted));
        let mut failure = failure.skip_while(|failure| failure.is_reproduced() == Some(true));
        let failure = failure.next().expect("it is not the same each time");
        // The first to differ is the twin or another participant.
        let of = failure.smallest().of;
        assert!([Invariant::Sync, Invariant::Agreement].contains(&of), "{failure}");
        assert_eq!(failure.is_reproduced(), Some(false), "{failure}");
        let text = failure.to_string();
        let place = format!("model `board` (id 1), field `{field}");
        for part in [
            &place,
            event,
            "outside of the models",
            "TEATIME_SEED=",
            " here, ",
            " there; after seq ",
        ] {
            assert!(text.contains(part), "{planted:?}, {part}: {text}");
        }
        assert!(text.lines().count() <= 16, "{text}");
        assert_eq!(format!("{failure:?}"), text);
    }
}

/// The comparison between participants finds the bug too, but later.
#[test]
fn without_the_twin_participants_that_differ_are_found() {
    let failure = simulation(Planted::Static).sync_distance(0).run().expect_err("it differs");
    assert_eq!(failure.smallest().of, Invariant::Agreement, "{failure}");
    let clash = failure.smallest().clash.as_ref().expect("both states are known");
    assert_eq!(clash.model, Some((1, "board".to_owned())));
    assert_eq!(clash.field, "number");
    assert_ne!(clash.here, clash.there);
    assert!(clash.after.contains("event board/put from participant"), "{failure}");
}

#[test]
fn a_field_missing_in_snapshots_is_found_and_its_plan_is_small() {
    let failure = failure(Planted::LeftOut);
    assert_eq!(failure.smallest().of, Invariant::Sync, "{failure}");
    let clash = failure.smallest().clash.as_ref().expect("both states are known");
    assert_eq!((&*clash.field, &*clash.here, &*clash.there), ("number", "2", "1"));
    // One participant who puts two stones is enough.
    assert_eq!(failure.is_reproduced(), Some(true), "{failure}");
    let plan = failure.plan();
    assert_eq!((plan.faults.len(), plan.clients), (0, 1), "{failure}");
    assert_eq!(plan.acts.as_ref().map(Vec::len), Some(2), "{failure}");
    let story = &failure.smallest().story;
    let puts = story.iter().filter(|(_, what)| what.ends_with("publishes board/put")).count();
    assert_eq!(puts, 2, "{failure}");
    // A larger distance finds it too.
    assert!(simulation(Planted::LeftOut).sync_distance(5).run().is_err());
}

#[test]
fn failing_handlers_are_found_unless_they_are_allowed() {
    let failure = failure(Planted::Panics);
    assert_eq!(failure.smallest().of, Invariant::Faults, "{failure}");
    assert!(failure.to_string().contains("board.put"), "{failure}");
    assert!(failure.to_string().contains("nine"), "{failure}");
    // The turns that panic are undone, so stones are missing.
    let failure = simulation(Planted::Panics).allow_faults().run().expect_err("stones are missing");
    assert_eq!(failure.smallest().of, Invariant::Check, "{failure}");
}

/// A clock of seconds is nearly always the same for all participants, but not in the second play of the seed.
#[test]
fn a_clock_of_seconds_is_found_and_named() {
    for seeds in [1, 20] {
        let failure = simulation(Planted::Seconds).seeds(seeds).run().expect_err("it has a clock");
        let found = [Invariant::Again, Invariant::Agreement, Invariant::Sync];
        assert!(found.contains(&failure.smallest().of), "{failure}");
        let text = failure.to_string();
        for part in ["model `board` (id 1), field `number`", "event board/put", "outside of the"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // With a lone participant, only the second play can find it. It compares the beginning even if the states of a whole
    // run are too large to store.
    for planted in [Planted::Seconds, Planted::SecondsOnLarge] {
        let alone = simulation(planted).participants(1).seeds(1).sync_distance(0);
        let failure = What::ALL.into_iter().fold(alone, |alone, (what, _)| alone.without(what));
        let failure = failure.run().expect_err("it has a clock");
        assert_eq!(failure.smallest().of, Invariant::Again, "{failure}");
        let clash = failure.smallest().clash.as_ref().expect("both states are known");
        assert_eq!((&clash.model, &*clash.field), (&Some((1, "board".to_owned())), "number"));
    }
    // The actions of users may differ. That is not a difference between models.
    let played = AtomicU64::new(0);
    let counted = simulation(Planted::Nothing).seeds(1).action(5, |_, user| {
        user.publish("board", "put", &Put { x: played.fetch_add(1, Ordering::Relaxed) });
    });
    let started = Instant::now();
    assert!(counted.seconds(5).run().is_ok());
    // Each event of the second play comes in another second than in the first.
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
}

#[test]
fn a_state_that_cannot_be_saved_or_restored_is_reported() {
    for (planted, says) in [
        (Planted::NotSaved, "it cannot be saved: "),
        (Planted::NotRestored, " cannot restore it: "),
    ] {
        let failure = failure(planted);
        assert_eq!(failure.smallest().of, Invariant::Snapshot, "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
    }
    // Also without a twin.
    let failure =
        simulation(Planted::NotSaved).sync_distance(0).run().expect_err("it cannot be encoded");
    assert_eq!(failure.smallest().of, Invariant::Snapshot, "{failure}");
}

#[test]
fn the_same_seed_is_the_same_run_on_any_number_of_threads() {
    let play = |threads| {
        let summary = simulation(Planted::Nothing).seeds(6).threads(threads).run();
        let summary = summary.expect("it holds");
        (summary.entries, summary.compared, summary.synced, summary.faults)
    };
    assert_eq!(play(1), play(3));
}

/// Plans are made when they are played, so any number of seeds is possible.
#[test]
fn any_number_of_seeds_can_be_played_until_one_fails() {
    let failure = simulation(Planted::LeftOut).seeds(u64::MAX).run().expect_err("one fails");
    assert!(failure.seed() < 10 || seeds_are_chosen(), "{failure}");
}

#[test]
fn excluded_faults_do_not_happen() -> Result<(), Failure> {
    let summary = simulation(Planted::Nothing).without(What::Starts).seconds(10).run()?;
    assert_eq!(summary.faults.get(&What::Starts), None);
    assert!(summary.faults.contains_key(&What::Cut));
    let mut nothing = simulation(Planted::Nothing).seconds(10);
    for (what, _) in What::ALL {
        nothing = nothing.without(what);
    }
    assert!(nothing.run()?.faults.is_empty());
    Ok(())
}
