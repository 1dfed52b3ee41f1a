//! Writes the corpus again: `cargo run --package teatime-fuzz --bin fuzz-seeds`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    if corpus.exists() {
        fs::remove_dir_all(&corpus)?;
    }
    for (target, name, bytes) in teatime_fuzz::seeds::all() {
        fs::create_dir_all(corpus.join(target))?;
        fs::write(corpus.join(target).join(name), bytes)?;
    }
    Ok(())
}
