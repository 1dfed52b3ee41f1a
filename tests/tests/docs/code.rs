//! The programs and commands of the documentation.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use teatime_tests::book::PAGES;
use teatime_tests::program::built;
use teatime_tests::reference::help;
use teatime_tests::teatime::Teatime;

use crate::blocks::{Block, blocks};
use crate::{book, pages, read, root};

fn written_in(language: &str, pages: Vec<PathBuf>) -> Vec<Block> {
    let all = pages.iter().flat_map(|page| blocks(page));
    all.filter(|block| block.language == language).collect()
}

#[test]
fn every_page_with_a_program_in_rust_is_compiled() {
    for block in written_in("rust", book()) {
        let page = block.page.strip_prefix("docs").expect("it is in the book").to_str();
        assert!(PAGES.contains(&page.expect("UTF-8")), "{page:?} is not in tests/src/book.rs");
    }
}

#[test]
fn every_program_in_c_compiles() {
    for block in written_in("c", pages()) {
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-xc", "-"]);
        for folder in ["bindings/c/include", "bindings/c-testing/include"] {
            compiler.arg("-I").arg(root().join(folder));
        }
        let mut running = compiler.stdin(Stdio::piped()).spawn().expect("there is a C compiler");
        let mut input = running.stdin.take().expect("it is piped");
        input.write_all(block.text.as_bytes()).expect("the compiler reads");
        drop(input);
        assert!(running.wait().expect("it ends").success(), "{}", block.page.display());
    }
}

/// The lines of a text without their indent, and without empty ones.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_program_in_swift_and_kotlin_stands_in_a_file_that_is_compiled() {
    for language in ["swift", "kotlin"] {
        for Block { page, text, comment, .. } in written_in(language, pages()) {
            if page.starts_with("bindings") || page.starts_with("clients") {
                continue;
            }
            let comment = comment.unwrap_or_default();
            let file = comment.strip_prefix("<!-- from: ").and_then(|c| c.strip_suffix(" -->"));
            let Some(file) = file else {
                panic!("{}: no `<!-- from: FILE -->` before: {text}", page.display())
            };
            let source = read(Path::new(file));
            let (source, wanted) = (lines(&source), lines(&text));
            let is_there = source.windows(wanted.len()).any(|window| window == wanted);
            assert!(is_there, "{}: this is not in {file}:\n{text}", page.display());
        }
    }
}

/// What the programs of this repository say about themselves, each asked once.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    fn of(&mut self, program: &str, commands: &[&str]) -> &str {
        let key = format!("{program} {}", commands.join(" "));
        self.0.entry(key).or_insert_with_key(|key| {
            let program = Teatime::at(built(program));
            help(&program, commands).unwrap_or_else(|why| panic!("{key}: {why}"))
        })
    }
}

/// Commands that are not of this repository.
const FOREIGN: [&str; 19] = [
    "cargo",
    "cc",
    "cd",
    "cmake",
    "curl",
    "export",
    "find",
    "git",
    "java",
    "mdbook",
    "mvn",
    "openssl",
    "rustup",
    "sudo",
    "swift",
    "systemctl",
    "tar",
    "unzip",
    "zip",
];

/// The program of this repository that a command line starts, with its arguments.
fn program<'a>(words: &[&'a str]) -> Option<(&'static str, Vec<&'a str>)> {
    let after = |mark: &str| {
        let at = words.iter().position(|word| *word == mark);
        at.map_or(Vec::new(), |at| words[at + 1..].to_vec())
    };
    match words {
        ["teatime", rest @ ..] => Some(("teatime", rest.to_vec())),
        ["cargo", "xtask", rest @ ..] => Some(("teatime-xtask", rest.to_vec())),
        ["cargo", "run", "--", rest @ ..] => Some(("teatime", rest.to_vec())),
        ["cargo", "run", rest @ ..] if rest.contains(&"--example") => None,
        ["cargo", "run", rest @ ..] => {
            let names = [
                ("simulate", "simulate"),
                ("reference", "reference"),
                ("soak", "soak"),
                ("teatime-bench", "teatime-bench"),
            ];
            let (_, name) = names.into_iter().find(|(word, _)| rest.contains(word))?;
            Some((name, after("--")))
        }
        _ => None,
    }
}

/// Checks the flags of a command line of this repository.
fn check(line: &str, helps: &mut Helps) -> Result<(), String> {
    let words: Vec<_> = line.split_whitespace().skip_while(|word| word.contains('=')).collect();
    let first = *words.first().ok_or("no command")?;
    if let Some(at) = words.iter().position(|word| *word == "--example") {
        let example = words.get(at + 1).ok_or("no example")?;
        let file = root().join(format!("core/teatime/examples/{example}.rs"));
        return if file.exists() { Ok(()) } else { Err(format!("no example {example}")) };
    }
    let Some((name, arguments)) = program(&words) else {
        let is_ours = first.contains('/') && root().join(first).exists();
        let is_known = is_ours || FOREIGN.contains(&first);
        return if is_known { Ok(()) } else { Err(format!("{first} is not a known command")) };
    };
    let mut commands = Vec::new();
    for word in arguments {
        let above = helps.of(name, &commands);
        let has_commands = above.contains("\nCommands:\n");
        if let Some(flag) =
            word.strip_prefix("--").map(|flag| flag.split('=').next().unwrap_or_default())
        {
            let is_known = above
                .split(|c: char| c.is_whitespace() || "[],".contains(c))
                .any(|known| known == format!("--{flag}"));
            if !is_known {
                return Err(format!("{name} {commands:?} has no --{flag}"));
            }
        } else if has_commands && !word.starts_with('-') {
            let is_command = above
                .lines()
                .any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(word));
            if is_command {
                commands.push(word);
            } else if commands.is_empty() {
                return Err(format!("{name} has no command {word}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_command_line_is_one_that_the_programs_know() {
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    for block in written_in("sh", pages()) {
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.split(" # ").next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            for command in line.split(" && ").flat_map(|part| part.split(" | ")) {
                if let Err(why) = check(command, &mut helps) {
                    wrong.push(format!("{}: {command}: {why}", block.page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_wrong_flag_a_wrong_command_and_a_wrong_program_are_found() {
    let mut helps = Helps::default();
    assert_eq!(check("cargo run -- chat --name kitchen", &mut helps), Ok(()));
    assert!(check("cargo run -- chat --nmae kitchen", &mut helps).is_err());
    assert!(check("teatime chatt", &mut helps).is_err());
    assert!(check("tests/does-not-exist", &mut helps).is_err());
    assert!(check("cargo run -p teatime --example rase", &mut helps).is_err());
}
