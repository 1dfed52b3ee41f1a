//! A model with a bug that no ordinary test finds, and the simulation that finds it: `cargo run --package teatime --example
//! planted_bug`.
//!
//! Prints the report of the simulation, and the summary of one that plays the model without the bug.

use serde::{Deserialize, Serialize};
use teatime::testing::{Failure, Simulation, Summary};
use teatime::{App, Cx, handlers, model};

/// A poll: each participant votes for one of eight colours.
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

/// What stands in a document of what the first seed says.
#[cfg(test)]
fn promised(document: &str) -> String {
    let from = document.find("seed 1 of the simulation of").expect("it is there");
    let text = &document[from..];
    text[..text.find("```").expect("it has an end")].trim_end().to_owned()
}

/// The same without what differs each time, as it is the order of a map: numbers, and the way into a short list; and
/// without the name of the test.
#[cfg(test)]
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for line in text.lines() {
        let line = line.split(" cargo test ").next().unwrap_or_default();
        let is_of_number = |letter: char| letter.is_ascii_digit() || ".,[]".contains(letter);
        let words = line.split_whitespace().map(|word| word.trim_end_matches([';', ':']));
        let words = words.filter(|word| !word.chars().all(is_of_number));
        shape.extend(
            words.map(|word| format!("{} ", word.replace(|c: char| c.is_ascii_digit(), "#"))),
        );
        shape.push('\n');
    }
    shape
}

#[test]
fn the_bug_is_found_and_named_as_the_documents_say_and_without_it_all_agree() {
    let guide = promised(include_str!("../../../docs/guide/testing.md"));
    let module =
        promised(&include_str!("../src/testing.rs").replace("//! ", "").replace("//!", ""));
    assert_eq!(shape(&guide), shape(&module));
    for part in ["model `poll` (id 1), field `colours", "event poll/vote", "outside of the models"]
    {
        assert!(guide.contains(part), "{part}: {guide}");
    }
    // Now and then the order of the map is another one first where it takes more to see it.
    let said: Vec<_> =
        (0..20).map(|_| played(true).expect_err("there is a bug").to_string()).collect();
    assert!(said.iter().any(|said| shape(said) == shape(&guide)), "{}", said.join("\n\n"));
    assert!(played(false).is_ok());
}
