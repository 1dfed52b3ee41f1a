//! The examples: their models under every fault of the simulator, and their programs as two users run them.

#![cfg(unix)]

mod programs;
mod simulated;

// The `main` of an example runs only as a program.
#[allow(dead_code)]
#[path = "../../examples/cursors.rs"]
mod cursors;
#[allow(dead_code)]
#[path = "../../examples/dice.rs"]
mod dice;
#[allow(dead_code)]
#[path = "../../examples/headless.rs"]
mod headless;
#[allow(dead_code)]
#[path = "../../examples/todo.rs"]
mod todo;
#[allow(dead_code)]
#[path = "../../examples/whiteboard.rs"]
mod whiteboard;
