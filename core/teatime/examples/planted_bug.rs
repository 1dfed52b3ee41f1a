//! A model with a bug that no ordinary test finds, and how the simulator does: `cargo run --package teatime
//! --example planted_bug`.
//!
//! Prints what the simulator says of it; and that it has nothing to say of the model without the bug.

use serde::{Deserialize, Serialize};
use teatime::testing::{Failure, Simulation, Summary};
use teatime::{App, Cx, handlers, model};

/// A poll: whoever takes part votes for one of eight colours.
#[model(id = "poll", version = 1)]
struct Poll {
    votes: Vec<u64>,
    /// The colours that have a vote.
    colours: Vec<u64>,
    options: Options,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Options {
    has_bug: bool,
}

#[handlers]
impl Poll {
    fn init(cx: &mut Cx<Self>, options: &Options) -> Self {
        cx.subscribe("poll", "vote", Self::vote);
        Self { votes: Vec::new(), colours: Vec::new(), options: options.clone() }
    }

    fn vote(&mut self, _cx: &mut Cx<Self>, colour: u64) {
        self.votes.push(colour);
        self.colours = if self.options.has_bug {
            unordered(&self.votes)
        } else {
            self.votes
                .iter()
                .copied()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect()
        };
    }
}

/// The bug: each map of the standard library has an order of its own, and this hands it on.
#[allow(clippy::disallowed_types, reason = "it is planted, to be found")]
fn unordered(votes: &[u64]) -> Vec<u64> {
    let mut counted = std::collections::HashMap::new();
    votes.iter().for_each(|colour| *counted.entry(*colour).or_insert(0) += 1);
    counted.into_keys().collect()
}

fn played(has_bug: bool) -> Result<Summary, Failure> {
    let app = App::builder::<Poll>("org.example.poll").build().expect("one model is sound");
    Simulation::of(app)
        .options(&Options { has_bug })
        .action(1, |dice, user| user.publish("poll", "vote", &dice.below(8)))
        .seeds(20)
        .run()
}

fn main() {
    for has_bug in [true, false] {
        match played(has_bug) {
            Ok(summary) => {
                println!(
                    "{} seeds, {:.1} hours of clients: all agree",
                    summary.runs, summary.client_hours
                );
            }
            Err(failure) => println!("{failure}\n"),
        }
    }
}

#[test]
fn the_bug_is_found_and_named_and_without_it_all_agree() {
    let said = played(true).expect_err("there is a bug").to_string();
    for part in ["model `poll` (id 1), field `colours", "event poll/vote", "outside of the models"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(played(false).is_ok());
}
