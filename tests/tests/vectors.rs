//! The vectors in tests/vectors, checked by this implementation and by another one.

use std::path::Path;
use std::process::Command;

use teatime_tests::vectors;

#[test]
fn the_vectors_are_what_the_code_makes_and_what_it_reads() {
    let wrong: Vec<_> = vectors::all().iter().filter_map(|file| file.check().err()).collect();
    let remedy = "if that is meant: cargo run --package teatime-tests --bin vectors";
    assert!(wrong.is_empty(), "{}\n{remedy}", wrong.join("\n"));
}

#[test]
fn every_file_of_vectors_is_made_by_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let is_vectors = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
    let entries = std::fs::read_dir(folder).expect("it is a folder").flatten();
    let mut found: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| is_vectors(path)).collect();
    found.sort();
    assert_eq!(found, vectors::all().iter().map(vectors::File::path).collect::<Vec<_>>());
}

/// It shares no code with Teatime, and is written from PROTOCOL.md and MODEL.md.
#[test]
fn an_implementation_in_python_agrees_with_every_vector() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/run");
    let output = Command::new(script).output().expect("it is a script");
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        assert!(std::env::var_os("CI").is_none(), "{errors}");
        return;
    }
    assert!(output.status.success(), "{text}{errors}");
    for file in vectors::all() {
        assert!(text.contains(&format!("{}: ", file.name)), "{} is not checked: {text}", file.name);
    }
}

#[test]
fn the_example_on_the_model_page_is_real() {
    let page = include_str!("../../core/vm/MODEL.md");
    let block = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let bytes = block.expect("the page has an example").lines();
    let bytes: String = bytes.filter_map(|line| line.split_whitespace().next()).collect();
    let vectors = |name: &str| {
        let file = vectors::all().into_iter().find(|file| file.name == name);
        file.expect("there is such a file").content
    };
    let smallest = &vectors("snapshots.json")["vectors"][0];
    assert_eq!(smallest["snapshot"], bytes);
    for hash in [&smallest["hash"], &vectors("run.json")["version_hash"]] {
        let hash = hash.as_str().expect("hexadecimal digits");
        assert!(page.contains(&format!("`{hash}`")), "{hash} is not on the page");
    }
}
