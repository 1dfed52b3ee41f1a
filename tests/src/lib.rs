//! Whole-system tests: the models that the simulator plays, what it does with them, and a harness for real
//! programs.

pub mod certificates;
pub mod ledger;
pub mod pace;
pub mod play;
pub mod program;
pub mod proxy;
pub mod teatime;
pub mod usage;

use std::time::Duration;

/// How long a test waits for something that must happen. Far longer than it takes on an idle machine: a machine may be
/// slow and busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How much longer than promised something may take, because the machine may be slow and busy with other tests.
pub const SLOWNESS: u32 = 3;
