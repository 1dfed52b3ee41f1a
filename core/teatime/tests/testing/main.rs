//! What the simulator finds in the models of an app, and that it finds nothing in a correct one.

mod album;
mod board;
mod checks;
mod environment;
mod finds;
mod pad;
mod plans;
mod refusals;

/// Whether the environment chooses other seeds than the tests.
fn seeds_are_chosen() -> bool {
    ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some())
}
