//! Plays a session on two machines, one of which comes fresh from a snapshot after every input; then whole
//! sessions, with all that can go wrong in them.

use tally::app;
use teatime::testing::{Failure, Simulation, SyncTest};
use teatime::{Duration, ModelId, ViewId};

#[test]
fn everybody_counts_the_same_and_who_leaves_is_forgotten() {
    let (one, two) = (ViewId([1; 16]), ViewId([2; 16]));
    let play = || -> Result<u64, Box<dyn std::error::Error>> {
        let mut test = SyncTest::new(&app(), &())?;
        test.join(one)?;
        test.join(two)?;
        for view in [one, two, one] {
            test.event(view, "tally", "add", &())?;
            test.pass(Duration::from_millis(100))?;
        }
        test.exit(two)?;
        let total = test.vm().query(ModelId::ROOT, "total", &[])?.get()?;
        test.finish()?;
        Ok(total)
    };
    assert_eq!(play().expect("nothing differs"), 2);
}

/// Several users who come and go on bad lines, a reflector that crashes: `TEATIME_SEEDS=1000` plays more of it.
#[test]
fn no_seed_makes_participants_differ() -> Result<(), Failure> {
    Simulation::of(app())
        .action(1, |_, user| user.publish("tally", "add", &()))
        .check(|end| {
            let total = end.query("total", &[]).expect("there is such a query");
            assert!(total.get::<u64>().expect("a number") <= end.count("tally", "add"));
        })
        .seeds(20)
        .run()?;
    Ok(())
}
