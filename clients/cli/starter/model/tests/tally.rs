//! Plays a session on two machines, and restores one of them from a snapshot after every input. Then plays whole
//! sessions with faults.

use tally::app;
use teatime::testing::{Failure, Simulation, SyncTest};
use teatime::{Duration, ModelId, ViewId};

#[test]
fn both_machines_count_the_same_and_the_taps_of_a_view_that_left_are_removed() {
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
    assert_eq!(play().expect("the machines do not differ"), 2);
}

/// Users come and go on bad connections, and the reflector crashes. `TEATIME_SEEDS=1000` plays more sessions.
#[test]
fn no_seed_makes_participants_differ() -> Result<(), Failure> {
    Simulation::of(app())
        .action(1, |_, user| user.publish("tally", "add", &()))
        .check(|end| {
            let total = end.query("total", &[]).expect("the model has this query");
            assert!(total.get::<u64>().expect("a number") <= end.count("tally", "add"));
        })
        .seeds(20)
        .run()?;
    Ok(())
}
