//! The page of commands: what each says about itself with `--help`.

use std::fmt::Write;

use crate::teatime::Teatime;

const HEAD: &str = "# Commands\n\nWhat each command prints with `--help`. In a checkout, `cargo run -- chat` runs \
    `teatime chat`.\n";

pub(super) fn page(teatime: &Teatime) -> Result<String, String> {
    let mut page = HEAD.to_owned();
    add(teatime, &[], &mut page)?;
    Ok(page)
}

/// Adds a command and those below it.
fn add(teatime: &Teatime, command: &[&str], page: &mut String) -> Result<(), String> {
    let help = help(teatime, command)?;
    let name = [&["teatime"], command].concat().join(" ");
    let _ = write!(page, "\n## {name}\n\n```text\n{help}\n```\n");
    for below in below(&help) {
        add(teatime, &[command, &[below]].concat(), page)?;
    }
    Ok(())
}

/// The text of `--help` of a command, without blanks at the ends of lines.
///
/// # Errors
/// The command does not exist.
pub fn help(teatime: &Teatime, command: &[&str]) -> Result<String, String> {
    let (status, output, errors) = teatime.run(&[command, &["--help"]].concat(), "");
    if status != Some(0) {
        return Err(format!("{command:?} --help fails: {errors}"));
    }
    Ok(output.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// The commands below one, from its help.
fn below(help: &str) -> impl Iterator<Item = &str> {
    let (_, list) = help.split_once("\nCommands:\n").unwrap_or_default();
    let names = list.lines().take_while(|line| line.starts_with("  "));
    // The indent of a description that goes on in the next line is deeper.
    let names = names
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help")
}
