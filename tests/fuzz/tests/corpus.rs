//! All targets, with the committed corpus and with what has broken a promise once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use teatime_fuzz::{TARGETS, seeds, silence_models};

/// Far longer than any input takes, on a machine that is busy.
const TIME: Duration = Duration::from_secs(20);

fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let files = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.expect("it can be listed").path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let mut files: Vec<_> = files;
    files.sort();
    files
}

/// One test, because it measures the memory of the process: first the corpus, then each seed cut and with each of some
/// bytes changed, so that a promise which no longer holds is likely to show without the fuzzer.
#[test]
fn no_input_of_the_corpus_and_none_like_it_breaks_a_promise() {
    silence_models();
    assert_corpus_is_current();
    for target in TARGETS {
        let corpus = files("corpus", target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for file in corpus.into_iter().chain(files("crashes", target.name)) {
            println!("{}", file.display());
            let bytes = fs::read(&file).expect("it is there");
            let start = Instant::now();
            target.run(&bytes);
            assert!(start.elapsed() < TIME, "{} took {:?}", file.display(), start.elapsed());
            for at in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
                target.run(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] = changed[at].wrapping_add(1);
                target.run(&changed);
            }
        }
    }
}

/// A change of the protocol or of a format changes the seeds. Old ones would be refused at their beginning.
fn assert_corpus_is_current() {
    let mut expected = Vec::new();
    for (target, name, bytes) in seeds::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target).join(name);
        let found = fs::read(&path).unwrap_or_default();
        let remedy = "run `cargo run --package teatime-fuzz --bin fuzz-seeds`";
        assert!(found == bytes, "{} is out of date: {remedy}", path.display());
        expected.push(path);
    }
    let found: Vec<_> = TARGETS.iter().flat_map(|target| files("corpus", target.name)).collect();
    expected.sort();
    assert_eq!(found.len(), expected.len(), "the corpus has other files than the program writes");
}
