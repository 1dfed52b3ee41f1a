//! Simulations that cannot be played, or would prove nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use teatime::App;
use teatime::testing::{Dice, Invariant, Simulation};

use crate::board::{Board, Planted, Put, failure, simulation};
use crate::seeds_are_chosen;

struct NotEncoded;

impl Serialize for NotEncoded {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it cannot be encoded"))
    }
}

#[test]
fn an_app_that_cannot_start_and_an_event_that_cannot_be_published_are_reported() {
    let failure = failure(Planted::NoStart);
    assert_eq!(failure.smallest().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("the board is broken"), "{failure}");
    let failure =
        simulation(Planted::Nothing).options(&"no such").run().expect_err("not an option");
    assert_eq!(failure.smallest().of, Invariant::Start, "{failure}");
    let large = simulation(Planted::Nothing).action(1, |_, user| {
        user.publish("board", "put", &"x".repeat(100_000));
    });
    // Also without a twin.
    let failure = large.sync_distance(0).run().expect_err("it is too large");
    assert_eq!(failure.smallest().of, Invariant::Sanity, "{failure}");
    assert!(failure.to_string().contains("board:put cannot be published"), "{failure}");
}

/// A simulation that would prove nothing does not pass.
#[test]
fn a_simulation_that_would_prove_nothing_is_refused() {
    let board = || Simulation::of(App::builder::<Board>("org.example.board").build().unwrap());
    let board = || board().options(&Planted::Nothing).seeds(2).seconds(5);
    let puts = |weight, scope: &'static str| {
        board().action(weight, move |dice, user| {
            user.publish(scope, "put", &Put { x: dice.below(8) });
        })
    };
    assert!(puts(1, "board").run().is_ok());
    let wordless = |_: &mut Dice| NotEncoded;
    for (simulation, says) in [
        (board(), "users do nothing"),
        (puts(0, "board"), "no action has a weight above 0"),
        (puts(1, "bord"), "no model has subscribed to bord/put"),
        (board().action(1, |_, _| {}), "has published anything"),
        (puts(1, "board").seconds(u64::MAX), "seconds: expected at most"),
    ] {
        let failure = simulation.run().expect_err(says);
        assert_eq!(failure.smallest().of, Invariant::Setup, "{failure}");
        assert!(failure.to_string().contains(says), "{says}: {failure}");
        assert!(failure.to_string().contains("is refused"), "{says}: {failure}");
    }
    let failure = puts(1, "board").view_data(wordless).run().expect_err("it cannot be encoded");
    let says = "cannot be started: view data cannot be encoded: it cannot be encoded";
    assert!(failure.to_string().contains(says), "{failure}");
    // The view data of a participant who joins later is checked too.
    let brought = AtomicU64::new(0);
    let late_is_large = |_: &mut Dice| {
        "x".repeat(if brought.fetch_add(1, Ordering::Relaxed) < 2 { 10 } else { 100_000 })
    };
    let late = puts(1, "board").view_data(late_is_large).threads(1).seconds(60).shrink_runs(0);
    let failure = late.run().expect_err("it is too large");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.violation().at_us > 0, "{failure}");
    assert!(
        failure.to_string().contains("participant 2: invalid view data: expected at most"),
        "{failure}"
    );
    if !seeds_are_chosen() {
        let failure = puts(1, "board").seeds(0).run().expect_err("there is none");
        assert!(failure.to_string().contains("no seed is played"), "{failure}");
    }
}
