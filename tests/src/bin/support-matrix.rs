//! Writes `tests/SUPPORT.md`, which language supports what, from the reports of a test run:
//! `support-matrix REPORTS [--check]`. It fails if `tests/features.toml` names a test that has not passed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

type Result<T> = std::result::Result<T, String>;

/// The columns.
const LANGUAGES: [&str; 4] = ["Rust", "C", "Swift", "Kotlin"];

/// A feature of Teatime, and the tests that show it in each language.
#[derive(Deserialize)]
struct Feature {
    name: String,
    /// Names of tests, by language. A language without one does not offer the feature, and `note` says why.
    #[serde(flatten)]
    tests: BTreeMap<String, String>,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Features {
    feature: Vec<Feature>,
}

/// The names of the tests that passed, by language.
type Passed = BTreeMap<&'static str, BTreeSet<String>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("support-matrix: {why}");
            ExitCode::from(1)
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let reports = PathBuf::from(arguments.next().ok_or("usage: support-matrix REPORTS [--check]")?);
    let is_check = arguments.next().is_some_and(|argument| argument == "--check");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let passed = passed(&reports)?;
    let matrix =
        matrix(&read(&here.join("features.toml"))?, &read(&here.join("PROMISES.md"))?, &passed)?;
    let path = here.join("SUPPORT.md");
    if !is_check {
        return std::fs::write(&path, matrix)
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    if read(&path)? == matrix {
        return Ok(());
    }
    let shown = reports.join("SUPPORT.md");
    std::fs::write(&shown, matrix).map_err(|error| format!("{}: {error}", shown.display()))?;
    Err(format!("{} differs from what the tests have shown: {}", path.display(), shown.display()))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads all reports: the output of the tests in Rust, and JUnit XML of the other languages, one folder per language.
fn passed(reports: &Path) -> Result<Passed> {
    let mut passed = Passed::new();
    for (_, text) in files(&reports.join("cargo"))? {
        of_cargo(&text, &mut passed);
    }
    for (language, folder) in [("C", "c"), ("Swift", "swift"), ("Kotlin", "kotlin")] {
        for (path, text) in files(&reports.join(folder))? {
            let names = of_junit(&text).map_err(|why| format!("{}: {why}", path.display()))?;
            passed.entry(language).or_default().extend(names);
        }
    }
    Ok(passed)
}

/// The files in a folder, and what they contain.
fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| read(&path).map(|text| (path, text))).collect()
}

/// Lines such as `test clients::rust::chats ... ok`.
fn of_cargo(text: &str, passed: &mut Passed) {
    for line in text.lines().map(str::trim) {
        let name = line.strip_prefix("test ").and_then(|test| test.strip_suffix(" ... ok"));
        if let Some(name) = name {
            // Tests of all front ends are in modules named after the languages.
            let of = |module| name.split("::").any(|part| part == module);
            let languages = [("c", "C"), ("swift", "Swift"), ("kotlin", "Kotlin")];
            let language = languages.into_iter().find(|(module, _)| of(*module));
            let language = language.map_or("Rust", |(_, language)| language);
            passed.entry(language).or_default().insert(name.to_owned());
        }
    }
}

/// Test cases without failures.
fn of_junit(text: &str) -> Result<BTreeSet<String>> {
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let bad = ["failure", "error", "skipped"];
    let good = cases.filter(|case| !case.children().any(|c| bad.contains(&c.tag_name().name())));
    Ok(good.filter_map(|case| case.attribute("name").map(str::to_owned)).collect())
}

/// Whether a test has this name, in whatever modules. Kotlin's names are those of functions, with `()`.
fn is_named(test: &str, name: &str) -> bool {
    let test = test.strip_suffix("()").unwrap_or(test);
    test.strip_suffix(name).is_some_and(|modules| modules.is_empty() || modules.ends_with("::"))
}

/// Numbers of promises that a test names, as in `acceptance_4_5_what`, `testAcceptance4_What` and
/// `acceptance 4 what`.
fn promises(test: &str) -> Vec<u32> {
    // The name alone: a module may be called acceptance too.
    let lower = test.rsplit("::").next().unwrap_or(test).to_lowercase();
    let Some((_, rest)) = lower.split_once("acceptance") else { return Vec::new() };
    let parts = rest.trim_start_matches(['_', ' ']).split(['_', ' ']);
    parts.map_while(|part| part.parse().ok()).collect()
}

fn matrix(features: &str, promised: &str, passed: &Passed) -> Result<String> {
    let features: Features = toml::from_str(features).map_err(|error| error.to_string())?;
    let mut text = String::from(
        "# What works in which language\n\n\
         Generated from the tests that ran. ●: a test in that language shows it. ○: it works by the same shared\n\
         code, without a test in that language. –: not offered.\n\n",
    );
    let mut row = |name: &str, cells: [&str; 4]| {
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    row("", LANGUAGES);
    row("---", [":-:"; 4]);
    let mut missing = Vec::new();
    let mut notes = Vec::new();
    for feature in &features.feature {
        let cells = LANGUAGES.map(|language| {
            let Some(name) = feature.tests.get(&language.to_lowercase()) else { return "–" };
            // Tests in Rust drive programs in all languages.
            let all = passed.get(language).into_iter().chain(passed.get("Rust")).flatten();
            if !all.clone().any(|test| is_named(test, name)) {
                missing.push(format!("{}: no test {name:?} in {language} passed", feature.name));
            }
            "●"
        });
        match &feature.note {
            Some(note) => {
                notes.push(note);
                row(&format!("{} ({})", feature.name, notes.len()), cells);
            }
            None => row(&feature.name, cells),
        }
    }
    if !missing.is_empty() {
        return Err(missing.join("\n"));
    }
    let shown: BTreeMap<_, BTreeSet<u32>> = passed
        .iter()
        .map(|(language, tests)| {
            (*language, tests.iter().flat_map(|test| promises(test)).collect())
        })
        .collect();
    for line in promised.lines() {
        let Some((number, promise)) = line.split_once(". ") else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        let is_shown = |language| shown.get(language).is_some_and(|all| all.contains(&number));
        let cells = LANGUAGES.map(|language| if is_shown(language) { "●" } else { "○" });
        row(&format!("{number}. {promise}"), cells);
    }
    for (at, note) in notes.iter().enumerate() {
        let _ = write!(text, "\n({}) {note}\n", at + 1);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_its_whole_name_only() {
        assert!(
            is_named("all::c::it_works", "it_works") && is_named("all::c::it_works", "c::it_works")
        );
        assert!(is_named("it works()", "it works") && is_named("testItWorks", "testItWorks"));
        for other in ["works", "it_works_well", "all::it_works", "abc::it_works"] {
            assert!(!is_named("c::it_works", other), "{other}");
        }
    }

    #[test]
    fn a_cited_test_that_did_not_run_is_an_error() {
        let features = "[[feature]]\nname = \"tea\"\nrust = \"it_works\"\n";
        let passed = |test: &str| Passed::from([("Rust", BTreeSet::from([test.to_owned()]))]);
        assert!(
            matrix(features, "", &passed("all::it_works"))
                .is_ok_and(|it| it.contains("| tea | ● |"))
        );
        let error =
            matrix(features, "", &passed("all::it_works_not")).expect_err("another test ran");
        assert!(error.contains("it_works"), "{error}");
    }
}
