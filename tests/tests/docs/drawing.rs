//! The drawing of the crates.

use std::path::Path;

use crate::{read, root};

#[test]
fn each_arrow_of_the_drawing_is_a_dependency() {
    let page = read(Path::new("docs/internals/architecture.md"));
    let (_, drawing) = page.split_once("flowchart TD\n").expect("there is a drawing");
    let (drawing, _) = drawing.split_once("```").expect("it ends");
    let mut arrows = 0;
    for line in drawing.lines() {
        // name["folder<br>what it is"] --> name & name
        let (from, to) = line.split_once(" --> ").unwrap_or((line, ""));
        let (name, folder) = from.trim().split_once("[\"").expect("a name and a folder");
        let folder = folder.split("<br>").next().expect("a folder");
        let manifest = Path::new(folder).join("Cargo.toml");
        if !root().join(&manifest).exists() {
            assert_eq!(name, "languages", "{folder} is not a crate");
            continue;
        }
        let manifest = read(&manifest);
        for to in to.split(" & ").filter(|to| !to.is_empty()) {
            let package = if to == "teatime" { to.to_owned() } else { format!("teatime-{to}") };
            let is_there = manifest.lines().any(|line| {
                line.strip_prefix(&package).is_some_and(|rest| rest.starts_with(['.', ' ']))
            });
            assert!(is_there, "{folder} does not depend on {package}");
            arrows += 1;
        }
    }
    assert!(arrows > 10, "{arrows}");
}
