//! The lints for model crates refuse what would make participants differ.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is not a model")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_lints_refuse_each_way_out_of_a_model_and_nothing_else() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet", "--manifest-path"])
        .arg(here.join("tests/lints/Cargo.toml"))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("lints"))
        .args(["--", "-D", "clippy::disallowed_types", "-D", "clippy::disallowed_methods"])
        .env("CLIPPY_CONF_DIR", here)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .expect("clippy comes with the toolchain");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for refused in [
        "method `std::time::Instant::now`",
        "method `std::thread::spawn`",
        "type `std::net::TcpStream`",
        "method `std::fs::read_to_string`",
        "method `std::env::var`",
        "type `std::collections::HashMap`",
        "method `f64::sin`",
        "method `f64::powf`",
        "method `f64::mul_add`",
    ] {
        assert!(text.contains(refused), "{refused} in {text}");
    }
    let source = include_str!("../lints/src/lib.rs");
    let allowed = source.lines().position(|line| line.contains("fn allowed")).expect("it is there");
    for line in allowed..allowed + 4 {
        assert!(!text.contains(&format!("lib.rs:{}:", line + 1)), "{text}");
    }
}

#[test]
fn the_chat_uses_the_same_lints() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(here.join(path)).expect("it is there");
    assert_eq!(read("clippy.toml"), read("../../core/chat/clippy.toml"));
}
