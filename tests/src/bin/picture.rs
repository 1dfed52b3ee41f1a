//! Draws docs/chat.svg, the picture of the README, from a real run: two chats on terminals of 80 by 24, in one room.
//! `cargo run --package teatime-tests --bin picture`

#![cfg_attr(not(unix), allow(dead_code, unused_imports))]

use std::path::Path;
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    use teatime_tests::picture::draw;
    use teatime_tests::program::built;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let scratch = std::env::temp_dir().join(format!("teatime-picture-{}", std::process::id()));
    let drawn = std::fs::create_dir_all(&scratch)
        .map_err(|why| why.to_string())
        .and_then(|()| draw(&built("teatime"), &scratch));
    let written = drawn.and_then(|picture| {
        std::fs::write(root.join("docs/chat.svg"), picture).map_err(|why| why.to_string())
    });
    // Nothing in it is needed any longer.
    let _ = std::fs::remove_dir_all(&scratch);
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("picture: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("picture: expected a system with pseudo-terminals");
    ExitCode::FAILURE
}
