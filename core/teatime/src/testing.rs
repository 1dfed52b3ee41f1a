//! Tests for models: they find the bugs by which participants would diverge.
//!
//! A [`SyncTest`] plays the inputs of a test, one by one, on two virtual machines. One of them is restored from a snapshot
//! after each input.
//!
//! With the feature `testing`, a `Simulation` plays whole sessions in virtual time from a seed: several clients that join
//! and exit on bad connections, cuts, partitions, slow readers, late joins, a reflector that crashes and restarts. All of
//! it runs under the sync test. An app lists `teatime` with this feature in its `dev-dependencies`. The actions of users
//! are closures:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use teatime::testing::Simulation;
//! # use teatime::{App, Cx, ViewId, handlers, model};
//! # use std::collections::BTreeMap;
//! # #[model]
//! # struct Poll { votes: BTreeMap<u64, u64>, count: u64 }
//! # #[handlers]
//! # impl Poll {
//! #     fn init(cx: &mut Cx<Self>, _: &()) -> Self {
//! #         cx.subscribe("poll", "vote", Self::vote);
//! #         Self { votes: BTreeMap::new(), count: 0 }
//! #     }
//! #     fn vote(&mut self, _cx: &mut Cx<Self>, colour: u64) {
//! #         *self.votes.entry(colour).or_default() += 1;
//! #         self.count += 1;
//! #     }
//! # }
//! # let app = App::builder::<Poll>("org.example.poll").build()?;
//! Simulation::of(app)
//!     .action(3, |dice, user| user.publish("poll", "vote", &dice.below(8)))
//!     .action(1, |_, user| user.publish("poll", "vote", &0u64))
//!     .check(|end| assert_eq!(end.root::<Poll>().count, end.count("poll", "vote")))
//!     .seconds(30)
//!     .seeds(10)
//!     .run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A bug that a simulation finds
//!
//! Each `HashMap` of the standard library has its own order. A model whose state depends on that order passes every
//! ordinary test, and diverges for its users:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use std::collections::HashMap;
//! use teatime::testing::Simulation;
//! use teatime::{App, Cx, handlers, model};
//!
//! #[model(id = "poll", version = 1)]
//! struct Poll {
//!     votes: Vec<u64>,
//!     colours: Vec<u64>,
//! }
//!
//! #[handlers]
//! impl Poll {
//!     fn init(cx: &mut Cx<Self>, _: &()) -> Self {
//!         cx.subscribe("poll", "vote", Self::vote);
//!         Self { votes: Vec::new(), colours: Vec::new() }
//!     }
//!
//!     fn vote(&mut self, _cx: &mut Cx<Self>, colour: u64) {
//!         self.votes.push(colour);
//!         let mut counted: HashMap<u64, u64> = HashMap::new();
//!         self.votes.iter().for_each(|colour| *counted.entry(*colour).or_default() += 1);
//!         self.colours = counted.into_keys().collect();
//!     }
//! }
//!
//! let app = App::builder::<Poll>("org.example.poll").build()?;
//! let failure = Simulation::of(app)
//!     .action(1, |dice, user| user.publish("poll", "vote", &dice.below(8)))
//!     .run()
//!     .expect_err("the order of the map becomes state");
//! let text = failure.to_string();
//! assert!(text.contains("model `poll` (id 1), field `colours"), "{text}");
//! assert!(text.contains("event poll/vote"), "{text}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The report names the first event after which the states differ, both contents, how to run that seed again, and the
//! smallest plan that still fails:
//!
//! ```text
//! seed 1 of the simulation of org.example.poll fails
//! a participant differs from itself restored from a snapshot, after 0.276865 s: model `poll` (id 1), field `colours`: [5, 2] here, [2, 5] there; after seq 3, event poll/vote
//!   here: participant 1, which went on; there: the same, restored from its snapshot before that
//! played again it went another way: what decides comes from outside of the models, such as a clock, a static, or the order of a std::collections::HashMap
//! run it again: TEATIME_SEED=1 cargo test the_poll_holds
//! what is left of it: 0 of 120 faults, 2 actions, at most 1 participants, 1 s:
//!    0.000 s  participant 1 joins
//!    0.063 s  participant 1 publishes poll/vote
//!    0.273 s  participant 1 publishes poll/vote
//! ```
//!
//! `examples/planted_bug.rs` has the same model. With `core/vm/clippy.toml`, clippy refuses such a map before it runs.

pub use teatime_vm::testing::{Difference, SyncError, SyncTest};

#[cfg(feature = "testing")]
pub use teatime_simulator::{
    Clash, Dice, End, Event, Failure, Fault, Invariant, Pace, Plan, PlannedStorage, Simulation,
    Summary, User, Verdict, Violation, What,
};
