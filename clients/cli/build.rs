//! Builds the program anew when the starter that it carries has changed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../starter");
}
