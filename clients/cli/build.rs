//! Rebuilds the program when the embedded starter has changed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=starter");
}
