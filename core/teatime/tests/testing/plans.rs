//! Plans that fail: saved, made small, and played again.

use teatime::App;
use teatime::testing::{Dice, End, Failure, Fault, Invariant, Plan, Simulation, User, What};

use crate::album::Album;
use crate::board::{Board, Planted, simulation};
use crate::seeds_are_chosen;

#[test]
fn a_shrunk_plan_is_saved_and_played_again() {
    let folder = tempfile::tempdir().expect("there is room");
    let failure = simulation(Planted::LeftOut).keep_in(folder.path()).run().expect_err("it fails");
    let path = failure.kept().expect("it is kept").to_owned();
    assert!(failure.to_string().contains(&path.display().to_string()), "{failure}");
    let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
    let start = format!("org.example.board-{}-", failure.seed());
    assert!(name.starts_with(&start) && name.ends_with(".json"), "{name}");
    let plan = Plan::read(&path).expect("it was kept");
    assert_eq!(&plan, failure.plan());
    let again = simulation(Planted::LeftOut).play(&plan).expect_err("it fails again");
    assert_eq!(again.smallest(), failure.smallest());
    // The caller has the plan, and no seed was played.
    assert!(!again.to_string().contains("run it again"), "{again}");
    assert_eq!(again.is_reproduced(), None);
    // It is played before any seed, and the report says how to play exactly this plan.
    let kept = simulation(Planted::LeftOut).seeds(0).keep_in(folder.path()).run();
    if !seeds_are_chosen() {
        let kept = kept.expect_err("it fails still");
        assert_eq!(kept.smallest(), failure.smallest());
        let says =
            format!("TEATIME_PLAN={} cargo test plans::a_shrunk_plan_is_saved", path.display());
        assert!(kept.to_string().contains(&says), "{kept}");
        assert!(kept.to_string().starts_with("a plan made of seed 1 of"), "{kept}");
        let summary = simulation(Planted::Nothing).seeds(0).keep_in(folder.path()).run();
        assert_eq!(summary.expect("the bug is gone").runs, 1);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
    // A path that is not a folder is an error.
    let no_folder = simulation(Planted::Nothing).keep_in(&path).run().expect_err("it is a file");
    assert!(no_folder.to_string().contains(&path.display().to_string()), "{no_folder}");
    std::fs::write(&path, "{}").expect("it can be written");
    let broken = simulation(Planted::Nothing).keep_in(folder.path()).run().expect_err("no plan");
    assert!(broken.to_string().contains(&path.display().to_string()), "{broken}");
    assert_eq!(broken.smallest().of, Invariant::Setup);
}

/// Several simulations may save their plans in one folder. None overwrites the plans of another, and none plays the plans of
/// another app.
#[test]
fn saved_plans_of_several_simulations_stay_apart() -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("there is room");
    let board = || simulation(Planted::Nothing).seeds(1).seconds(2).keep_in(folder.path());
    let named = |id: &str| {
        let app = App::builder::<Album>(id).build().expect("it is sound");
        let add = |_: &mut Dice, user: &mut User<'_>| user.publish("album", "add", "a picture");
        Simulation::of(app).options(&0u64).action(1, add).seeds(1).seconds(2)
    };
    let strange = || named("an/album: of mine?").keep_in(folder.path());
    // Fails if at least this many events of a topic were accepted.
    let kept = |simulation: Simulation<'_>, topic: [&'static str; 2], at_least: u64| {
        let check = move |end: &End<'_>| {
            let count = end.count(topic[0], topic[1]);
            if count < at_least { Ok(()) } else { Err("too many") }
        };
        let failure = simulation.shrink_runs(100).check(check).run().expect_err("there are some");
        failure.kept().unwrap_or_else(|| panic!("{failure}")).to_owned()
    };
    // The first saved plan passes if a failure needs more events.
    let files = [
        kept(board(), ["board", "put"], 0),
        kept(board(), ["board", "put"], 1),
        kept(strange(), ["album", "add"], 0),
    ];
    let distinct: std::collections::BTreeSet<_> = files.iter().collect();
    let there = || std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!((distinct.len(), there()), (3, 3), "{files:?}");
    let name = files[2].file_name().expect("it is a file").to_string_lossy();
    assert!(name.starts_with("an_album__of_mine_-1-"), "{name}");
    if !seeds_are_chosen() {
        assert_eq!(board().run()?.runs, 3);
        assert_eq!(strange().run()?.runs, 2);
        assert_eq!(named("org.example.album").keep_in(folder.path()).run()?.runs, 1);
        // A plan without an app is for all apps.
        let plan = Plan { app: None, ..Plan::read(&files[0]).expect("it was kept") };
        plan.write(&folder.path().join("by hand.json")).expect("it can be written");
        assert_eq!(strange().run()?.runs, 3);
    }
    Ok(())
}

/// The limits of a simulation hold for plans that another simulation has saved.
#[test]
fn saved_plans_respect_the_limits_of_the_simulation() -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("there is room");
    let board = || simulation(Planted::Nothing).seconds(20).keep_in(folder.path());
    let wild = board().shrink_runs(0).check(|_| Err("it is never right"));
    let path = wild.run().expect_err("it says so").kept().expect("it is kept").to_owned();
    let plan = Plan::read(&path).expect("it was kept");
    let has = |what| plan.faults.iter().any(|fault| fault.what == what);
    assert!(has(What::Starts) && has(What::Cut) && plan.clients == 5, "{plan:?}");
    let alone = || {
        let alone = board().seeds(0).participants(1).without(What::Cut);
        alone.check(|end| assert_eq!(end.root::<Board>().here.len(), 1, "a game for one"))
    };
    if !seeds_are_chosen() {
        let summary = alone().run()?;
        assert_eq!((summary.runs, summary.faults.get(&What::Cut)), (1, None));
        assert!(!summary.faults.is_empty());
    }
    // A plan that the caller plays directly is played whole.
    assert!(alone().play(&plan).is_err() && simulation(Planted::Nothing).play(&plan).is_ok());
    Ok(())
}

/// Saved plans come first, on any number of threads and whatever their seeds.
#[test]
fn the_first_of_several_failures_is_reported() {
    let folder = tempfile::tempdir().expect("there is room");
    let simulation = || simulation(Planted::LeftOut).seconds(20).seeds(8).shrink_runs(0).threads(4);
    let plan = simulation().plan(50);
    plan.write(&folder.path().join("by hand.json")).expect("it can be written");
    for _ in 0..3 {
        let failure = simulation().keep_in(folder.path()).run().expect_err("all of them fail");
        assert!(failure.seed() == 50 || seeds_are_chosen(), "{failure}");
        let failure = simulation().run().expect_err("all of them fail");
        assert!(failure.seed() == 1 || seeds_are_chosen(), "{failure}");
    }
}

#[test]
fn plans_that_cannot_be_played_are_refused() {
    let good = simulation(Planted::Nothing).seconds(2).plan(1);
    let late = || vec![Fault { at_ms: u64::MAX, what: What::Cut, dice: 0 }];
    for (plan, says) in [
        (Plan { clients: 0, ..good.clone() }, "0 clients: expected at least 1"),
        (Plan { rooms: 0, ..good.clone() }, "0 rooms: expected"),
        (Plan { fault_seconds: u64::MAX, ..good.clone() }, "seconds: expected at most"),
        (Plan { converge_seconds: u64::MAX, ..good.clone() }, "seconds: expected at most"),
        (Plan { faults: late(), ..good.clone() }, "seconds: expected at most"),
        (Plan { acts: Some(vec![2, 1]), ..good.clone() }, "are not in order"),
    ] {
        let failure = simulation(Planted::Nothing).play(&plan).expect_err(says);
        assert_eq!(failure.smallest().of, Invariant::Setup, "{failure}");
        assert!(failure.to_string().contains(says), "{says}: {failure}");
    }
    assert!(simulation(Planted::Nothing).play(&good).is_ok());
}
