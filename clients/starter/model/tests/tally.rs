//! Plays a session on two machines, one of which comes fresh from a snapshot after every input.

use tally::app;
use teatime::testing::SyncTest;
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
